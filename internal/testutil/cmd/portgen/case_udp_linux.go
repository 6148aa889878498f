package main

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// udpCases are uses of UDP sockets.
func udpCases() []scenario {
	return []scenario{
		{"udp-bind", func(r *run) {
			a := r.local()
			rawClose(r.bindUDP(a))
		}},
		{"udp", func(r *run) { r.datagrams(r.local(), false) }},
		{"udp-connected", func(r *run) { r.datagrams(r.local(), true) }},
		{"udp-ipv6", func(r *run) { r.datagrams(netip.AddrPortFrom(netip.IPv6Loopback(), r.local().Port()), false) }},
		{"udp-mapped", udpMapped},
		{"udp-two-remotes", udpTwoRemotes},
		{"udp-shared", udpShared},
		{"udp-connect-only", udpConnectOnly},
		{"udp-knock", udpKnock},
	}
}

func (r *run) bindUDP(a netip.AddrPort) int {
	r.bound(a, r.self)
	return bindUDP(a)
}

func sendTo(s, n int, to netip.AddrPort) {
	_, e := rawSendto(s, make([]byte, n), newSockaddr(to))
	must("send", e)
}

func receiveFrom(s int) (int, netip.AddrPort) {
	a := &sockaddr{}
	n, e := rawRecvfrom(s, make([]byte, 64<<10), a)
	must("receive", e)
	return n, a.addrPort()
}

// datagrams makes one flow of three datagrams to a, and one back.
func (r *run) datagrams(a netip.AddrPort, connected bool) {
	s := r.bindUDP(a)
	r.flow(s, a, connected)
	rawClose(s)
}

// flow is a client's part of datagrams, with the server's socket s at to.
func (r *run) flow(s int, to netip.AddrPort, connected bool) {
	c := newSocket(to.Addr(), unix.SOCK_DGRAM)
	if connected {
		must("connect", rawConnect(c, newSockaddr(to)))
	}
	var peer netip.AddrPort
	for _, n := range []int{10, 20, 1400} {
		if connected {
			write(c, n)
		} else {
			sendTo(c, n, to)
		}
		_, peer = receiveFrom(s)
	}
	sendTo(s, 100, peer)
	receiveFrom(c)
	rawClose(c)
	r.exchange(truth.Exchange{Proto: activity.UDP, Client: r.self, Server: r.self, From: peer, To: to, Bytes: true, Up: 1430, Down: 100,
		Mapped: to.Addr().Is4In6()})
}

func udpMapped(r *run) {
	port := r.local().Port()
	s := r.bindUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	r.flow(s, netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), port), false)
	rawClose(s)
}

// udpTwoRemotes: one socket, two flows.
func udpTwoRemotes(r *run) {
	var to [2]netip.AddrPort
	var s [2]int
	for i := range s {
		to[i] = r.local()
		s[i] = r.bindUDP(to[i])
	}
	a := r.local()
	c := r.bindUDP(a)
	for i := range s {
		sendTo(c, 10+i, to[i])
		receiveFrom(s[i])
	}
	rawClose(c)
	for i := range s {
		rawClose(s[i])
		for _, x := range []truth.Expect{
			{End: "client", Local: a, Remote: to[i], Tx: uint64(10 + i)},
			{End: "server", Local: to[i], Remote: a, Rx: uint64(10 + i)},
		} {
			r.flowEnds(x)
		}
	}
}

// flowEnds states a flow and its end, from what its end tells.
func (r *run) flowEnds(x truth.Expect) {
	x.Proto, x.Bytes = activity.UDP, true
	if x.Proc == 0 {
		x.Proc = r.self
	}
	first := x
	first.Kind, first.Bytes, first.Rx, first.Tx = activity.KindFlow, false, 0, 0
	r.expect(first)
	x.Kind = activity.KindFlowEnd
	r.expect(x)
}

// udpShared: the parent binds, a child receives.
func udpShared(r *run) {
	a := r.local()
	s := bindUDP(a)
	buf, peer := make([]byte, 64), &sockaddr{}
	pid, user := r.forked(func() int {
		if n, e := rawRecvfrom(s, buf, peer); n != 5 || e != 0 {
			return 1
		}
		return 0
	})
	c := newSocket(a.Addr(), unix.SOCK_DGRAM)
	sendTo(c, 5, a)
	own := netip.AddrPortFrom(a.Addr(), nameOf(c).Port())
	reap(pid, false)
	rawClose(c)
	rawClose(s)
	r.bound(a, r.self, user)
	r.exchange(truth.Exchange{Proto: activity.UDP, Client: r.self, Server: user, ServerAlt: []int{r.self}, From: own, To: a, Bytes: true, Up: 5})
}

// udpConnectOnly: a name server's address is looked at and nothing is sent; the
// port is taken nevertheless. Whether that is a flow is a matter of taste.
func udpConnectOnly(r *run) {
	a := r.local()
	c := newSocket(a.Addr(), unix.SOCK_DGRAM)
	must("connect", rawConnect(c, newSockaddr(a)))
	own := nameOf(c)
	rawClose(c)
	x := truth.Expect{End: "client", Kind: activity.KindBind, Proto: activity.UDP, Local: own, Proc: r.self, Flags: activity.FlagAutoBind}
	r.expect(x)
	x.Kind, x.Flags = activity.KindUnbind, 0
	r.expect(x)
	x.Remote, x.May = a, true
	for _, x.Kind = range []activity.Kind{activity.KindFlow, activity.KindFlowEnd} {
		r.expect(x)
	}
}

// udpKnock: a datagram to a port that nobody has; ICMP says so.
func udpKnock(r *run) {
	a := r.local()
	c := newSocket(a.Addr(), unix.SOCK_DGRAM)
	must("connect", rawConnect(c, newSockaddr(a)))
	own := nameOf(c)
	write(c, 4)
	if _, e := rawRead(c, make([]byte, 8)); e != unix.ECONNREFUSED {
		must("datagram to a closed port ended otherwise", e)
	}
	rawClose(c)
	r.exchange(truth.Exchange{Proto: activity.UDP, Client: r.self, From: own, To: a, Bytes: true, Up: 4})
	r.expect(truth.Expect{End: "server", Kind: activity.KindKnock, Proto: activity.UDP, Local: a, Remote: own})
}
