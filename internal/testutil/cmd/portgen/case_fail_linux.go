package main

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// failureCases are what does not come about.
func failureCases() []scenario {
	return []scenario{
		{"refused", func(r *run) {
			a := r.local()
			r.knock(netip.AddrPortFrom(a.Addr(), 0), a)
		}},
		{"refused-ipv6", func(r *run) {
			r.knock(netip.AddrPortFrom(netip.IPv6Loopback(), 0), netip.AddrPortFrom(netip.IPv6Loopback(), r.local().Port()))
		}},
		{"refused-then-connected", refusedThenConnected},
		{"timed-out", timedOut},
		{"host-unreachable", hostUnreachable},
		{"net-unreachable", netUnreachable},
		{"denied", denied},
		{"no-ports-left", noPortsLeft},
		{"aborted", aborted},
		{"bind-conflict", bindConflict},
		{"bind-conflict-udp", bindConflictUDP},
		{"bind-denied", bindDenied},
		{"bind-no-such-address", bindNoSuchAddress},
		{"listen-conflict", listenConflict},
	}
}

// fails connects and requires one error.
func (r *run) fails(s int, to netip.AddrPort, want unix.Errno, why activity.Reason) {
	own := nameOf(s)
	if e := rawConnect(s, newSockaddr(to)); e != want {
		must("connect to "+to.String()+" ended otherwise", errors.Join(e, want))
	}
	rawClose(s)
	r.connectFailed(own, to, want, why)
}

// from makes a socket that is bound to an address, with a port of the kernel's
// choice: so the local end of a failed connect is known.
func from(a netip.Addr) int {
	s := newSocket(a, unix.SOCK_STREAM)
	must("bind", rawBind(s, newSockaddr(netip.AddrPortFrom(a, 0))))
	return s
}

func refusedThenConnected(r *run) {
	a := r.local()
	s := from(a.Addr())
	own := nameOf(s)
	if e := rawConnect(s, newSockaddr(a)); e != unix.ECONNREFUSED {
		must("connect to a closed port", e)
	}
	r.connectFailed(own, a, unix.ECONNREFUSED, activity.ReasonRefused)
	r.expect(truth.Expect{End: "server", Kind: activity.KindKnock, Proto: activity.TCP, Local: a, Remote: own})
	l := r.listen(a)
	must("connect", rawConnect(s, newSockaddr(a)))
	own = nameOf(s)
	c := accept(l)
	rawClose(s)
	drain(c)
	rawClose(c)
	rawClose(l)
	r.exchange(r.conn(own, a, r.self, r.self, 0, 0))
}

// timedOut: packets leave and nobody answers. One repetition and a bound of half
// a second on the whole; the kernel looks at the clock at the first repetition.
func timedOut(r *run) {
	own, gone := r.link()
	s := from(own)
	must("repetitions", unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1))
	must("timeout", unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500))
	r.fails(s, netip.AddrPortFrom(gone, r.local().Port()), unix.ETIMEDOUT, activity.ReasonTimedOut)
}

// hostUnreachable: nobody on the link has the address.
func hostUnreachable(r *run) {
	own, _ := r.link()
	defer r.sysctl("ipv4/neigh/gen0/mcast_solicit", "1")()
	defer r.sysctl("ipv4/neigh/gen0/retrans_time_ms", "50")()
	to := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.77"), r.local().Port())
	r.fails(from(own), to, unix.EHOSTUNREACH, activity.ReasonHostUnreachable)
}

// netUnreachable: there is no route; no TCP state ever changes.
func netUnreachable(r *run) {
	r.ownNS()
	to := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), r.local().Port()) // TEST-NET-3
	r.fails(newSocket(to.Addr(), unix.SOCK_STREAM), to, unix.ENETUNREACH, activity.ReasonNetUnreachable)
}

// denied: a route says no.
func denied(r *run) {
	r.ownNS()
	to := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.130"), r.local().Port())
	must("route", netconf.AddRoute(netip.PrefixFrom(to.Addr(), 32), netconf.Prohibit))
	r.fails(newSocket(to.Addr(), unix.SOCK_STREAM), to, unix.EACCES, activity.ReasonDenied)
}

