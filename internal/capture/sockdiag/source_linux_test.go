package sockdiag

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// ends makes a pair of connected sockets.
func ends(t *testing.T, l net.Listener) (dialled, accepted *net.TCPConn) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// transfer sends n bytes and reads them all.
func transfer(t *testing.T, from, to net.Conn, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	if _, err := from.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// eof waits for the peer's FIN.
func eof(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v, want the end of file", n, err)
	}
}

// TestCloseBytes checks exact byte counts and reasons for every order of
// closing, of connections that a scan has seen and of such that none has.
func TestCloseBytes(t *testing.T) {
	inNamespace(t)
	orders := []struct {
		name  string
		close func(c, a *net.TCPConn)
		reset bool
		first string // who closed
	}{
		{"client first", func(c, a *net.TCPConn) { c.Close(); eof(t, a); a.Close() }, false, "client"},
		{"server first", func(c, a *net.TCPConn) { a.Close(); eof(t, c); c.Close() }, false, "server"},
		{"client half first", func(c, a *net.TCPConn) { c.CloseWrite(); eof(t, a); a.Close(); eof(t, c); c.Close() }, false, "client"},
		{"client reset", func(c, a *net.TCPConn) {
			c.SetLinger(0)
			c.Close()
			a.Read(make([]byte, 1))
			a.Close()
		}, true, ""},
	}
	l := listen(t)
	for _, seen := range []bool{true, false} {
		for _, order := range orders {
			if !seen && order.name == "client half first" {
				continue // one byte too many is counted there; see tookFin
			}
			for _, n := range []struct{ up, down int }{{0, 0}, {1000, 77}, {1, 0}, {0, 50_000}} {
				name := fmt.Sprintf("%s, %d up, %d down, seen %v", order.name, n.up, n.down, seen)
				g := start(t, Config{OwnNamespaceOnly: true})
				c, a := ends(t, l)
				if seen {
					g.event(activity.KindConnect, c.LocalAddr())
				}
				transfer(t, c, a, n.up)
				transfer(t, a, c, n.down)
				if strings.Contains(name, "half") { // it must be seen half closed
					c.CloseWrite()
					g.scansUntil(func() bool { return g.half(c.LocalAddr()) })
				}
				order.close(c, a)
				left := map[string][2]int{c.LocalAddr().String(): {n.down, n.up}, a.LocalAddr().String(): {n.up, n.down}}
				if order.reset && !seen {
					delete(left, c.LocalAddr().String()) // the kernel has forgotten its remote end
				}
				for len(left) > 0 {
					v := g.until("close of "+name, func(o *activity.Observation) bool {
						return o.What == activity.WhatEvent && o.Event.Kind == activity.KindClose
					}).Event
					want, ok := left[v.Local.String()]
					delete(left, v.Local.String())
					reason := activity.ReasonClosed
					if order.reset {
						reason = activity.ReasonReset
					}
					local := "client"
					if v.Local.String() == a.LocalAddr().String() {
						local = "server"
					}
					if peer := v.Flags&activity.FlagPeerFirst != 0; !order.reset && peer == (order.first == local) {
						t.Errorf("%s: at the %s the peer is first: %v", name, local, peer)
					}
					if order.reset && v.Local.String() == c.LocalAddr().String() {
						want = [2]int{int(v.Rx), int(v.Tx)} // wiped by the kernel; of the last scan
						if v.Unknown&activity.FactBytes == 0 {
							t.Errorf("%s: bytes pass for known", name)
						}
						v.Unknown &^= activity.FactBytes
					}
					if !ok || v.Rx != uint64(want[0]) || v.Tx != uint64(want[1]) || v.Unknown&activity.FactBytes != 0 ||
						v.Provenance != activity.Observed || v.Reason != reason || v.Unknown&activity.FactOwner != 0 && seen {
						t.Errorf("%s: close %+v, want rx, tx %v, %v", name, v, want, reason)
					}
				}
				g.Close()
			}
		}
	}
}

// scansUntil lets the source go on until done.
func (g *rig) scansUntil(done func() bool) {
	g.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			g.t.Fatal("did not come about")
		}
		var o activity.Observation
		g.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if err := g.Read(&o); err == nil {
			g.seen = append(g.seen, o)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			g.t.Fatal(err)
		}
	}
}

// half reports whether the table has a socket as shut down by its process.
func (g *rig) half(local net.Addr) bool {
	for _, e := range g.table.entries {
		if e.row.local.String() == local.String() && e.half {
			return true
		}
	}
	return false
}

