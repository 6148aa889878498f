package sockdiag

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// role is the environment variable that makes the test binary one of the
// processes that the tests need.
const role = "SOCKDIAG_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "wait": // holds whatever it inherited until its input ends
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
	case "unprivileged":
		os.Exit(runUnprivileged())
	case "listen": // in a namespace of its own
		os.Exit(runListen())
	}
}

func runListen() int {
	l, err := net.Listen("tcp", "127.0.0.1:4242")
	if err == nil {
		err = loopbackUp()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer l.Close()
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// loopbackUp brings up lo in the namespace of the calling thread.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// inNamespace runs the rest of the test on a thread in a new network namespace.
// The thread ends with the test's goroutine.
func inNamespace(t testing.TB) {
	t.Helper()
	testutil.Root(t, "a network namespace")
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare: %v", err)
	}
	if err := loopbackUp(); err != nil {
		t.Fatalf("bring lo up: %v", err)
	}
}

// rig is a Source with its base line taken.
type rig struct {
	*Source
	t    *testing.T
	base []activity.Socket
	seen []activity.Observation
}

func start(t *testing.T, c Config) *rig {
	t.Helper()
	c.MinInterval, c.MaxInterval = 5*time.Millisecond, 20*time.Millisecond
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	g := &rig{Source: s, t: t}
	g.base = g.sockets()
	return g
}

func (g *rig) sockets() (all []activity.Socket) {
	g.t.Helper()
	if _, err := g.Sockets(func(s *activity.Socket) bool { all = append(all, *s); return true }); err != nil {
		g.t.Fatal(err)
	}
	return all
}

// until reads until one of the events matches, and returns it.
func (g *rig) until(what string, match func(*activity.Observation) bool) activity.Observation {
	g.t.Helper()
	g.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		var o activity.Observation
		if err := g.Read(&o); err != nil {
			for _, o := range g.seen[max(0, len(g.seen)-30):] {
				g.t.Logf("seen: %d %v %v->%v owner %v flags %x", o.What, o.Event.Kind, o.Event.Local, o.Event.Remote, o.Event.Owner, o.Event.Flags)
			}
			g.t.Fatalf("waiting for %s: %v", what, err)
		}
		g.seen = append(g.seen, o)
		if match(&o) {
			return o
		}
	}
}

func (g *rig) event(kind activity.Kind, local net.Addr) activity.Event {
	g.t.Helper()
	return g.until(fmt.Sprintf("%v at %v", kind, local), func(o *activity.Observation) bool {
		return o.What == activity.WhatEvent && o.Event.Kind == kind && o.Event.Local.String() == local.String()
	}).Event
}

func self(t *testing.T) activity.ProcessKey {
	t.Helper()
	w, err := newWalker("/")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	k, ok := w.key(uint32(os.Getpid()))
	if !ok {
		t.Fatal("can't find this process")
	}
	return k
}

func TestListen(t *testing.T) {
	inNamespace(t)
	me := self(t)
	g := start(t, Config{OwnNamespaceOnly: true})
	for _, test := range []struct{ network, addr string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"},
	} {
		l, err := net.Listen(test.network, test.addr)
		if err != nil {
			t.Fatal(err)
		}
		v := g.event(activity.KindListen, l.Addr())
		if v.Owner != me || v.Role != activity.RoleHolder || v.Provenance != activity.Observed || v.Socket == 0 {
			t.Errorf("%v: listen = %+v, want owner %v", l.Addr(), v, me)
		}
		if v.Flags&activity.FlagMPTCP == 0 {
			t.Errorf("%v: not marked as Multipath TCP, as Go's listeners are", l.Addr())
		}
		l.Close()
		v = g.event(activity.KindUnlisten, l.Addr())
		if v.Owner != me || v.Provenance != activity.Observed || v.Unknown != 0 || v.Duration <= 0 {
			t.Errorf("%v: unlisten = %+v", l.Addr(), v)
		}
	}
}

func TestConnection(t *testing.T) {
	inNamespace(t)
	me := self(t)
	for _, test := range []struct {
		name          string
		network, addr string
		mapped        bool
	}{
		{"v4", "tcp4", "127.0.0.1", false}, {"v6", "tcp6", "::1", false}, {"mapped", "tcp", "127.0.0.1", true},
	} {
		g := start(t, Config{OwnNamespaceOnly: true})
		at := net.JoinHostPort(test.addr, "0")
		if test.mapped {
			at = ":0"
		}
		l, err := net.Listen(test.network, at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", net.JoinHostPort(test.addr, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)))
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var accept, connect activity.Event
		for _, v := range []*activity.Event{&accept, &connect} {
			*v = g.until("connection", func(o *activity.Observation) bool {
				return o.What == activity.WhatEvent && (o.Event.Kind == activity.KindConnect || o.Event.Kind == activity.KindAccept)
			}).Event
		}
		if accept.Kind != activity.KindAccept {
			accept, connect = connect, accept
		}
		if accept.Kind != activity.KindAccept || accept.Owner != me || accept.Local.String() != a.LocalAddr().String() ||
			accept.Remote.String() != c.LocalAddr().String() || (accept.Flags&activity.FlagMapped != 0) != test.mapped {
			t.Errorf("%s: accept = %+v", test.name, accept)
		}
		if connect.Kind != activity.KindConnect || connect.Owner != me || connect.Local.String() != c.LocalAddr().String() {
			t.Errorf("%s: connect = %+v", test.name, connect)
		}
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write(make([]byte, 77)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, err := a.Read(make([]byte, 1)); err == nil {
			t.Fatal("no end of file")
		}
		a.Close()
		var ends [2]activity.Event
		for i := range ends {
			ends[i] = g.until("close", func(o *activity.Observation) bool {
				return o.What == activity.WhatEvent && o.Event.Kind == activity.KindClose
			}).Event
			v := ends[i]
			rx, tx := uint64(1000), uint64(77)
			if v.Local == connect.Local {
				rx, tx = tx, rx
			}
			if v.Rx != rx || v.Tx != tx || v.Provenance != activity.Observed || v.Unknown != activity.FactCloser ||
				v.Owner != me || v.Duration <= 0 || v.RTT == 0 || v.Reason != activity.ReasonClosed {
				t.Errorf("%s: close = %+v, want rx %d tx %d", test.name, v, rx, tx)
			}
		}
		l.Close()
		g.Close()
	}
}
