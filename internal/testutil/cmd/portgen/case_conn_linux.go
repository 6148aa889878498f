package main

import (
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// connectionCases are kinds of listeners and connections, all of this process.
func connectionCases() []scenario {
	return []scenario{
		{"listen-close", listenClose},
		{"client-first", func(r *run) { r.plain(r.local(), r.local(), 64, 32, closeClient) }},
		{"server-first", func(r *run) { r.plain(r.local(), r.local(), 64, 32, closeServer) }},
		{"reset", func(r *run) { r.plain(r.local(), r.local(), 64, 32, closeReset) }},
		{"ipv6", ipv6},
		{"mapped", mapped},
		{"half-close", halfClose},
		{"shutdown", shutdown},
		{"non-blocking", nonBlocking},
		{"reconnect", reconnect},
		{"large", func(r *run) { r.plain(r.local(), r.local(), 1<<20, 1, closeClient) }},
		{"mptcp", mptcp},
		{"io-uring", ioUring},
		{"two-namespaces", twoNamespaces},
	}
}

// listenClose opens and closes listeners of every shape, with no connection.
func listenClose(r *run) {
	port := func() uint16 { return r.local().Port() }
	for _, a := range []netip.AddrPort{
		r.local(),
		netip.AddrPortFrom(netip.IPv4Unspecified(), port()),
		netip.AddrPortFrom(netip.IPv6Loopback(), port()),
		netip.AddrPortFrom(netip.IPv6Unspecified(), port()),
	} {
		rawClose(r.listen(a))
	}
	s := newSocket(netip.IPv4Unspecified(), unix.SOCK_STREAM)
	must("listen", rawListen(s, 1)) // without bind: the kernel picks a port
	r.listener(nameOf(s), r.self)
	rawClose(s)
}

// plain makes one connection: up and down bytes, then the end as first says.
// where is what the listener binds, to what the client connects to; with the
// same address family loopback both are the same socket's.
func (r *run) plain(where, to netip.AddrPort, up, down int, first string) {
	to = netip.AddrPortFrom(to.Addr(), where.Port())
	l := r.listen(where)
	c, own := dial(to)
	s := accept(l)
	exchangeBytes(c, s, up)
	exchangeBytes(s, c, down)
	a, b := c, s // who closes first, and last
	switch first {
	case closeServer:
		a, b = s, c
	case closeReset:
		must("linger", rawLinger(c))
	}
	rawClose(a)
	drain(b)
	rawClose(b)
	rawClose(l)
	x := r.conn(own, to, r.self, r.self, up, down)
	x.Reset, x.Mapped = first == closeReset, to.Addr().Is4In6()
	x.ClientCloser, x.ServerCloser = r.self, r.self
	r.exchange(x)
}

// exchangeBytes sends n bytes in pieces that the socket buffers hold.
func exchangeBytes(from, to, n int) {
	for n > 0 {
		m := min(n, 16<<10)
		write(from, m)
		read(to, m)
		n -= m
	}
}

func ipv6(r *run) {
	a := netip.AddrPortFrom(netip.IPv6Loopback(), r.local().Port())
	r.plain(a, a, 10, 20, closeClient)
}

// mapped: both sockets are IPv6's, the exchange is IPv4.
func mapped(r *run) {
	port := r.local().Port()
	r.plain(netip.AddrPortFrom(netip.IPv6Unspecified(), port), netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), port), 10, 20, closeClient)
}

// halfClose: the client ends its sending; the server goes on.
func halfClose(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	write(c, 10)
	must("shutdown", unix.Shutdown(c, unix.SHUT_WR))
	if drain(s) != 10 {
		must("half close", unix.EIO)
	}
	write(s, 5000)
	rawClose(s)
	drain(c)
	rawClose(c)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 10, 5000))
}

// shutdown: the connection ends while both still have their socket open.
func shutdown(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	must("shutdown", unix.Shutdown(c, unix.SHUT_RDWR))
	drain(s)
	must("shutdown", unix.Shutdown(s, unix.SHUT_RDWR))
	rawClose(c)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 0, 0))
}

// nonBlocking: connect returns EINPROGRESS and the answer comes later.
func nonBlocking(r *run) {
	a := r.local()
	l := r.listen(a)
	c := newSocket(a.Addr(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
	if e := rawConnect(c, newSockaddr(a)); e != unix.EINPROGRESS {
		must("connect", e)
	}
	s := accept(l)
	own := nameOf(c)
	rawClose(c)
	drain(s)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 0, 0))
}

// reconnect: one socket is connected, dissolved (connect(2), AF_UNSPEC) and
// connected again: two connections of one cookie.
func reconnect(r *run) {
	a := r.local()
	l := r.listen(a)
	c, own := dial(a)
	s := accept(l)
	unspec := &sockaddr{len: unix.SizeofSockaddrInet4}
	must("dissolve", rawConnect(c, unspec))
	drain(s)
	rawClose(s)
	must("connect again", rawConnect(c, newSockaddr(a)))
	again := nameOf(c)
	s = accept(l)
	rawClose(c)
	drain(s)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 0, 0))
	r.exchange(r.conn(again, a, r.self, r.self, 0, 0))
}

