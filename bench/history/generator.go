package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// service is a port that this host serves or uses.
type service struct {
	port   uint16
	proto  activity.Proto
	weight int           // of the exchanges, per mille
	long   time.Duration // mean duration
}

// services are 30: a web server that also calls others, with some ports that
// are seldom used.
func services() []service {
	const tcp, udp = activity.TCP, activity.UDP
	return []service{
		{443, tcp, 300, 20 * time.Second}, {80, tcp, 120, 5 * time.Second}, {53, udp, 180, 30 * time.Second}, {5432, tcp, 80, 4 * time.Minute},
		{6379, tcp, 60, 2 * time.Minute}, {8080, tcp, 50, 10 * time.Second}, {22, tcp, 20, 5 * time.Minute}, {9092, tcp, 20, 10 * time.Minute},
		{123, udp, 16, 30 * time.Second}, {25, tcp, 16, 10 * time.Second}, {9100, tcp, 16, time.Second}, {9090, tcp, 12, time.Minute},
		{8443, tcp, 12, 30 * time.Second}, {3306, tcp, 12, 5 * time.Minute}, {11211, tcp, 10, time.Minute}, {5672, tcp, 10, time.Hour},
		{389, tcp, 8, 10 * time.Second}, {636, tcp, 8, 10 * time.Second}, {88, udp, 8, 30 * time.Second}, {514, udp, 8, 10 * time.Minute},
		{2379, tcp, 6, time.Hour}, {6443, tcp, 6, time.Hour}, {8125, udp, 6, 10 * time.Minute}, {161, udp, 5, 30 * time.Second},
		{445, tcp, 3, 10 * time.Minute}, {3389, tcp, 2, 20 * time.Minute}, {993, tcp, 2, 20 * time.Minute}, {21, tcp, 2, time.Minute},
		{5900, tcp, 1, 10 * time.Minute}, {4444, tcp, 1, time.Minute},
	}
}

const (
	processes = 300
	remotes   = 200_000
	listeners = 40 // of them, on the first ports
	netns     = 4026531833
	pidSpace  = 4 << 20
)

// exchange is a socket that will end.
type exchange struct {
	at   int64 // when
	open activity.Event
}

// generator makes the events of one host: the same ones for the same seed.
type generator struct {
	*rand.Rand
	services []service
	weights  []int // cumulative
	procs    []*activity.Process
	which    *rand.Zipf // of the processes
	from     *rand.Zipf // of the remotes
	now      int64
	bootWall int64
	step     float64 // mean ns between two openings
	socket   uint64
	pids     uint32
	strange  uint64     // remotes seen once
	ends     []exchange // a heap by at
	serving  []exchange // listeners, by place: no end set
	due      []activity.Event
}

// newGenerator begins a history of about n events from start on, over a time.
func newGenerator(seed uint64, n int, start time.Time, over time.Duration) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), services: services(), now: start.UnixNano(), pids: 700}
	g.bootWall = g.now - int64(36*time.Hour)
	g.step = float64(over) * 1.9 / float64(max(n, 1)) // nine of ten openings have an end
	sum := 0
	for _, s := range g.services {
		sum += s.weight
		g.weights = append(g.weights, sum)
	}
	g.which = rand.NewZipf(g.Rand, 1.2, 6, processes-1)
	g.from = rand.NewZipf(g.Rand, 1.08, 20, remotes-1)
	for i := range processes {
		g.procs = append(g.procs, g.program(i))
	}
	for i := range listeners {
		g.serving = append(g.serving, exchange{open: g.listen(i)})
	}
	return g
}

// program starts the i-th program anew.
func (g *generator) program(i int) *activity.Process {
	g.pids = 300 + (g.pids+1+g.Uint32N(40))%(pidSpace-300)
	start := uint64(g.now - g.bootWall - int64(time.Minute))
	key := activity.ProcessKey{PID: g.pids, Start: start}
	name := fmt.Sprintf("app-%d", i%60)
	p := &activity.Process{ID: activity.MakeProcessID([]byte("history"), key, 1), Key: key, Execs: 1, Start: g.bootWall + int64(start),
		Name: name, Exe: "/usr/lib/" + name + "/bin/" + name, Args: []string{name, "--shard", fmt.Sprint(i), "--listen", "0.0.0.0"}, Cwd: "/var/lib/" + name,
		Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 1, Start: 1}, Name: "systemd"}},
		UID:       uint32(100 + i%20), EUID: uint32(100 + i%20), GID: 100, LoginUID: activity.NoID, User: fmt.Sprintf("svc%d", i%20), EffectiveUser: fmt.Sprintf("svc%d", i%20),
		ExeDev: 2049, ExeInode: uint64(4000 + i%60), ExePackage: fmt.Sprintf("%s 1.%d-2", name, i%60), Cgroup: "/system.slice/" + name + ".service", CgroupID: uint64(90 + i%60),
		Unit: activity.Unit{Name: name + ".service", Description: "Application " + name}, Modules: activity.ModuleSetID(1 + i%60), NetNS: netns}
	if i%10 == 9 {
		id := fmt.Sprintf("%064x", uint64(i)*0x9e3779b97f4a7c15)
		p.Container = activity.Container{Runtime: "docker", ID: id, Name: name, Image: name + ":1"}
		p.Unit, p.Cgroup = activity.Unit{}, "/system.slice/docker-"+id+".scope"
	}
	return p
}

