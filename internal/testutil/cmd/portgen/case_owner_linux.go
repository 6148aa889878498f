package main

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// ownerCases are the ways in which a socket's user is not simply its maker.
func ownerCases() []scenario {
	return []scenario{
		{"prefork", prefork},
		{"accept-then-fork", acceptThenFork},
		{"scm-rights", scmRights},
		{"accept-elsewhere", acceptElsewhere},
		{"socket-activation", socketActivation},
		{"inetd", inetd},
		{"thread", thread},
		{"fork-without-exec", forkWithoutExec},
		{"kill-9", kill9},
		{"setuid", setuid},
		{"shared-connection", sharedConnection},
		{"never-accepted", neverAccepted},
	}
}

// prefork: the parent listens, a child accepts.
func prefork(r *run) {
	a := r.local()
	l := r.listen(a)
	buf, peer := make([]byte, 8), &sockaddr{}
	pid, worker := r.forked(func() int { return serveOne(l, peer, buf) })
	c, own := dial(a)
	write(c, 1)
	rawClose(c)
	reap(pid, false)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, worker, 1, 0))
}

// serveOne is a forked server: one connection, read to its end.
func serveOne(l int, peer *sockaddr, buf []byte) int {
	s, e := rawAccept(l, peer)
	if e != 0 {
		return int(e)
	}
	for {
		if n, e := rawRead(s, buf); n <= 0 || e != 0 {
			rawClose(s)
			return int(e)
		}
	}
}

// acceptThenFork: the parent accepts, a child serves and closes first.
func acceptThenFork(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	buf := make([]byte, 1)
	pid, worker := r.forked(func() int {
		rawClose(c)
		rawClose(l)
		rawRead(s, buf)
		rawWrite(s, buf)
		rawClose(s)
		return 0
	})
	rawClose(s)
	write(c, 1)
	read(c, 1)
	reap(pid, false)
	drain(c)
	rawClose(c)
	rawClose(l)
	x := r.conn(own, a, r.self, r.self, 1, 1)
	x.ServerAlt, x.ServerCloser = []int{worker}, worker
	r.exchange(x)
}

// socketpair and its two uses: handing a descriptor to a forked child.
func socketpair() (a, b int) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must("socketpair", err)
	return p[0], p[1]
}

func sendFD(s, fd int) {
	must("send descriptor", unix.Sendmsg(s, []byte{0}, unix.UnixRights(fd), nil, 0))
}

// fdMessage is what a forked child needs to receive a descriptor without
// allocating: a msghdr with its buffers.
type fdMessage struct {
	hdr  unix.Msghdr
	iov  unix.Iovec
	byte [1]byte
	oob  [24]byte // CMSG_SPACE(4)
}

func newFDMessage() *fdMessage {
	m := &fdMessage{}
	m.iov.Base = &m.byte[0]
	m.iov.SetLen(1)
	m.hdr.Iov, m.hdr.Control = &m.iov, &m.oob[0]
	m.hdr.SetIovlen(1)
	m.hdr.SetControllen(len(m.oob))
	return m
}

// scmRights: a connected socket goes to another process, which sends on it and
// closes it last.
func scmRights(r *run) {
	a := r.local()
	l := r.listen(a)
	here, there := socketpair()
	m, buf := newFDMessage(), []byte{0, 0, 0, 0, 0}
	pid, user := r.forked(func() int {
		fd := m.receive(there)
		if fd < 0 {
			return 1
		}
		rawRead(there, buf[:1]) // the sender has closed its own by then
		rawWrite(fd, buf)
		rawClose(fd)
		return 0
	})
	c, own := dial(a)
	s := accept(l)
	sendFD(here, c)
	rawClose(c)
	write(here, 1)
	read(s, 5)
	reap(pid, false)
	drain(s)
	for _, fd := range []int{s, l, here, there} {
		rawClose(fd)
	}
	x := r.conn(own, a, r.self, r.self, 5, 0)
	x.ClientAlt, x.ClientCloser = []int{user}, user
	r.exchange(x)
}

// acceptElsewhere: a listener goes to another process, which accepts.
func acceptElsewhere(r *run) {
	a := r.local()
	here, there := socketpair()
	m, buf, peer := newFDMessage(), make([]byte, 8), &sockaddr{}
	pid, user := r.forked(func() int {
		fd := m.receive(there)
		if fd < 0 {
			return 1
		}
		return serveOne(fd, peer, buf)
	})
	l := r.listen(a, user)
	sendFD(here, l)
	rawClose(l)
	c, own := dial(a)
	write(c, 3)
	rawClose(c)
	reap(pid, false)
	rawClose(here)
	rawClose(there)
	r.exchange(r.conn(own, a, r.self, user, 3, 0))
}

