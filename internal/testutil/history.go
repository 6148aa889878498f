package testutil

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// History makes up what happens to the ports of a busy server: coherent (what
// ends has begun, by the same owner, with the same cookie), without end, and the
// same for the same seed. It is for property tests and for measuring bytes and
// time an event on a realistic mix.
//
// The mix: of ten beginnings about five are accepted connections (one of a few
// services, from many clients), two outbound connections (half of them of short-
// lived processes), two look-ups by UDP, and the rest failures, knocks and
// listeners that come and go. Services and clients are chosen unevenly, as in
// life: the n-th is as likely as 1/n.
type History struct {
	rnd     *rand.Rand
	now     int64 // UTC ns
	boot    uint64
	cookie  uint64
	pid     uint32
	servers []service
	procs   []*activity.Process
	clients *rand.Zipf
	which   *rand.Zipf
	ends    endings
	queue   []activity.Event
}

type service struct {
	proc *activity.Process
	port uint16
}

// historyEpoch is where every history begins, UTC ns: 2026-01-01T00:00:00Z.
const historyEpoch = 1767225600e9

// NewHistory returns the history of a seed.
func NewHistory(seed uint64) *History {
	h := &History{rnd: rand.New(rand.NewPCG(seed, 0x706f7274)), now: historyEpoch, boot: 3600e9, pid: 300}
	for i, s := range []struct {
		name string
		port uint16
	}{{"nginx", 443}, {"nginx", 80}, {"postgres", 5432}, {"sshd", 22}, {"redis-server", 6379}, {"java", 8080}, {"node", 3000}, {"dockerd", 2376}} {
		p := h.process(s.name, "/usr/sbin/"+s.name, []string{s.name, "--config", fmt.Sprintf("/etc/%s/%d.conf", s.name, i)})
		h.servers = append(h.servers, service{p, s.port})
		h.queue = append(h.queue, h.event(activity.KindListen, activity.TCP, p, netip.AddrPortFrom(netip.IPv4Unspecified(), s.port), netip.AddrPort{}))
	}
	h.clients = rand.NewZipf(h.rnd, 1.2, 8, 50000)
	h.which = rand.NewZipf(h.rnd, 1.5, 1, uint64(len(h.servers)-1))
	return h
}

// Processes returns every process that events so far belong to. They are shared
// with the events, and must not be changed.
func (h *History) Processes() []*activity.Process { return h.procs }

// Next returns the next event, in the order of time. Its Seq is zero: that is
// the recorder's to give.
func (h *History) Next() activity.Event {
	for len(h.queue) == 0 {
		h.step()
	}
	e := h.queue[0]
	h.queue = h.queue[1:]
	return e
}

// step lets time pass to the next beginning, and what ends before it end.
func (h *History) step() {
	gap := int64(h.rnd.ExpFloat64() * 1e6) // 1,000 beginnings a second
	for len(h.ends) > 0 && h.ends[0].Time <= h.now+gap {
		h.queue = append(h.queue, heap.Pop(&h.ends).(activity.Event))
	}
	h.now += gap
	h.boot += uint64(gap)
	switch n := h.rnd.IntN(100); {
	case n < 50:
		h.inbound()
	case n < 70:
		h.outbound()
	case n < 90:
		h.lookUp()
	case n < 94:
		h.failure()
	case n < 98:
		h.knock()
	default:
		h.listener()
	}
}

func (h *History) process(name, exe string, args []string) *activity.Process {
	h.pid++
	k := activity.ProcessKey{PID: h.pid, Start: h.boot}
	p := &activity.Process{ID: activity.MakeProcessID([]byte("history"), k, 0), Key: k, Start: h.now, Name: name, Exe: exe, Args: args, Cwd: "/",
		Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 1, Start: 1}, Name: "systemd"}}, LoginUID: activity.NoID, User: "root",
		EffectiveUser: "root", Cgroup: "/system.slice/" + name + ".service", Unit: activity.Unit{Name: name + ".service"}}
	h.procs = append(h.procs, p)
	return p
}

// owner returns a new short-lived process, or one of the servers.
func (h *History) owner() *activity.Process {
	if h.rnd.IntN(2) == 0 {
		return h.servers[h.which.Uint64()].proc
	}
	name := []string{"curl", "python3", "apt", "git"}[h.rnd.IntN(4)]
	return h.process(name, "/usr/bin/"+name, []string{name, fmt.Sprintf("https://example.com/%d", h.rnd.IntN(1000))})
}

var historyHost = netip.AddrFrom4([4]byte{192, 0, 2, 10}) // TEST-NET-1

func (h *History) client() netip.AddrPort {
	n := h.clients.Uint64()
	a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	if n%5 == 4 {
		a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n)})
	}
	return netip.AddrPortFrom(a, h.ephemeral())
}

func (h *History) ephemeral() uint16 { return uint16(32768 + h.rnd.IntN(28232)) }