// moduleSets are those of the programs.
func moduleSets() (sets []*activity.ModuleSet) {
	for i := range 60 {
		s := &activity.ModuleSet{ID: activity.ModuleSetID(1 + i)}
		for m := range 30 {
			lib := i%7*5 + m
			s.Modules = append(s.Modules, activity.Module{Path: fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%d.so.%d", lib, lib%5), Base: 0x7f00_0000_0000 + uint64(i)<<28 + uint64(m)<<21,
				BuildID: fmt.Sprintf("%040x", uint64(lib+1)*0x9e3779b97f4a7c15), Package: fmt.Sprintf("lib%d 1.%d-1", lib, lib%9)})
		}
		sets = append(sets, s)
	}
	return sets
}

// host is this machine's address of the family of another.
func host(remote netip.Addr) netip.Addr {
	if remote.Is4() {
		return netip.AddrFrom4([4]byte{192, 0, 2, 10})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 10})
}

// remote is one of 200,000 addresses, the frequent ones most of the time, and
// one of fifty times one that is never seen again. A sixth are IPv6.
func (g *generator) remote() netip.Addr {
	n := g.from.Uint64()
	if g.IntN(50) == 0 {
		g.strange++
		n = remotes + g.strange
	}
	return remoteOf(n)
}

func remoteOf(n uint64) netip.Addr {
	h := n * 0x9e3779b97f4a7c15 // an odd factor: no two numbers share all bits
	if n%6 == 5 {
		return netip.AddrFrom16([16]byte{0x2a, 2, byte(h >> 56), byte(h >> 48), byte(h >> 40), byte(h >> 32), 0, 1, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)})
	}
	return netip.AddrFrom4([4]byte{byte(11 + n>>24), byte(n>>16) ^ 0x5a, byte(n >> 8), byte(n)})
}

func (g *generator) event(kind activity.Kind, s service) activity.Event {
	return activity.Event{Time: g.now, Boot: uint64(g.now - g.bootWall), Kind: kind, Proto: s.proto, Tier: activity.TierEBPF, NetNS: netns}
}

func (g *generator) by(e *activity.Event, p *activity.Process, role activity.Role) {
	g.socket += 1 + g.Uint64N(4)
	e.Owner, e.Process, e.Role, e.Socket = p.Key, p, role, g.socket
}

// listen has the i-th listener opened by its program.
func (g *generator) listen(i int) activity.Event {
	s := g.services[i%len(g.services)]
	kind := activity.KindListen
	if s.proto == activity.UDP {
		kind = activity.KindBind
	}
	e := g.event(kind, s)
	g.by(&e, g.procs[i], activity.RoleBinder)
	e.Local = netip.AddrPortFrom(netip.IPv6Unspecified(), s.port)
	if i >= len(g.services) {
		e.Local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.port+10000)
	}
	return e
}

// next returns the next event in time. It is valid until the next call.
func (g *generator) next() *activity.Event {
	if len(g.due) == 0 {
		if at := g.now + int64(g.ExpFloat64()*g.step*g.busy()); len(g.ends) > 0 && g.ends[0].at <= at {
			g.now = g.ends[0].at
			g.due = append(g.due, g.end(g.pop().open))
		} else {
			g.now = at
			g.begin()
		}
	}
	e := g.due[0]
	g.due = g.due[1:]
	return &e
}

// busy is how much rarer than on average openings are at this hour.
func (g *generator) busy() float64 {
	hour := time.Unix(0, g.now).UTC().Hour()
	if hour >= 8 && hour < 20 {
		return 0.7
	}
	return 1.7
}

