package testutil

import (
	"os"
	"strings"
	"testing"
)

func TestNoLeaks(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	var f *os.File
	defer func() { f.Close() }()
	for _, tt := range []struct {
		name, want string
		f          func()
	}{
		{"clean", "", func() {
			done := make(chan struct{})
			go close(done)
			<-done
		}},
		{"goroutine", "TestNoLeaks", func() { go func() { <-stop }() }},
		{"descriptor", "file descriptor", func() {
			var err error
			if f, err = os.Open("."); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if tt.name == "descriptor" && !onLinux {
			continue
		}
		r := do(&tester{}, func(t testing.TB) { NoLeaks(t) })
		tt.f()
		r.finish()
		if (r.failed == "") != (tt.want == "") || !strings.Contains(r.failed, tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.name, r.failed, tt.want)
		}
	}
}