// noPortsLeft: two local ports are all there are, and both are taken.
func noPortsLeft(r *run) {
	defer r.sysctl("ipv4/ip_local_port_range", "50000 50001")()
	a := r.local()
	l := r.listen(a)
	var open []int
	for {
		s := newSocket(a.Addr(), unix.SOCK_STREAM)
		e := rawConnect(s, newSockaddr(a))
		if e == unix.EADDRNOTAVAIL {
			rawClose(s)
			break
		}
		must("connect", e)
		open = append(open, s, accept(l))
		r.exchange(r.conn(nameOf(s), a, r.self, r.self, 0, 0))
	}
	r.connectFailed(netip.AddrPort{}, a, unix.EADDRNOTAVAIL, activity.ReasonNoPortsLeft)
	for i := 0; i < len(open); i += 2 {
		rawClose(open[i])
		drain(open[i+1])
		rawClose(open[i+1])
	}
	rawClose(l)
}

// aborted: the caller gives up before there is an answer.
func aborted(r *run) {
	own, gone := r.link()
	s := newSocket(own, unix.SOCK_STREAM|unix.SOCK_NONBLOCK)
	must("bind", rawBind(s, newSockaddr(netip.AddrPortFrom(own, 0))))
	to := netip.AddrPortFrom(gone, r.local().Port())
	if e := rawConnect(s, newSockaddr(to)); e != unix.EINPROGRESS {
		must("connect", e)
	}
	name := nameOf(s)
	rawClose(s)
	r.connectFailed(name, to, 0, activity.ReasonAborted)
}

func (r *run) bindFailed(p activity.Proto, a netip.AddrPort, proc, holder int, e unix.Errno, why activity.Reason) {
	r.expect(truth.Expect{Kind: activity.KindBindFailed, Proto: p, Local: a, Proc: proc, Holder: holder, Errno: uint16(e), Reason: why})
}

func wantBind(s int, a netip.AddrPort, want unix.Errno) {
	if e := rawBind(s, newSockaddr(a)); e != want {
		must("bind ended otherwise", errors.Join(e, want))
	}
	rawClose(s)
}

// bindConflict: another process listens on the port.
func bindConflict(r *run) {
	a := r.local()
	p := r.peer(child{}, "hold-tcp", a.String())
	wantBind(newSocket(a.Addr(), unix.SOCK_STREAM), a, unix.EADDRINUSE)
	p.wait()
	r.listener(a, p.proc)
	r.bindFailed(activity.TCP, a, r.self, p.proc, unix.EADDRINUSE, activity.ReasonAddressInUse)
}

func bindConflictUDP(r *run) {
	a := r.local()
	p := r.peer(child{}, "hold-udp", a.String())
	wantBind(newSocket(a.Addr(), unix.SOCK_DGRAM), a, unix.EADDRINUSE)
	p.wait()
	r.bound(a, p.proc)
	r.bindFailed(activity.UDP, a, r.self, p.proc, unix.EADDRINUSE, activity.ReasonAddressInUse)
}

// bindDenied: a low port, and no privilege.
func bindDenied(r *run) {
	r.needRoot()
	a := netip.AddrPortFrom(r.local().Addr(), 81)
	to := newSockaddr(a)
	pid, user := r.forked(func() int {
		if rawSetUID(1234) != 0 {
			return 1
		}
		s, _ := rawSocket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if rawBind(s, to) != unix.EACCES {
			return 2
		}
		return 0
	})
	reap(pid, false)
	r.proc(user).UID = 1234
	r.bindFailed(activity.TCP, a, user, 0, unix.EACCES, activity.ReasonDenied)
}

// bindNoSuchAddress: an address that is not this host's.
func bindNoSuchAddress(r *run) {
	a := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), r.local().Port())
	wantBind(newSocket(a.Addr(), unix.SOCK_STREAM), a, unix.EADDRNOTAVAIL)
	r.bindFailed(activity.TCP, a, r.self, 0, unix.EADDRNOTAVAIL, activity.ReasonNoSuchAddress)
}

// listenConflict: two sockets may be bound to one port (SO_REUSEADDR), but only
// one may listen.
func listenConflict(r *run) {
	a := r.local()
	var s [2]int
	for i := range s {
		s[i] = newSocket(a.Addr(), unix.SOCK_STREAM)
		must("reuse address", unix.SetsockoptInt(s[i], unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		must("bind", rawBind(s[i], newSockaddr(a)))
	}
	must("listen", rawListen(s[0], 1))
	if e := rawListen(s[1], 1); e != unix.EADDRINUSE {
		must("listen ended otherwise", errors.Join(e, unix.EADDRINUSE))
	}
	rawClose(s[1])
	rawClose(s[0])
	r.listener(a, r.self)
	r.bindFailed(activity.TCP, a, r.self, r.self, unix.EADDRINUSE, activity.ReasonAddressInUse)
}