// TestThousand holds 1,000 connections, closes them, and wants an opening and a
// close of each end, with its owner.
func TestThousand(t *testing.T) {
	inNamespace(t)
	me := self(t)
	const n = 1000
	g := start(t, Config{OwnNamespaceOnly: true})
	l := listen(t)
	var conns []*net.TCPConn
	for range n {
		c, a := ends(t, l)
		conns = append(conns, c, a)
	}
	kinds := map[activity.Kind]int{}
	count := func(want activity.Kind, total int) {
		if kinds[want] == total {
			return
		}
		g.until(want.String(), func(o *activity.Observation) bool {
			if o.What == activity.WhatEvent {
				kinds[o.Event.Kind]++
				if o.Event.Owner != me {
					t.Errorf("%v of %v -> %v owned by %v, want %v", o.Event.Kind, o.Event.Local, o.Event.Remote, o.Event.Owner, me)
				}
			}
			return kinds[want] == total
		})
	}
	count(activity.KindAccept, n)
	count(activity.KindConnect, n)
	for _, c := range conns {
		c.Close()
	}
	count(activity.KindClose, 2*n)
	if kinds[activity.KindConnect] != n || kinds[activity.KindAccept] != n || kinds[activity.KindListen] != 1 {
		t.Errorf("events %v, want %d connects and accepts and 1 listen", kinds, n)
	}
	if lost, err := g.Lost(); err != nil || lost != [activity.NumKinds]uint64{} {
		t.Errorf("lost %v, %v", lost, err)
	}
}

func TestRefused(t *testing.T) {
	inNamespace(t)
	g := start(t, Config{OwnNamespaceOnly: true})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// As Go and every event loop does it: a blocking connect(2) that fails
	// makes the kernel forget the remote address, and nothing can be told.
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	unix.Close(fd)
	v := g.until("connect-failed", func(o *activity.Observation) bool { return o.Event.Kind == activity.KindConnectFailed }).Event
	if v.Remote != netip.MustParseAddrPort("127.0.0.1:9") || v.Reason != activity.ReasonRefused || v.Flags&activity.FlagConcluded == 0 {
		t.Errorf("%+v, want refused", v)
	}
}

func TestDatagram(t *testing.T) {
	inNamespace(t)
	me := self(t)
	g := start(t, Config{OwnNamespaceOnly: true})
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if v := g.event(activity.KindBind, u.LocalAddr()); v.Owner != me || v.Proto != activity.UDP {
			t.Errorf("bind %+v", v)
		}
		to := &net.UDPAddr{IP: u.LocalAddr().(*net.UDPAddr).IP, Port: u.LocalAddr().(*net.UDPAddr).Port}
		if to.IP.IsUnspecified() {
			to.IP = net.IPv6loopback
		}
		c, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		g.event(activity.KindBind, c.LocalAddr())
		v := g.event(activity.KindFlow, c.LocalAddr())
		if v.Owner != me || v.Remote.String() != to.String() {
			t.Errorf("flow %+v, want to %v", v, to)
		}
		c.Close()
		v = g.event(activity.KindUnbind, c.LocalAddr())
		if v.Provenance != activity.Observed || v.Owner != me || v.Duration <= 0 || v.Unknown != activity.FactBytes|activity.FactPackets {
			t.Errorf("unbind %+v", v)
		}
		u.Close()
		g.event(activity.KindUnbind, u.LocalAddr())
	}
}

func TestTwoHolders(t *testing.T) {
	inNamespace(t)
	me := self(t)
	l := listen(t)
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := start(t, Config{OwnNamespaceOnly: true})
	other, end := child(t, "wait", nil, f)
	var got *activity.Socket
	for _, s := range g.sockets() {
		if s.Local.String() == l.Addr().String() {
			got = &s
		}
	}
	if got == nil || got.Owner != me || !slices.Contains(got.Holders, me) || !slices.Contains(got.Holders, other) || len(got.Holders) != 2 {
		t.Fatalf("socket %+v, want the holders %v and %v", got, me, other)
	}
	if got.Process == nil || got.Process.Key != me || len(got.Others) != 1 || got.Others[0].Key != other {
		t.Errorf("resolved %+v and %+v", got.Process, got.Others)
	}
	o := g.until("holder", func(o *activity.Observation) bool { return o.What == activity.WhatHolder && o.Key == other })
	if o.Event.Socket != got.Cookie {
		t.Errorf("holder of %d, want %d", o.Event.Socket, got.Cookie)
	}
	end()
	g.until("exit", func(o *activity.Observation) bool { return o.What == activity.WhatExit && o.Key == other })
}