// begin makes what opens now, or fails to.
func (g *generator) begin() {
	i, _ := slices.BinarySearch(g.weights, g.IntN(g.weights[len(g.weights)-1])+1)
	s := g.services[i]
	high := uint16(32768 + g.IntN(28232))
	remote := g.remote()
	switch n := g.IntN(10_000); {
	case n < 1:
		g.restart(g.IntN(listeners))
	case n < 6:
		e := g.event(activity.KindBindFailed, s)
		g.by(&e, g.procs[g.which.Uint64()], activity.RoleBinder)
		e.Local, e.Reason, e.Errno, e.Holder = netip.AddrPortFrom(netip.IPv6Unspecified(), s.port), activity.ReasonAddressInUse, 98, g.procs[i]
		g.due = append(g.due, e)
	case n < 206:
		e := g.event(activity.KindConnectFailed, service{proto: activity.TCP})
		g.by(&e, g.procs[g.which.Uint64()], activity.RoleCreator)
		e.Local, e.Remote = netip.AddrPortFrom(host(remote), high), netip.AddrPortFrom(remote, s.port)
		e.Reason, e.Errno = activity.ReasonRefused, 111
		if n%3 == 0 {
			e.Reason, e.Errno = activity.ReasonTimedOut, 110
		}
		g.due = append(g.due, e)
	case n < 406:
		e := g.event(activity.KindKnock, service{proto: activity.TCP})
		e.Local, e.Remote = netip.AddrPortFrom(host(remote), uint16(1+g.IntN(10000))), netip.AddrPortFrom(remote, high)
		g.due = append(g.due, e)
	case s.proto == activity.UDP:
		e := g.event(activity.KindFlow, s)
		g.by(&e, g.procs[g.which.Uint64()], activity.RoleUser)
		e.Local, e.Remote = netip.AddrPortFrom(host(remote), high), netip.AddrPortFrom(remote, s.port)
		g.start(e, s)
	case n%2 == 0:
		e := g.event(activity.KindAccept, s)
		g.by(&e, g.serving[i].open.Process, activity.RoleAcceptor)
		e.Local, e.Remote, e.Flags = netip.AddrPortFrom(host(remote), s.port), netip.AddrPortFrom(remote, high), activity.FlagInbound
		g.start(e, s)
	default:
		e := g.event(activity.KindConnect, s)
		g.by(&e, g.procs[g.which.Uint64()], activity.RoleCreator)
		e.Local, e.Remote = netip.AddrPortFrom(host(remote), high), netip.AddrPortFrom(remote, s.port)
		g.start(e, s)
	}
}

// start makes an opening due, and sets its end.
func (g *generator) start(e activity.Event, s service) {
	g.due = append(g.due, e)
	g.push(exchange{g.now + 1 + int64(g.ExpFloat64()*float64(s.long)), e})
}

// end makes the end of what an event opened.
func (g *generator) end(e activity.Event) activity.Event {
	e.Duration, e.Time, e.Boot = g.now-e.Time, g.now, uint64(g.now-g.bootWall)
	switch e.Kind {
	case activity.KindListen:
		e.Kind = activity.KindUnlisten
		return e
	case activity.KindBind:
		e.Kind = activity.KindUnbind
		return e
	case activity.KindFlow:
		e.Kind, e.Reason = activity.KindFlowEnd, activity.ReasonIdle
		e.RxPackets, e.TxPackets = 1+g.Uint64N(3), 1+g.Uint64N(3)
		e.Rx, e.Tx = e.RxPackets*(40+g.Uint64N(400)), e.TxPackets*(30+g.Uint64N(60))
		return e
	}
	e.Kind, e.Closer = activity.KindClose, e.Owner.PID
	e.Rx, e.Tx, e.RTT = uint64(g.ExpFloat64()*3000), uint64(g.ExpFloat64()*40000), 200+g.Uint32N(80000)
	e.RxPackets, e.TxPackets = 3+e.Rx/1400, 3+e.Tx/1400
	if g.IntN(25) == 0 {
		e.Flags |= activity.FlagReset
		e.Retransmits = g.Uint32N(5)
	}
	return e
}

// restart has a listener's program end and begin anew: another process.
func (g *generator) restart(i int) {
	g.due = append(g.due, g.end(g.serving[i].open))
	g.procs[i] = g.program(i)
	g.serving[i].open = g.listen(i)
	g.due = append(g.due, g.serving[i].open)
}

// pause lets time pass in which nobody records, and in which half of what would
// have ended has.
func (g *generator) pause(d time.Duration) {
	g.now += int64(d)
	for len(g.ends) > 0 && g.ends[0].at <= g.now {
		g.pop()
	}
	g.due = g.due[:0]
}

// snapshots tells all that is open, as a recorder does when it starts.
func (g *generator) snapshots(yield func(*activity.Event)) {
	for _, x := range slices.Concat(g.serving, g.ends) {
		e := x.open
		e.Time, e.Boot, e.Kind, e.Provenance = g.now, uint64(g.now-g.bootWall), activity.KindSnapshot, activity.Snapshotted
		yield(&e)
	}
}

// push and pop keep ends a heap.
func (g *generator) push(x exchange) {
	g.ends = append(g.ends, x)
	for i := len(g.ends) - 1; i > 0 && g.ends[i].at < g.ends[(i-1)/2].at; i = (i - 1) / 2 {
		g.ends[i], g.ends[(i-1)/2] = g.ends[(i-1)/2], g.ends[i]
	}
}

func (g *generator) pop() exchange {
	first, last := g.ends[0], len(g.ends)-1
	g.ends[0] = g.ends[last]
	g.ends = g.ends[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if g.ends[c].at < g.ends[least].at {
				least = c
			}
		}
		if least == i {
			return first
		}
		g.ends[i], g.ends[least] = g.ends[least], g.ends[i]
		i = least
	}
}