// socketActivation: a child executes with the listener as descriptor 3, and the
// parent lets go of it, as systemd does not but inetd's wait mode may.
func socketActivation(r *run) {
	a := r.local()
	l := r.listen(a)
	p := r.withFD(l, "serve-fd3")
	c, own := dial(a)
	p.step()
	write(c, 2)
	rawClose(c)
	p.report()
	p.wait()
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, p.proc, 2, 0))
}

// inetd: the parent accepts and executes a program on the connection.
func inetd(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	p := r.withFD(s, "echo-fd3")
	rawClose(s)
	write(c, 4)
	p.next()
	read(c, 4)
	p.wait()
	drain(c)
	rawClose(c)
	rawClose(l)
	x := r.conn(own, a, r.self, r.self, 4, 4)
	x.ServerAlt, x.ServerCloser = []int{p.proc}, p.proc
	r.exchange(x)
}

// withFD starts a child that has fd as its descriptor 3.
func (r *run) withFD(fd int, role string) *peer {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	must("duplicate", err)
	f := os.NewFile(uintptr(dup), "socket")
	defer f.Close()
	return r.peer(child{files: []*os.File{f}}, role)
}

// thread: a thread other than the first makes the connection; its owner is the
// process all the same.
func thread(r *run) {
	a := r.local()
	l := r.listen(a)
	var own netip.AddrPort
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		c, name := dial(a)
		rawClose(c)
		own = name
	})
	wg.Wait()
	rawClose(accept(l))
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 0, 0))
}

// forkWithoutExec: the child of a fork is a client of its own.
func forkWithoutExec(r *run) {
	a := r.local()
	l := r.listen(a)
	to, buf := newSockaddr(a), make([]byte, 7)
	pid, user := r.forked(func() int { return connectOne(to, buf) })
	s, own := acceptFrom(l)
	read(s, len(buf))
	reap(pid, false)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, user, r.self, len(buf), 0))
}

// connectOne is a forked client.
func connectOne(to *sockaddr, buf []byte) int {
	s, e := rawSocket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if e == 0 {
		e = rawConnect(s, to)
	}
	if e == 0 {
		e = rawWriteFull(s, buf)
	}
	rawClose(s)
	return int(e)
}

// acceptFrom accepts and returns the peer's address too.
func acceptFrom(l int) (int, netip.AddrPort) {
	peer := &sockaddr{}
	s, e := rawAccept(l, peer)
	must("accept", e)
	return s, peer.addrPort()
}

// kill9: a client is killed, and never closes.
func kill9(r *run) {
	a := r.local()
	l := r.listen(a)
	p := r.peer(child{}, "client", a.String())
	own := netip.MustParseAddrPort(p.next().Local)
	s := accept(l)
	must("kill", p.cmd.Process.Kill())
	_ = p.cmd.Wait() // it was killed
	drain(s)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, p.proc, r.self, 0, 0))
}

// setuid: the client is another user than its parent.
func setuid(r *run) {
	r.needRoot()
	a := r.local()
	l := r.listen(a)
	p := r.peer(child{attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 1234, NoSetGroups: true}}}, "client", a.String())
	own := netip.MustParseAddrPort(p.next().Local)
	s := accept(l)
	p.next()
	p.wait()
	drain(s)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, p.proc, r.self, 0, 0))
}

func (r *run) needRoot() {
	if os.Geteuid() != 0 {
		panic(cannot{fmt.Errorf("needs root")})
	}
}

// sharedConnection: parent and child send on one connection in turn.
func sharedConnection(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	buf := make([]byte, 1)
	pid, other := r.forked(func() int {
		for range 5 {
			if rawWriteFull(c, buf) != 0 {
				return 1
			}
		}
		return 0
	})
	for range 5 {
		write(c, 1)
	}
	reap(pid, false)
	read(s, 10)
	rawClose(c)
	drain(s)
	rawClose(s)
	rawClose(l)
	x := r.conn(own, a, r.self, r.self, 10, 0)
	x.ClientAlt, x.ClientCloser = []int{other}, r.self
	r.exchange(x)
}

// neverAccepted: the handshake is done, and the listener goes away. There is no
// accept; the client's end is reset.
func neverAccepted(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	rawClose(l)
	drain(c)
	rawClose(c)
	x := r.conn(own, a, r.self, 0, 0, 0)
	r.exchange(x)
	// The server's end never was anybody's. Recorders may tell it as the
	// listener's, not accepted, or not at all.
	for _, k := range []activity.Kind{activity.KindAccept, activity.KindClose} {
		r.expect(truth.Expect{End: "server", Kind: k, Proto: activity.TCP, Local: a, Remote: own, Proc: r.self, May: true})
	}
}
