package main

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

const udpPort = 7100

// udp makes n sockets one after the other; each sends one datagram to another
// process and receives the reply.
func (r *run) udp(n int) {
	r.data = max(1, r.data)
	server := r.peer(child{}, append([]string{"udp-server", strconv.Itoa(n)}, r.args()...)...)
	listen, to := r.addresses()
	r.bound(netip.AddrPortFrom(listen, udpPort), server.proc)
	m := startMeter()
	server.step()
	r.pin(0)
	pairs := r.udpClient(n, netip.AddrPortFrom(to, udpPort))
	done := server.report()
	r.stop(m, n, 0, done.CPU)
	server.wait()
	from := netip.AddrPortFrom(to, 0)
	r.exchange(truth.Exchange{Proto: activity.UDP, Client: r.self, Server: server.proc, From: from, To: from, Pairs: pairs,
		Mapped: r.mapped, Bytes: true, Up: uint64(r.data), Down: uint64(r.data)})
}

func (r *run) udpClient(n int, addr netip.AddrPort) []truth.Pair {
	to, own, fam := newSockaddr(addr), &sockaddr{}, family(addr.Addr())
	pairs := make([]truth.Pair, n)
	buf := make([]byte, r.data)
	pace := newPacer(r.rate)
	for k := range n {
		pace.wait(k)
		s, e := rawSocket(fam, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must("socket", e)
		if r.connected {
			must("connect", rawConnect(s, to))
			_, e = rawWrite(s, buf)
		} else {
			_, e = rawSendto(s, buf, to)
		}
		must("send", e)
		if m, e := rawRead(s, buf); e != 0 || m != r.data {
			must("receive", fmt.Errorf("%d bytes of %d: %w", m, r.data, e))
		}
		must("getsockname", rawGetsockname(s, own))
		pairs[k] = truth.Pair{Client: own.port(), Server: addr.Port()}
		rawClose(s)
	}
	return pairs
}

// udpServer is the other process: it sends back what it gets.
func (r *run) udpServer(n int) {
	addr, _ := r.addresses()
	s := bindUDP(netip.AddrPortFrom(addr, udpPort))
	introduce()
	await()
	before := usage()
	r.pin(1)
	buf, from := make([]byte, 64<<10), &sockaddr{}
	for range n {
		m, e := rawRecvfrom(s, buf, from)
		must("receive", e)
		_, e = rawSendto(s, buf[:m], from)
		must("send", e)
	}
	tell(report{CPU: usage() - before, Count: n})
	await()
}

func bindUDP(a netip.AddrPort) int {
	s, err := unix.Socket(family(a.Addr()), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must("socket", err)
	must("bind "+a.String(), rawBind(s, newSockaddr(a)))
	return s
}
