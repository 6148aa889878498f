//go:build amd64 || arm64

package bpf

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

func open(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := Open(cfg)
	testutil.Skip(t, testutil.Need{What: "the ebpf tier", Linux: true, Root: true}, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// until reads until an event satisfies want.
func until(t *testing.T, s *Source, what string, want func(*activity.Observation) bool) activity.Observation {
	t.Helper()
	var o activity.Observation
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		s.SetDeadline(time.Now().Add(50 * time.Millisecond))
		switch err := s.Read(&o); {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			t.Fatal(err)
		case want(&o):
			return o
		}
	}
	t.Fatalf("no %s was told", what)
	return o
}

func TestEveryHookAttaches(t *testing.T) {
	testutil.NoLeaks(t)
	for _, set := range []string{SetAuto, SetTracepoint} {
		s, err := Open(Config{Set: set, RingBytes: 64 << 10})
		testutil.Skip(t, testutil.Need{What: "the ebpf tier", Linux: true, Root: true}, err)
		info := s.Info()
		for _, h := range info.Hooks {
			if h.Err != "" && h.Name != "tp_btf/sock_send_length" && h.Name != "tp_btf/sock_recv_length" { // Linux 6.3
				t.Errorf("%s: %s: %s", set, h.Name, h.Err)
			}
		}
		if len(info.Missing) > 0 {
			t.Errorf("%s: not seen here: %v", set, info.Missing)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Read(&activity.Observation{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
	}
}

func TestListenerWithItsProcess(t *testing.T) {
	s := open(t, Config{})
	ns := testutil.NewNetNS(t)
	var l net.Listener
	ns.Do(func() {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { // an MPTCP socket, as Go makes them
			t.Fatal(err)
		}
	})
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	var announced *activity.Process
	o := until(t, s, "listen", func(o *activity.Observation) bool {
		if o.What == activity.WhatProcess && o.Process.Key.PID == uint32(os.Getpid()) {
			announced = o.Process
		}
		return o.What == activity.WhatEvent && o.Event.Kind == activity.KindListen && o.Event.NetNS == ns.Inode
	})
	e := &o.Event
	if e.Local.Port() != port || e.Owner.PID != uint32(os.Getpid()) || e.Proto != activity.TCP {
		t.Errorf("listen %v by %v, want port %d by %d", e.Local, e.Owner, port, os.Getpid())
	}
	exe, _ := os.Executable()
	wd, _ := os.Getwd()
	if announced == nil || announced.Exe != exe || announced.Cwd != wd || announced.Args[0] != os.Args[0] || announced.Key != e.Owner ||
		announced.Parent().Key.PID != uint32(os.Getppid()) {
		t.Errorf("announced %+v, want %s in %s", announced, exe, wd)
	}
	if d := time.Since(e.When()); d < 0 || d > time.Minute {
		t.Errorf("its time is %v ago", d)
	}
}

// What was there before the hooks: an MPTCP listener, and a UDP socket of another
// namespace, are found with their holders, once each.
func TestSocketsFromBefore(t *testing.T) {
	testutil.Root(t, "reading every process's sockets")
	l, err := net.Listen("tcp", "127.0.0.1:0") // an MPTCP socket, as Go makes them
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var u net.PacketConn
	ns := testutil.NewNetNS(t)
	ns.Do(func() {
		if u, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	})
	defer u.Close()
	check := func(how string, sockets func(func(*activity.Socket) bool) error) {
		t.Helper()
		found := map[activity.Proto]activity.Socket{}
		if err := sockets(func(k *activity.Socket) bool {
			if k.Owner.PID == uint32(os.Getpid()) {
				if _, twice := found[k.Proto]; twice {
					t.Errorf("%s: %v twice", how, k.Local)
				}
				found[k.Proto] = *k
			}
			return true
		}); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		k := found[activity.TCP]
		if k.State != activity.StateListen || k.Local.String() != l.Addr().String() || k.Owner.PID != uint32(os.Getpid()) || len(k.Holders) != 1 {
			t.Errorf("%s: listener %+v, want %v", how, k, l.Addr())
		}
		k = found[activity.UDP]
		if k.State != activity.StateBound || k.Local.String() != u.LocalAddr().String() || k.Owner.PID != uint32(os.Getpid()) {
			t.Errorf("%s: UDP socket %+v, want %v", how, k, u.LocalAddr())
		}
	}
	check("Snapshot", Snapshot)
	s := open(t, Config{})
	check("Sockets", func(y func(*activity.Socket) bool) error { _, err := s.Sockets(y); return err })
	check("Live", func(y func(*activity.Socket) bool) error {
		asOf, err := s.Live(func(k *activity.Socket) bool {
			c := *k
			c.Holders = []activity.ProcessKey{k.Owner}
			return y(&c)
		})
		if now := bootNow(); asOf == 0 || asOf > now {
			t.Errorf("Live as of %d at %d", asOf, now)
		}
		return err
	})
}

// MPTCP listeners from before in a namespace that their process is not in itself
// are found, each.
func TestSocketsOfAnotherNamespace(t *testing.T) {
	testutil.Root(t, "entering a network namespace")
	var want []string
	testutil.NewNetNS(t).Do(func() {
		for range 3 {
			l, err := net.Listen("tcp", "127.0.0.1:0") // an MPTCP socket, as Go makes them
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			want = append(want, l.Addr().String())
		}
	})
	slices.Sort(want)
	s := open(t, Config{})
	for _, c := range []struct {
		how     string
		sockets func(func(*activity.Socket) bool) (uint64, error)
	}{{"Sockets", s.Sockets}, {"Live", s.Live}} {
		var got []string
		if _, err := c.sockets(func(k *activity.Socket) bool {
			if k.Owner.PID == uint32(os.Getpid()) && k.State == activity.StateListen {
				if k.Cookie == 0 {
					t.Errorf("%s: %v has no cookie", c.how, k.Local)
				}
				got = append(got, k.Local.String())
			}
			return true
		}); err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.how, got, want)
		}
	}
}

// A recorder takes over from one that ran before it: what that one's hooks have
// met, Multipath TCP sockets too, is known to the new one's.
func TestSocketsOfTheRecorderBefore(t *testing.T) {
	testutil.Root(t, "reading every process's sockets")
	before := open(t, Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0") // an MPTCP socket, as Go makes them
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := before.Sockets(func(*activity.Socket) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{})
	if _, err := s.Sockets(func(*activity.Socket) bool { return true }); err != nil {
		t.Fatal(err)
	}
	found := 0
	if _, err := s.Live(func(k *activity.Socket) bool {
		if k.Local.String() == l.Addr().String() && k.Owner.PID == uint32(os.Getpid()) && k.State == activity.StateListen {
			found++
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if found != 1 {
		t.Errorf("%v is found %d times", l.Addr(), found)
	}
}

func TestIdleFlowEnds(t *testing.T) {
	s := open(t, Config{FlowIdle: 600 * time.Millisecond})
	ns := testutil.NewNetNS(t)
	ns.Do(func() {
		srv, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close() })
		c, err := net.Dial("udp", srv.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	})
	o := until(t, s, "flow-end", func(o *activity.Observation) bool {
		return o.What == activity.WhatEvent && o.Event.Kind == activity.KindFlowEnd && o.Event.NetNS == ns.Inode
	})
	if e := &o.Event; e.Reason != activity.ReasonIdle || e.Tx != 5 || e.Owner.PID != uint32(os.Getpid()) || e.Duration < 0 {
		t.Errorf("end of an idle flow: %+v", e)
	}
}

func TestOverflowIsCounted(t *testing.T) {
	s := open(t, Config{RingBytes: 4096})
	ns := testutil.NewNetNS(t)
	const made = 500
	ns.Do(func() {
		for range made {
			l, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	})
	got := map[activity.Kind]uint64{}
	var o activity.Observation
	for {
		s.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if err := s.Read(&o); err != nil {
			break
		}
		if o.What == activity.WhatEvent && o.Event.NetNS == ns.Inode {
			got[o.Event.Kind]++
		}
	}
	lost, err := s.Lost()
	if err != nil {
		t.Fatal(err)
	}
	if lost[activity.KindBind] == 0 {
		t.Fatal("nothing was lost: the test does not test")
	}
	for _, k := range []activity.Kind{activity.KindBind, activity.KindUnbind} {
		if got[k]+lost[k] < made { // others on this machine may lose too
			t.Errorf("%s: %d read and %d lost of %d made", k, got[k], lost[k], made)
		}
	}
}

func TestWake(t *testing.T) {
	s := open(t, Config{})
	go func() { time.Sleep(100 * time.Millisecond); s.Wake() }()
	var o activity.Observation
	began := time.Now()
	for {
		s.SetDeadline(began.Add(time.Minute))
		if err := s.Read(&o); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if time.Since(began) > 50*time.Second {
		t.Error("Wake did not wake the reader")
	}
}
