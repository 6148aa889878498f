//go:build amd64 || arm64

package bpf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// listenAt says, in the environment of this test's program, that it is to listen
// there, with SO_REUSEPORT, and accept nothing until its standard input ends.
const listenAt = "PORTREPORTER_TEST_LISTEN"

func TestMain(m *testing.M) {
	if at := os.Getenv(listenAt); at != "" {
		l, err := plain().Listen(context.Background(), "tcp", at)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		l.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// plain listens without Multipath TCP and shares its port.
func plain() *net.ListenConfig {
	lc := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
	}}
	lc.SetMultipathTCP(false)
	return lc
}

// told reads what s tells of a network namespace until it has been silent for a
// while.
func told(t *testing.T, s *Source, ns uint32) (events []activity.Event) {
	t.Helper()
	var o activity.Observation
	for quiet := time.Now(); time.Since(quiet) < 400*time.Millisecond; {
		s.SetDeadline(time.Now().Add(50 * time.Millisecond))
		switch err := s.Read(&o); {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			t.Fatal(err)
		case o.What == activity.WhatEvent && o.Event.NetNS == ns:
			events = append(events, o.Event)
			quiet = time.Now()
		}
	}
	return events
}

// count counts events by kind, of this process as owner, and those that were told
// by a second hook.
func count(events []activity.Event) (mine, recovered map[activity.Kind]int) {
	mine, recovered = map[activity.Kind]int{}, map[activity.Kind]int{}
	for _, e := range events {
		if e.Owner.PID == uint32(os.Getpid()) {
			mine[e.Kind]++
		}
		if e.Flags&activity.FlagRecovered != 0 {
			recovered[e.Kind]++
		}
	}
	return mine, recovered
}

// seeded is a source that has taken over what there was.
func seeded(t *testing.T, cfg Config) *Source {
	t.Helper()
	s := open(t, cfg)
	if _, err := s.Sockets(func(*activity.Socket) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return s
}

// connections makes n in a network namespace, and returns both ends of each.
func connections(t *testing.T, ns *testutil.NetNS, n int) (ends []net.Conn) {
	t.Helper()
	ns.Do(func() {
		l, err := plain().Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range n {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			a, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, c, a)
		}
	})
	return ends
}