// mptcp: both sockets are Multipath TCP's (RFC 8684).
func mptcp(r *run) {
	a := r.local()
	probe, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	able("mptcp socket", err)
	r.listener(a, r.self)
	l := listenOn(a, unix.IPPROTO_MPTCP)
	must("connect", rawConnect(probe, newSockaddr(a)))
	own := nameOf(probe)
	s := accept(l)
	write(probe, 3)
	read(s, 3)
	rawClose(probe)
	drain(s)
	rawClose(s)
	rawClose(l)
	x := r.conn(own, a, r.self, r.self, 3, 0)
	x.Bytes = false // they are counted for the whole, not for the subflow that events tell of
	r.exchange(x)
}

// ioUring: accept, connect, send, receive and close are asked for through a
// ring, so that no system call names a socket.
func ioUring(r *run) {
	u := newURing()
	defer u.close()
	a := r.local()
	l := r.listen(a)
	c := newSocket(a.Addr(), unix.SOCK_STREAM)
	to, buf := newSockaddr(a), make([]byte, 9)
	u.must("connect", u.do(sqe{op: opConnect, fd: int32(c), addr: unsafe.Pointer(&to.raw), off: uint64(to.len)}))
	own := nameOf(c)
	s := u.must("accept", u.do(sqe{op: opAccept, fd: int32(l)}))
	u.must("send", u.do(sqe{op: opSend, fd: int32(c), addr: unsafe.Pointer(&buf[0]), len: uint32(len(buf))}))
	u.must("receive", u.do(sqe{op: opRecv, fd: int32(s), addr: unsafe.Pointer(&buf[0]), len: uint32(len(buf))}))
	u.must("close", u.do(sqe{op: opClose, fd: int32(c)}))
	drain(s)
	u.must("close", u.do(sqe{op: opClose, fd: int32(s)}))
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, len(buf), 0))
}

// twoNamespaces: client and server are in different namespaces, on the two ends
// of a veth pair; then the client knocks at a port there that nobody has.
func twoNamespaces(r *run) {
	r.ownNS()
	near, far := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24") // TEST-NET-1
	to := netip.AddrPortFrom(far.Addr(), r.local().Port())
	p := r.peer(child{attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}}, "far-server", to.String())
	ns, err := os.Open("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/ns/net")
	must("open namespace", err)
	defer ns.Close()
	var st unix.Stat_t
	must("stat namespace", unix.Fstat(int(ns.Fd()), &st))
	r.log.NetNS = append(r.log.NetNS, uint32(st.Ino))
	able("veth", netconf.Veth("near", "far", int(ns.Fd())))
	must("address", netconf.AddAddr("near", near))
	must("link", netconf.Up("near"))
	p.next()
	c, own := dial(to)
	write(c, 8)
	rawClose(c)
	p.report()
	r.knock(netip.AddrPortFrom(near.Addr(), 0), netip.AddrPortFrom(far.Addr(), r.local().Port()))
	p.wait()
	r.listener(to, p.proc)
	r.exchange(r.conn(own, to, r.self, p.proc, 8, 0))
}

// farServer is the child of twoNamespaces.
func farServer(a netip.AddrPort) {
	introduce()
	await()
	must("link", netconf.Up("lo"))
	must("address", netconf.AddAddr("far", netip.PrefixFrom(a.Addr(), 24)))
	must("link", netconf.Up("far"))
	l := listenOn(a, 0)
	tell(report{})
	s := accept(l)
	drain(s)
	rawClose(s)
	tell(report{})
	await()
	rawClose(l)
}

// knock connects to a port that nobody has, from an address with a port that
// is known beforehand, and states both ends of it.
func (r *run) knock(from, to netip.AddrPort) {
	s := newSocket(to.Addr(), unix.SOCK_STREAM)
	must("bind", rawBind(s, newSockaddr(from)))
	own := nameOf(s)
	if e := rawConnect(s, newSockaddr(to)); e != unix.ECONNREFUSED {
		must("connect to a closed port", e)
	}
	rawClose(s)
	r.connectFailed(own, to, unix.ECONNREFUSED, activity.ReasonRefused)
	r.expect(truth.Expect{End: "server", Kind: activity.KindKnock, Proto: activity.TCP, Local: to, Remote: own})
}

func (r *run) connectFailed(own, to netip.AddrPort, e unix.Errno, why activity.Reason) {
	r.expect(truth.Expect{End: "client", Kind: activity.KindConnectFailed, Proto: activity.TCP, Local: own, Remote: to, Proc: r.self,
		Errno: uint16(e), Reason: why})
}
