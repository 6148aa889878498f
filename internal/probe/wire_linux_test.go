//go:build !plainwire

package probe

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/testutil"
)

// TestWakeAfterClose: a wake that comes late writes to no descriptor: it may be
// another file's by then.
func TestWakeAfterClose(t *testing.T) {
	r, p, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer p.Close()
	w, err := newWire(0)
	if err != nil {
		t.Fatal(err)
	}
	waker := w.(*epoll).waker
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup2(int(p.Fd()), waker); err != nil { // stands for whatever is opened next
		t.Fatal(err)
	}
	w.wake()
	unix.Close(waker)
	p.Close()
	if n, _ := r.Read(make([]byte, 8)); n > 0 {
		t.Errorf("%d bytes in another's file", n)
	}
}

// TestFewDescriptors: a run keeps within what a process may open, and what it
// opens it closes.
func TestFewDescriptors(t *testing.T) {
	testutil.NoLeaks(t)
	w, err := newWire(0)
	if err != nil {
		t.Fatal(err)
	}
	w.(*epoll).limit = 20
	var targets []Target
	for p := range uint16(500) {
		targets = append(targets, Target{Addr: loopback4(), Proto: TCP, Port: p + 1})
	}
	s := newScan(w, (&Runner{}).options())
	most, n := 0, 0
	s.divert = func(Target) bool { return false }
	s.backlog = func() int { return 0 }
	s.targets = func() (Target, bool) {
		most = max(most, s.sockets)
		if len(targets) == 0 {
			return Target{}, false
		}
		v := targets[0]
		targets = targets[1:]
		return v, true
	}
	s.found = func(_ *job, _ Verdict, _ Evidence, c sock) {
		most = max(most, s.sockets)
		if c != noSock {
			w.drop(c)
		}
		n++
	}
	if err := s.run(t.Context(), func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if n != 500 || most > 20 {
		t.Errorf("%d verdicts, %d sockets at once", n, most)
	}
}