// TestOtherNamespace wants a listener of a process in another network namespace
// found, with netlink and from /proc, and the namespace let go of at its end.
func TestOtherNamespace(t *testing.T) {
	testutil.Root(t, "a network namespace")
	for _, mode := range []string{"netlink", "procfs"} {
		g := start(t, Config{})
		if mode == "procfs" {
			g.spaces.noEnter = true
		}
		key, end := child(t, "listen", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		ns := g.walk.namespace(key.PID)
		v := g.until("listen", func(o *activity.Observation) bool {
			return o.What == activity.WhatEvent && o.Event.Kind == activity.KindListen && o.Event.NetNS == ns
		}).Event
		if v.Owner != key || v.Local != netip.MustParseAddrPort("127.0.0.1:4242") || ns == 0 || (v.Socket == 0) != (mode == "procfs") {
			t.Errorf("%s: %+v, want owner %v in %d", mode, v, key, ns)
		}
		end()
		v = g.until("unlisten", func(o *activity.Observation) bool {
			return o.What == activity.WhatEvent && o.Event.Kind == activity.KindUnlisten && o.Event.NetNS == ns
		}).Event
		if v.Owner != key {
			t.Errorf("%s: %+v, want owner %v", mode, v, key)
		}
		g.scansUntil(func() bool { return g.spaces.find(ns) == nil })
		g.Close()
	}
}

// TestGlance wants a new namespace found although the next scan is far away.
func TestGlance(t *testing.T) {
	testutil.Root(t, "a network namespace")
	g := start(t, Config{})
	g.next = now().boot + uint64(time.Hour)
	key, _ := child(t, "listen", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	g.until("listen", func(o *activity.Observation) bool {
		return o.What == activity.WhatEvent && o.Event.Kind == activity.KindListen && o.Event.Owner == key
	})
}

// TestProcfs does without netlink in its own namespace too.
func TestProcfs(t *testing.T) {
	inNamespace(t)
	me := self(t)
	s, err := Open(Config{MinInterval: 5 * time.Millisecond, MaxInterval: 20 * time.Millisecond, OwnNamespaceOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.spaces.own.close()
	s.spaces.own.conn, s.spaces.own.watches, s.spaces.own.why = nil, nil, unix.EPROTONOSUPPORT
	g := &rig{Source: s, t: t}
	g.sockets()
	l := listen(t)
	if v := g.event(activity.KindListen, l.Addr()); v.Owner != me {
		t.Errorf("%+v, want owner %v", v, me)
	}
	c, a := ends(t, l)
	v := g.event(activity.KindAccept, a.LocalAddr())
	if v.Owner != me || v.Remote.String() != c.LocalAddr().String() {
		t.Errorf("%+v, want owner %v and remote %v", v, me, c.LocalAddr())
	}
	c.Close()
	a.Close()
	v = g.event(activity.KindClose, a.LocalAddr())
	if v.Owner != me || v.Provenance != activity.Inferred || v.Unknown&activity.FactBytes == 0 {
		t.Errorf("%+v, want inferred, bytes unknown", v)
	}
	if i := g.Info(); i.Set != "procfs" {
		t.Errorf("set %q, want procfs", i.Set)
	}
}

// TestOverrun gives the notifications no room: what the kernel drops and what
// it tells must add up to what was closed.
func TestOverrun(t *testing.T) {
	inNamespace(t)
	const n = 300
	g := start(t, Config{OwnNamespaceOnly: true})
	l := listen(t)
	g.event(activity.KindListen, l.Addr())
	for _, w := range g.spaces.own.watches {
		if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		c, a := ends(t, l)
		c.Close()
		eof(t, a)
		a.Close()
	}
	// The kernel notifies from a work queue, in its own time.
	for end := time.Now().Add(20 * time.Second); ; {
		n, err := g.spaces.own.watches[0].dropCount()
		if err != nil || time.Now().After(end) {
			t.Fatalf("no notification dropped: %v", err)
		}
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	observed := uint64(0)
	g.until("every close observed or lost", func(o *activity.Observation) bool {
		if o.What == activity.WhatEvent && o.Event.Kind == activity.KindClose && o.Event.Provenance == activity.Observed {
			observed++
		}
		return observed+g.lost[activity.KindClose] >= 2*n
	})
	lost, _ := g.Lost()
	if lost[activity.KindClose] == 0 || lost[activity.KindClose]+observed != 2*n {
		t.Errorf("%d observed and %d lost, want %d in all and some lost", observed, lost[activity.KindClose], 2*n)
	}
}

func TestDeadlineAndClose(t *testing.T) {
	s, err := Open(Config{MinInterval: time.Hour, OwnNamespaceOnly: true, NoNotifications: true})
	if err != nil {
		t.Fatal(err)
	}
	var o activity.Observation
	s.SetDeadline(time.Now())
	for err == nil {
		err = s.Read(&o)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	s.SetDeadline(time.Time{})
	done := make(chan error)
	go func() { done <- s.Read(&o) }()
	s.SetDeadline(time.Now().Add(-time.Second))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting read after the deadline was moved: %v", err)
	}
	s.SetDeadline(time.Time{})
	go func() { done <- s.Read(&o) }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("waiting read after Close: %v", err)
	}
	if _, err := s.Sockets(func(*activity.Socket) bool { return true }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("sockets after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
