package testutil

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/testutil/link"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
)

// NetNS is a network namespace of a test's own, with its loopback up. It lives
// until the test ends.
type NetNS struct {
	Inode uint32 // what events call netns

	t  testing.TB
	fd int
}

// Addresses of the two ends of a veth pair: TEST-NET-2 (RFC 5737) and the
// documentation prefix (RFC 3849).
var (
	Veth4 = [2]netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("198.51.100.2/24")}
	Veth6 = [2]netip.Prefix{netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64")}
)

// NewNetNS makes a namespace. The test is skipped where that is not possible,
// and fails where it should be.
func NewNetNS(t testing.TB) *NetNS {
	t.Helper()
	n := &NetNS{t: t, fd: -1}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		if n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open namespace: %w", err)
		}
		return netconf.Up("lo")
	})
	if n.fd >= 0 {
		t.Cleanup(func() { unix.Close(n.fd) })
	}
	Skip(t, Need{What: "a network namespace", Linux: true, Root: true}, err)
	var st unix.Stat_t
	if err := unix.Fstat(n.fd, &st); err != nil {
		t.Fatalf("stat namespace: %v", err)
	}
	n.Inode = uint32(st.Ino)
	return n
}

// Do runs f on a thread in the namespace, and returns when f has. Sockets that
// f makes, and processes that it starts, are in the namespace for good.
// Goroutines that f starts are not. A failing test may end f.
func (n *NetNS) Do(f func()) {
	n.t.Helper()
	finished := false
	err := onThread(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
		f()
		finished = true
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if !finished {
		n.t.FailNow() // f has called Fatal or Skip on the other goroutine
	}
}

// Start starts a command in the namespace.
func (n *NetNS) Start(c *exec.Cmd) error {
	var err error
	n.Do(func() { err = c.Start() })
	return err
}

// Output runs a command in the namespace, its standard error being the test's,
// and returns what it printed.
func (n *NetNS) Output(c *exec.Cmd) ([]byte, error) {
	var out []byte
	var err error
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	n.Do(func() { out, err = c.Output() })
	return out, err
}

// Veth connects the namespace with a new one by a veth pair, "veth0" here and
// "veth1" there, with the addresses of Veth4 and Veth6 in that order.
func (n *NetNS) Veth() *NetNS {
	n.t.Helper()
	peer := NewNetNS(n.t)
	must := func(err error) {
		if err != nil {
			n.t.Fatalf("veth pair: %v", err)
		}
	}
	n.Do(func() { must(netconf.Veth("veth0", "veth1", peer.fd)) })
	for i, ns := range []*NetNS{n, peer} {
		ns.Do(func() {
			name := fmt.Sprintf("veth%d", i)
			must(netconf.AddAddr(name, Veth4[i]))
			must(netconf.Up(name))
			must(netconf.AddAddr(name, Veth6[i]))
		})
	}
	return peer
}

// Link connects the namespace with a new one as Veth does, by TUN devices "tun0"
// and "tun1" and a link that is slow or lossy, with the addresses of Veth4 and
// Veth6 in that order.
func (n *NetNS) Link(c link.Config) *NetNS {
	n.t.Helper()
	peer := NewNetNS(n.t)
	must := func(err error) {
		if err != nil {
			n.t.Fatalf("link: %v", err)
		}
	}
	var ends [2]*os.File
	for i, ns := range []*NetNS{n, peer} {
		ns.Do(func() {
			name := fmt.Sprintf("tun%d", i)
			var err error
			ends[i], err = link.Tun(name)
			must(err)
			must(netconf.AddAddr(name, Veth4[i]))
			must(netconf.QueueLength(name, 20000)) // a window's burst
			must(netconf.Up(name))
			must(netconf.AddAddr(name, Veth6[i]))
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); link.Carry(ends[0], ends[1], c) }()
	n.t.Cleanup(func() { ends[0].Close(); ends[1].Close(); <-done })
	return peer
}

// onThread runs f on a thread that ends with it, so that what f changes of its
// thread goes away too.
//
// It is never the process's first thread: the runtime parks that one instead of
// ending it, and /proc/PID/ns would tell its namespace as the process's for ever.
func onThread(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the runtime ends the thread
		if unix.Gettid() != unix.Getpid() {
			err = f()
			return
		}
		err = onThread(f) // on another one, as this goroutine holds the first
		runtime.UnlockOSThread()
	}()
	<-done
	return err
}
