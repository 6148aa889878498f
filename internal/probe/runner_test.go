package probe

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// run tests targets, and returns the results by port.
func run(t *testing.T, r *Runner, targets ...Target) map[Target]Result {
	t.Helper()
	got := map[Target]Result{}
	err := r.Run(t.Context(), slices.Values(targets), func(r Result) {
		if _, twice := got[r.Target]; twice {
			t.Errorf("%v twice", r.Target)
		}
		got[r.Target] = r
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(targets) {
		t.Fatalf("%d results for %d targets", len(got), len(targets))
	}
	return got
}

// loopback4 is where the tests that need no network of their own ask.
func loopback4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// listen returns a port where connections are accepted by the kernel.
func listen(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func TestRunnerOnLoopback(t *testing.T) {
	open := Target{Addr: loopback4(), Proto: TCP, Port: listen(t)}
	closed := Target{Addr: loopback4(), Proto: TCP, Port: 1}
	udp := Target{Addr: loopback4(), Proto: UDP, Port: 1}
	got := run(t, &Runner{}, open, closed, udp)
	for target, want := range map[Target]Evidence{
		open:   {Sign: Accepted},
		closed: {Sign: Reset},
		udp:    {Sign: ICMP, ICMPType: 3, ICMPCode: 3, From: loopback4()},
	} {
		r := got[target]
		e := r.Evidence
		if e.RTT <= 0 || e.Tries != 1 || r.Start.IsZero() || r.Took < 0 {
			t.Errorf("%v: round trip %v, %d tries, start %v", target, e.RTT, e.Tries, r.Start)
		}
		if e.Sign != want.Sign || e.ICMPType != want.ICMPType || e.ICMPCode != want.ICMPCode || e.From != want.From {
			t.Errorf("%v: %v by %+v, want %+v", target, r.Verdict, e, want)
		}
	}
}

// TestRunnerCancel: a run that is cancelled ends at once, with the context's error,
// though silent ports are under way and targets come without end.
func TestRunnerCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var endless iter.Seq[Target] = func(yield func(Target) bool) {
		for yield(Target{Addr: loopback4(), Proto: TCP, Port: 1}) {
		}
	}
	n := 0
	err := (&Runner{}).Run(ctx, endless, func(Result) {
		if n++; n == 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestSourcePort: a port that somebody holds is an error of its own, by name; one
// that is free is what the connection comes from.
func TestSourcePort(t *testing.T) {
	busy := listen(t)
	target := Target{Addr: loopback4(), Proto: TCP, Port: listen(t)}
	r := run(t, &Runner{SourcePort: busy}, target)[target]
	if r.Verdict != NoVerdict || !errors.Is(r.Evidence.Err, ErrSourcePort) {
		t.Errorf("busy: %v, %v", r.Verdict, r.Evidence.Err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free := listenAndClose(t)
	target.Port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	if r := run(t, &Runner{SourcePort: free}, target)[target]; r.Verdict != Listening {
		t.Fatalf("free: %v, %v", r.Verdict, r.Evidence.Err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Port(); got != free {
		t.Errorf("from port %d, want %d", got, free)
	}
}

// listenAndClose returns a port that was free a moment ago.
func listenAndClose(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
