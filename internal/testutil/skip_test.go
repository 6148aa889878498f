package testutil

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
)

// tester records what a helper does to its test; Fatal and Skip end the
// goroutine, as testing's do.
type tester struct {
	testing.TB
	skipped, failed string
	temp            string
	cleanups        []func()
}

func (r *tester) Helper()          {}
func (r *tester) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *tester) Failed() bool     { return r.failed != "" }
func (r *tester) TempDir() string  { return r.temp }
func (r *tester) Skipf(f string, a ...any) {
	r.skipped = fmt.Sprintf(f, a...)
	runtime.Goexit()
}
func (r *tester) Fatalf(f string, a ...any) {
	r.failed = fmt.Sprintf(f, a...)
	runtime.Goexit()
}
func (r *tester) FailNow()                  { runtime.Goexit() }
func (r *tester) Errorf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }

// finish runs the cleanups, the last one first.
func (r *tester) finish() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// do runs f as a test of its own.
func do(r *tester, f func(testing.TB)) *tester {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestSkip(t *testing.T) {
	refused := errors.New("operation not permitted")
	lacks := func(s string) func() string { return func() string { return s } }
	for _, tt := range []struct {
		name            string
		need            Need
		err             error
		skipped, failed bool
	}{
		{"nothing wrong", Need{What: "x"}, nil, false, false},
		{"should work", Need{What: "x"}, refused, false, true},
		{"this kernel cannot", Need{What: "x", Lacks: lacks("lockdown")}, refused, true, false},
		{"this kernel could", Need{What: "x", Lacks: lacks("")}, refused, false, true},
		{"linux only", Need{What: "x", Linux: true}, refused, !onLinux, onLinux},
		{"root only", Need{What: "x", Root: true}, refused, !privileged(), privileged()},
	} {
		r := do(&tester{}, func(t testing.TB) { Skip(t, tt.need, tt.err) })
		if (r.skipped != "") != tt.skipped || (r.failed != "") != tt.failed {
			t.Errorf("%s: skipped %q, failed %q", tt.name, r.skipped, r.failed)
		}
	}
}

func TestRoot(t *testing.T) {
	r := do(&tester{}, func(t testing.TB) { Root(t, "x") })
	if want := !onLinux || !privileged(); (r.skipped != "") != want {
		t.Errorf("skipped %q, want %v", r.skipped, want)
	}
}