// host returns this host's address of the same family as a.
func host(a netip.Addr) netip.Addr {
	if a.Is4() {
		return historyHost
	}
	return netip.MustParseAddr("2001:db8::10")
}

func (h *History) event(k activity.Kind, p activity.Proto, who *activity.Process, local, remote netip.AddrPort) activity.Event {
	h.cookie++
	e := activity.Event{Time: h.now, Boot: h.boot, Kind: k, Proto: p, Tier: activity.TierEBPF, Local: local, Remote: remote,
		NetNS: 4026531840, Socket: h.cookie}
	if who != nil {
		e.Owner, e.Process = who.Key, who
	}
	return e
}

// last makes the event that ends what e began, after a time around typical.
func (h *History) last(e activity.Event, k activity.Kind, typical float64) activity.Event {
	life := int64(h.rnd.ExpFloat64() * typical)
	e.Kind, e.Duration, e.Reason = k, life, activity.ReasonClosed
	e.Time += life
	e.Boot += uint64(life)
	e.Flags &^= activity.FlagAutoBind
	if k == activity.KindClose || k == activity.KindFlowEnd {
		e.Rx, e.Tx = uint64(h.rnd.ExpFloat64()*2000), uint64(h.rnd.ExpFloat64()*20000)
		e.RxPackets, e.TxPackets = 1+e.Rx/1400, 1+e.Tx/1400
	}
	if k == activity.KindClose {
		e.RTT, e.Closer = uint32(100+h.rnd.IntN(50000)), e.Owner.PID
		if h.rnd.IntN(20) == 0 {
			e.Flags |= activity.FlagReset
			e.Retransmits = uint32(h.rnd.IntN(5))
		}
	}
	heap.Push(&h.ends, e)
	return e
}

func (h *History) begin(e activity.Event) activity.Event {
	h.queue = append(h.queue, e)
	return e
}

func (h *History) inbound() {
	s, from := h.servers[h.which.Uint64()], h.client()
	e := h.event(activity.KindAccept, activity.TCP, s.proc, netip.AddrPortFrom(host(from.Addr()), s.port), from)
	e.Role, e.Flags = activity.RoleAcceptor, activity.FlagInbound
	h.last(h.begin(e), activity.KindClose, 200e6)
}

func (h *History) outbound() {
	to := netip.AddrPortFrom(h.client().Addr(), []uint16{443, 443, 443, 80, 5432, 22}[h.rnd.IntN(6)])
	e := h.event(activity.KindConnect, activity.TCP, h.owner(), netip.AddrPortFrom(host(to.Addr()), h.ephemeral()), to)
	e.Role = activity.RoleCreator
	h.last(h.begin(e), activity.KindClose, 500e6)
}

// lookUp is a DNS query: a bind, a flow, and their ends.
func (h *History) lookUp() {
	local := netip.AddrPortFrom(netip.IPv4Unspecified(), h.ephemeral())
	e := h.event(activity.KindBind, activity.UDP, h.owner(), local, netip.AddrPort{})
	e.Role, e.Flags = activity.RoleBinder, activity.FlagAutoBind
	h.begin(e)
	f := e
	f.Kind, f.Role, f.Flags = activity.KindFlow, activity.RoleUser, 0
	f.Local, f.Remote = netip.AddrPortFrom(historyHost, local.Port()), netip.MustParseAddrPort("192.0.2.53:53")
	end := h.last(h.begin(f), activity.KindFlowEnd, 20e6)
	e.Time, e.Boot = end.Time+1, end.Boot+1 // the socket outlives its flow
	h.last(e, activity.KindUnbind, 1e6)
}

func (h *History) failure() {
	to := h.client()
	e := h.event(activity.KindConnectFailed, activity.TCP, h.owner(), netip.AddrPortFrom(host(to.Addr()), h.ephemeral()), to)
	e.Role, e.Errno, e.Reason = activity.RoleCreator, 111, activity.ReasonRefused
	if h.rnd.IntN(3) == 0 {
		e.Errno, e.Reason = 110, activity.ReasonTimedOut
	}
	h.begin(e)
}

func (h *History) knock() {
	from := h.client()
	e := h.event(activity.KindKnock, activity.TCP, nil, netip.AddrPortFrom(host(from.Addr()), uint16(1+h.rnd.IntN(1024))), from)
	e.Socket = 0
	h.begin(e)
}

func (h *History) listener() {
	a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), h.ephemeral())
	e := h.event(activity.KindListen, activity.TCP, h.owner(), a, netip.AddrPort{})
	e.Role = activity.RoleBinder
	h.last(h.begin(e), activity.KindUnlisten, 60e9)
}

// endings is a heap of what will end, the soonest first.
type endings []activity.Event

func (e endings) Len() int { return len(e) }
func (e endings) Less(i, j int) bool {
	return e[i].Time < e[j].Time || e[i].Time == e[j].Time && e[i].Socket < e[j].Socket
}
func (e endings) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)   { *e = append(*e, x.(activity.Event)) }
func (e *endings) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}
