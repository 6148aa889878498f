package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// scenario is one way to use a port. Each leaves nothing behind, and has ports
// of its own, so that its events can be told from all others.
type scenario struct {
	name string
	f    func(*run)
}

func cases() []scenario {
	var all []scenario
	for _, part := range [][]scenario{ownerCases(), imageCases(), connectionCases(), failureCases(), udpCases()} {
		all = append(all, part...)
	}
	return all
}

// pick returns the scenarios of a comma separated list, or all.
func pick(list string) (out []scenario, err error) {
	all := cases()
	if list == "all" {
		return all, nil
	}
next:
	for _, name := range strings.Split(list, ",") {
		for _, c := range all {
			if c.name == name {
				out = append(out, c)
				continue next
			}
		}
		return nil, fmt.Errorf("unknown scenario %q", name)
	}
	return out, nil
}

// cannot is why a scenario is skipped: this kernel or user lacks what it takes.
type cannot struct{ err error }

func (r *run) cases(list string) {
	picked, err := pick(list)
	must("scenarios", err)
	for i, c := range picked {
		r.cse, r.port = c.name, uint16(6100+10*i)
		r.try(c.f)
	}
}

func (r *run) try(f func(*run)) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case cannot:
			r.log.Skips = append(r.log.Skips, truth.Skip{Case: r.cse, Why: v.err.Error()})
		case failure:
			panic(failure{fmt.Errorf("%s: %w", r.cse, v.err)})
		default:
			panic(v)
		}
	}()
	f(r)
}

// able skips the scenario if err is one of the errors by which a kernel says
// that it has no such thing.
func able(what string, err error) {
	for _, e := range []unix.Errno{unix.ENOSYS, unix.EPROTONOSUPPORT, unix.ENOPROTOOPT, unix.EAFNOSUPPORT} {
		if errors.Is(err, e) {
			panic(cannot{fmt.Errorf("%s: %w", what, err)})
		}
	}
	must(what, err)
}

// local returns the scenario's next address: loopback, with a port of its own.
func (r *run) local() netip.AddrPort {
	r.port++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), r.port)
}

// listen opens a listener of this process; the caller closes it, after all who
// inherited it.
func (r *run) listen(a netip.AddrPort, closers ...int) int {
	r.listener(a, r.self, closers...)
	return listenOn(a, 0)
}

// dial connects and returns the socket and its own address.
func dial(to netip.AddrPort) (int, netip.AddrPort) {
	s := newSocket(to.Addr(), unix.SOCK_STREAM)
	must("connect", rawConnect(s, newSockaddr(to)))
	return s, nameOf(s)
}

func newSocket(a netip.Addr, kind int) int {
	s, err := unix.Socket(family(a), kind|unix.SOCK_CLOEXEC, 0)
	must("socket", err)
	return s
}

func nameOf(s int) netip.AddrPort {
	a := &sockaddr{}
	must("getsockname", rawGetsockname(s, a))
	return a.addrPort()
}

func accept(l int) int {
	s, e := rawAccept(l, &sockaddr{})
	must("accept", e)
	return s
}

func write(s, n int) { must("write", rawWriteFull(s, make([]byte, n))) }

func read(s, n int) {
	if m, e := rawReadFull(s, make([]byte, n)); e != 0 || m != n {
		must("read", errors.Join(fmt.Errorf("%d bytes of %d", m, n), e))
	}
}

// drain reads to the end and returns how much there was; a reset is an end.
func drain(s int) (n int) {
	b := make([]byte, 4096)
	for {
		m, e := rawRead(s, b)
		if m <= 0 || e != 0 {
			return n
		}
		n += m
	}
}

// conn states one connection, and how much went each way.
func (r *run) conn(from, to netip.AddrPort, client, server, up, down int) truth.Exchange {
	return truth.Exchange{Proto: activity.TCP, Client: client, Server: server, From: from, To: to, Bytes: true, Up: uint64(up), Down: uint64(down)}
}

// link makes a link whose other end nobody listens at, once: packets to gone
// leave and are never answered.
func (r *run) link() (own, gone netip.Addr) {
	own, gone = netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("198.51.100.9") // TEST-NET-2, RFC 5737
	if r.linked {
		return own, gone
	}
	r.ownNS()
	able("veth", netconf.Veth("gen0", "gen1", -1))
	must("address", netconf.AddAddr("gen0", netip.PrefixFrom(own, 24)))
	must("link", netconf.Up("gen0"))
	must("link", netconf.Up("gen1"))
	must("neighbour", netconf.AddNeigh("gen0", gone, [6]byte{2, 0, 0, 0, 0, 9}))
	r.linked = true
	return own, gone
}

// ownNS skips the scenario unless the namespace is this run's own to configure.
func (r *run) ownNS() {
	if r.here {
		panic(cannot{errors.New("needs a network namespace of its own: not with -here")})
	}
}

// sysctl sets a per-namespace setting and returns what sets it back.
func (r *run) sysctl(name, value string) (restore func()) {
	r.ownNS()
	path := "/proc/sys/net/" + name
	old, err := os.ReadFile(path)
	must("sysctl", err)
	must("sysctl", os.WriteFile(path, []byte(value), 0))
	return func() { must("sysctl", os.WriteFile(path, old, 0)) }
}