// More sockets than the kernel's table holds are recorded like the others.
func TestFullTable(t *testing.T) {
	s := seeded(t, Config{Sockets: 8})
	ns := testutil.NewNetNS(t)
	const made = 50
	open := connections(t, ns, made)
	live := func() (n int) {
		if _, err := s.Live(func(k *activity.Socket) bool {
			if k.NetNS == ns.Inode && k.Owner.PID == uint32(os.Getpid()) {
				n++
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := live(); n != 2*made {
		t.Errorf("%d sockets are alive, want %d", n, 2*made)
	}
	for _, c := range open {
		c.Close()
	}
	got, _ := count(told(t, s, ns.Inode))
	if got[activity.KindConnect] != made || got[activity.KindAccept] != made || got[activity.KindClose] != 2*made ||
		got[activity.KindListen] != 1 || got[activity.KindUnlisten] != 1 {
		t.Errorf("told %v, want %d connections with both ends", got, made)
	}
	if n := live(); n != 0 {
		t.Errorf("%d sockets are alive after all was closed", n)
	}
	if n := s.Counters()["spilled"]; n < 2*made-8 {
		t.Errorf("%d sockets found the table full: the test does not test", n)
	}
}

// Entries of sockets that are gone are swept out, and no others.
func TestSweep(t *testing.T) {
	s := seeded(t, Config{})
	ns := testutil.NewNetNS(t)
	entries := func() (n int) {
		t.Helper()
		var key uint64
		v := make([]byte, s.maps.Maps["tsocks"].ValueSize())
		it := s.maps.Maps["tsocks"].Iterate()
		for it.Next(&key, &v) {
			n++
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const made, stay = 60, 20 // connections
	all := connections(t, ns, made)
	for _, c := range all[2*stay:] {
		c.Close()
	}
	told(t, s, ns.Inode)
	sweep := func(n int) {
		t.Helper()
		if err := s.swept.sweep(time.Now().Add(time.Duration(n)*sweepEvery), &s.scan, s.maps.Maps["tsocks"]); err != nil {
			t.Fatal(err)
		}
	}
	sweep(1)
	gone, before := len(s.swept.gone), entries()
	sweep(2)
	// Others on this machine come and go, and may take over some.
	if least := made - stay; gone < least || before-entries() < least {
		t.Errorf("%d entries are of sockets that are gone, and %d of %d are left after the sweep; %d sockets were closed", gone, entries(), before, 2*(made-stay))
	}
	if n := entries(); n < 2*stay {
		t.Errorf("%d entries are left for %d open sockets", n, 2*stay)
	}
	for _, c := range all[:2*stay] {
		c.Close()
	}
	if got, _ := count(told(t, s, ns.Inode)); got[activity.KindClose] != 2*stay {
		t.Errorf("told %v, want %d closes of what was open all the time", got, 2*stay)
	}
}

// A connection that nobody accepts is its listener's: of the several that share
// a port, the one that the kernel chose.
func TestListenerOfWhatNobodyAccepts(t *testing.T) {
	s := seeded(t, Config{})
	ns := testutil.NewNetNS(t)
	me := uint32(os.Getpid())
	for _, c := range []struct{ network, listen, dial string }{
		{"tcp4", "127.0.0.1:1001", "127.0.0.1:1001"},
		{"tcp4", "0.0.0.0:1002", "127.0.0.1:1002"},
		{"tcp6", "[::1]:1003", "[::1]:1003"},
		{"tcp", "[::]:1004", "127.0.0.1:1004"}, // IPv4 on a socket for both
		{"tcp", "[::]:1005", "[::1]:1005"},
		{"tcp", "127.0.0.1:0", ""}, // listen(2) without a port
	} {
		ns.Do(func() {
			l, err := plain().Listen(t.Context(), c.network, c.listen)
			if err != nil {
				t.Fatal(err)
			}
			at := c.dial
			if at == "" {
				at = l.Addr().String()
			}
			d, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			d.Close()
		})
		closes := 0
		for _, e := range told(t, s, ns.Inode) {
			if e.Kind == activity.KindClose && e.Flags&activity.FlagNotAccepted != 0 {
				closes++
				if e.Owner.PID != me || e.Role != activity.RoleListener {
					t.Errorf("%s: closed for %v as %v, want %d as its listener", c.listen, e.Owner, e.Role, me)
				}
			}
		}
		if closes != 1 {
			t.Errorf("%s: %d connections closed that nobody accepted, want 1", c.listen, closes)
		}
	}
}

func TestListenersThatShareAPort(t *testing.T) {
	s := seeded(t, Config{})
	ns := testutil.NewNetNS(t)
	const at, made = "127.0.0.1:1001", 60
	var stop []func()
	for range 3 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), listenAt+"="+at)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := ns.Start(c); err != nil {
			t.Fatal(err)
		}
		stop = append(stop, func() { in.Close(); _ = c.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("listener: %q %v", line, err)
		}
	}
	var dialled []net.Conn
	ns.Do(func() {
		for range made {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			dialled = append(dialled, c)
		}
	})
	want := map[uint32]int{} // the kernel's own count of each accept queue
	if _, err := s.Live(func(k *activity.Socket) bool {
		if k.NetNS == ns.Inode && k.State == activity.StateListen {
			want[k.Owner.PID] = int(k.Backlog)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if len(want) != 3 {
		t.Fatalf("accept queues %v, want those of 3 processes", want)
	}
	for _, f := range stop {
		f()
	}
	for _, c := range dialled {
		c.Close()
	}
	got := map[uint32]int{}
	for _, e := range told(t, s, ns.Inode) {
		if e.Kind == activity.KindClose && e.Flags&activity.FlagNotAccepted != 0 {
			got[e.Owner.PID]++
		}
	}
	for pid, n := range want {
		if got[pid] != n {
			t.Errorf("%d connections are told as of listener %d, which had %d in its queue", got[pid], pid, n)
		}
	}
}

// What the state hook is not run for, as it is for some events of a busy machine,
// is told by the next hook that sees the socket.
func TestSecondChances(t *testing.T) {
	s := seeded(t, Config{Set: SetTracepoint})
	state := s.links[0] // attached first
	missed := func(f func()) {
		t.Helper()
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
		f()
		var err error
		if state, err = link.AttachTracing(link.TracingOptions{Program: s.progs["set_state"]}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { state.Close() }()
	ns := testutil.NewNetNS(t)
	ns.Do(func() {
		server, at := rawListener(t)
		var c net.Conn
		var a int
		connect := func() {
			var err error
			if c, err = net.Dial("tcp", at); err != nil {
				t.Fatal(err)
			}
			if a, err = acceptNull(server); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, recovered activity.Kind, want map[activity.Kind]int) {
			t.Helper()
			events := told(t, s, ns.Inode)
			got, second := count(events)
			for k, n := range want {
				if got[k] != n {
					t.Errorf("%s: %d %s told, want %d: %+v", what, got[k], k, n, events)
				}
			}
			if recovered != 0 && second[recovered] == 0 {
				t.Errorf("%s: no %s by a second hook: the test does not test", what, recovered)
			}
		}
		check("before", 0, map[activity.Kind]int{activity.KindListen: 1})

		if s.ioHooks { // Linux 6.3
			missed(connect)
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(a, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			check("use after a beginning that was missed", activity.KindConnect, map[activity.Kind]int{activity.KindConnect: 1, activity.KindAccept: 1})
			c.Close()
			unix.Close(a)
			check("end", 0, map[activity.Kind]int{activity.KindClose: 2})
		}

		missed(connect)
		c.Close()
		unix.Close(a)
		check("close after a beginning that was missed", activity.KindConnect, map[activity.Kind]int{
			activity.KindConnect: 1, activity.KindAccept: 1, activity.KindClose: 2})

		connect()
		missed(func() { c.Close(); unix.Close(a) })
		check("an end that was missed", activity.KindClose, map[activity.Kind]int{
			activity.KindConnect: 1, activity.KindAccept: 1, activity.KindClose: 2})

		missed(func() {
			connect()
			c.Close()
			unix.Close(a)
		})
		check("all was missed but the close", activity.KindAccept, map[activity.Kind]int{activity.KindAccept: 1})

		unix.Close(server)
		check("before", 0, map[activity.Kind]int{activity.KindUnlisten: 1})
		missed(func() {
			if c, err := net.Dial("tcp", at); err == nil {
				c.Close()
				t.Fatal("connected to a port that nobody listens at")
			}
		})
		check("a refusal that was missed", 0, map[activity.Kind]int{activity.KindConnectFailed: 1})
	})
}

// rawListener is a listening socket that Go's run time does not know.
func rawListener(t *testing.T) (fd int, at string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 1001}), unix.Listen(fd, 8)); err != nil {
		t.Fatal(err)
	}
	return fd, "127.0.0.1:1001"
}

// acceptNull does not ask who connects.
func acceptNull(fd int) (int, error) {
	a, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(a), nil
}

// A socket that failed to connect may try again.
func TestConnectAgain(t *testing.T) {
	s := seeded(t, Config{})
	ns := testutil.NewNetNS(t)
	ns.Do(func() {
		server, _ := rawListener(t)
		defer unix.Close(server)
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := func(a byte, port int) error {
			return unix.Connect(c, &unix.SockaddrInet4{Addr: [4]byte{a, 0, 0, 1}, Port: port})
		}
		if err := at(127, 1002); err != unix.ECONNREFUSED {
			t.Fatalf("connect: %v, want a refusal", err)
		}
		if err := at(192, 1001); err != unix.ENETUNREACH {
			t.Fatalf("connect: %v, want no route", err)
		}
		if err := at(127, 1001); err != nil {
			t.Fatal(err)
		}
		unix.Close(c)
	})
	var reasons []activity.Reason
	events := told(t, s, ns.Inode)
	for _, e := range events {
		if e.Kind == activity.KindConnectFailed {
			reasons = append(reasons, e.Reason)
		}
	}
	got, _ := count(events)
	want := []activity.Reason{activity.ReasonRefused, activity.ReasonNotSent}
	if s.trampolines {
		want[1] = activity.ReasonOf(uint16(unix.ENETUNREACH))
	}
	if !slices.Equal(reasons, want) || got[activity.KindConnect] != 1 || got[activity.KindClose] != 2 {
		t.Errorf("told %v with reasons %v, want %v and a connection with both ends: %+v", got, reasons, want, events)
	}
}
