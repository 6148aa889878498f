package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

const (
	basePort = 7000
	fan      = 16 // listeners a thread uses in turn: 28,000 ephemeral ports last 16 times longer
	backlog  = 4096
)

// Who closes first.
const (
	closeAny    = "any"    // the server at once, whatever the client does
	closeClient = "client" // the server waits for the end
	closeServer = "server" // the client waits for the end
	closeReset  = "rst"    // the client, by RST; the server waits for it
)

// addresses returns where the server listens and what the client connects to.
func (o *options) addresses() (listen, connect netip.Addr) {
	switch {
	case o.mapped:
		return netip.IPv6Unspecified(), netip.MustParseAddr("::ffff:127.0.0.1")
	case o.ipv6:
		return netip.IPv6Loopback(), netip.IPv6Loopback()
	}
	v4 := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return v4, v4
}

// tcp makes n connections from this process to another, thread by thread.
func (r *run) tcp(n int) {
	threads := max(1, r.threads)
	n -= n % threads
	args := append([]string{"tcp-server", strconv.Itoa(n)}, r.args()...)
	server := r.peer(child{}, args...)
	listen, connect := r.addresses()
	for i := range threads * fan {
		r.listener(netip.AddrPortFrom(listen, uint16(basePort+i)), server.proc)
	}
	pairs := make([][]truth.Pair, threads)
	fails := make([][]uint16, threads)
	var wg sync.WaitGroup
	m := startMeter()
	server.step()
	for t := range threads {
		wg.Go(func() {
			r.pin(0)
			pairs[t], fails[t] = r.tcpClient(n/threads, connect, basePort+t*fan)
		})
	}
	wg.Wait()
	done := server.report()
	failed := 0
	for _, f := range fails {
		failed += len(f)
	}
	r.stop(m, n, failed, done.CPU)
	server.wait()
	if done.Failed > 0 {
		must("server", fmt.Errorf("%d connections were gone before accept: give -null-accept, or -close any", done.Failed))
	}
	for t := range threads {
		r.tcpTruth(server.proc, connect, pairs[t], fails[t])
	}
}

func (r *run) tcpTruth(server int, connect netip.Addr, pairs []truth.Pair, failed []uint16) {
	to := netip.AddrPortFrom(connect, 0)
	x := truth.Exchange{Proto: activity.TCP, Client: r.self, Server: server, From: to, To: to, Pairs: pairs,
		Reset: r.close == closeReset, Mapped: r.mapped, Bytes: r.close != closeReset || r.data == 0, Up: uint64(r.data), Down: uint64(r.data)}
	r.exchange(x)
	for _, port := range failed {
		r.expect(truth.Expect{End: "client", Kind: activity.KindConnectFailed, Proto: activity.TCP, Proc: r.self,
			Remote: netip.AddrPortFrom(connect, port), Errno: uint16(unix.EADDRNOTAVAIL), Reason: activity.ReasonNoPortsLeft})
	}
}

// tcpClient connects n times and returns the ports of each connection, and to
// which ports an attempt found no local port free.
func (r *run) tcpClient(n int, addr netip.Addr, base int) (pairs []truth.Pair, failed []uint16) {
	var to [fan]*sockaddr
	for i := range to {
		to[i] = newSockaddr(netip.AddrPortFrom(addr, uint16(base+i)))
	}
	pairs = make([]truth.Pair, n)
	buf, own, fam := make([]byte, max(1, r.data)), &sockaddr{}, family(addr)
	pace := newPacer(r.rate / float64(max(1, r.threads)))
	for k := 0; k < n; {
		pace.wait(k)
		s, e := rawSocket(fam, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must("socket", e)
		if e := rawConnect(s, to[k%fan]); e != 0 {
			rawClose(s)
			if e != unix.EADDRNOTAVAIL || len(failed) > 10000 {
				must("connect", e)
			}
			failed = append(failed, uint16(base+k%fan))
			time.Sleep(time.Millisecond)
			continue
		}
		must("getsockname", rawGetsockname(s, own))
		pairs[k] = truth.Pair{Client: own.port(), Server: uint16(base + k%fan)}
		if r.data > 0 {
			must("write", rawWriteFull(s, buf[:r.data]))
			if m, e := rawReadFull(s, buf[:r.data]); e != 0 || m != r.data {
				must("read", errors.Join(fmt.Errorf("%d bytes of %d", m, r.data), e))
			}
		}
		switch r.close {
		case closeReset:
			must("linger", rawLinger(s))
		case closeServer:
			rawRead(s, buf) // the end
		}
		rawClose(s)
		k++
	}
	return pairs, failed
}

// tcpServer is the other process.
func (r *run) tcpServer(n int) {
	threads := max(1, r.threads)
	addr, _ := r.addresses()
	ls := make([]int, threads*fan)
	for i := range ls {
		ls[i] = listenOn(netip.AddrPortFrom(addr, uint16(basePort+i)), 0)
	}
	introduce()
	await()
	before := usage()
	aborted := make([]int, threads)
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() {
			r.pin(1)
			aborted[t] = r.tcpServe(n/threads, ls[t*fan:(t+1)*fan])
		})
	}
	wg.Wait()
	done := report{CPU: usage() - before, Count: n}
	for _, a := range aborted {
		done.Failed += a
	}
	tell(done)
	await() // the parent closes the pipe; then all listeners go at once
}

// tcpServe accepts n connections and serves each to its end. It returns how
// many the kernel took back before accept could tell their peer.
func (r *run) tcpServe(n int, ls []int) (aborted int) {
	buf := make([]byte, max(64, r.data))
	peer := &sockaddr{}
	if r.nullAccept {
		peer = nil
	}
	for k := range n {
		s, e := rawAccept(ls[k%fan], peer)
		if e == unix.ECONNABORTED {
			aborted++
			continue
		}
		must("accept", e)
		if r.data > 0 {
			if m, e := rawReadFull(s, buf[:r.data]); e == 0 && m == r.data {
				must("write", rawWriteFull(s, buf[:r.data]))
			}
		}
		if r.close == closeClient || r.close == closeReset {
			rawRead(s, buf[:1]) // the end, or ECONNRESET
		}
		rawClose(s)
	}
	return aborted
}

// listenOn opens a listener; proto is 0 or IPPROTO_MPTCP.
func listenOn(a netip.AddrPort, proto int) int {
	s, err := unix.Socket(family(a.Addr()), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, proto)
	must("socket", err)
	must("reuse address", unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must("bind "+a.String(), rawBind(s, newSockaddr(a)))
	must("listen", rawListen(s, backlog))
	return s
}

// pacer keeps to a rate, per second; zero is no limit.
type pacer struct {
	start time.Time
	gap   time.Duration
}

func newPacer(rate float64) pacer {
	if rate <= 0 {
		return pacer{}
	}
	return pacer{time.Now(), time.Duration(1e9 / rate)}
}

func (p pacer) wait(k int) {
	if p.gap == 0 {
		return
	}
	if d := time.Until(p.start.Add(time.Duration(k) * p.gap)); d > 0 {
		time.Sleep(d)
	}
}
