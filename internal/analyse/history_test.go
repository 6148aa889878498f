package analyse

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// tenure is the truth about one socket while one owner had it.
type tenure struct {
	key      socketKey
	boot     int
	kind     activity.Kind // of the opening
	proto    activity.Proto
	local    netip.AddrPort
	remote   netip.AddrPort
	owner    *activity.Process
	opened   int64 // UTC ns: the socket, by whichever owner
	from, to int64 // this owner; to 0: still
	seen     bool  // some run of the recorder recorded it
	told     bool  // so was its end
	heir     bool  // it was another's before
	silently bool  // it got it while nobody recorded
	rx, tx   uint64
}

func (n *tenure) openAt(at int64) bool { return n.from <= at && (n.to == 0 || at < n.to) }

// span is a run of the recorder.
type span struct{ from, to int64 }

// history is what happened to the sockets of an invented machine, and what a
// recorder that was restarted, crashed and rebooted recorded of it.
type history struct {
	rnd    *rand.Rand
	now    int64
	boot   int
	cookie uint64
	pid    uint32
	on     bool
	seq    uint64

	open    []*tenure
	tenures []*tenure // all that ever were
	events  []*activity.Event
	runs    []span
}

// newHistory makes up a history of n steps. The same seed gives the same.
func newHistory(seed uint64, n int) *history {
	h := &history{rnd: rand.New(rand.NewPCG(seed, 1)), now: 1767225600e9}
	h.start()
	for range n {
		h.now += 1e6 + h.rnd.Int64N(1e9)
		h.step()
	}
	h.now += 1e9
	h.stop(true)
	return h
}

func (h *history) stream() iter.Seq2[*activity.Event, error] { return streamOf(h.events) }

func streamOf(events []*activity.Event) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (h *history) step() {
	switch n := h.rnd.IntN(100); {
	case n < 15:
		h.opens(activity.KindListen)
	case n < 20:
		h.opens(activity.KindBind)
	case n < 40:
		h.opens(activity.KindAccept)
	case n < 55:
		h.opens(activity.KindConnect)
	case n < 85:
		h.closes()
	case n < 90:
		h.handsOver()
	case n < 93 && h.on:
		h.stop(h.rnd.IntN(2) == 0)
	case n < 94:
		h.reboot()
	case !h.on:
		h.start()
	default:
		h.fails()
	}
}

func (h *history) process() *activity.Process {
	h.pid++
	name := []string{"nginx", "sshd", "curl", "a\x1b[31m\nb"}[h.rnd.IntN(4)]
	k := activity.ProcessKey{PID: h.pid, Start: uint64(h.now)}
	return &activity.Process{ID: activity.MakeProcessID([]byte{byte(h.boot)}, k, 0), Key: k, Start: h.now, Name: name, Exe: "/usr/bin/" + name, User: "root", LoginUID: activity.NoID}
}

func (h *history) record(e *activity.Event) {
	if h.on {
		h.seq++
		e.Seq, e.Tier = h.seq, activity.TierEBPF
		h.events = append(h.events, e)
	}
}

func (n *tenure) event(k activity.Kind, at int64) *activity.Event {
	e := &activity.Event{Kind: k, Time: at, Proto: n.proto, Local: n.local, Remote: n.remote, Socket: n.key.cookie, Owner: n.owner.Key, Process: n.owner}
	switch n.kind {
	case activity.KindAccept:
		e.Flags, e.Role = activity.FlagInbound, activity.RoleAcceptor
	case activity.KindConnect:
		e.Role = activity.RoleCreator
	}
	return e
}

func (h *history) opens(kind activity.Kind) {
	n := &tenure{boot: h.boot, kind: kind, proto: activity.TCP, owner: h.process(), opened: h.now, from: h.now, seen: h.on}
	port := uint16(8000 + h.rnd.IntN(4))
	here := netip.MustParseAddr("192.0.2.1")
	peer := netip.AddrFrom4([4]byte{198, 51, 100, byte(h.rnd.IntN(8))})
	h.cookie++
	high := uint16(10000 + h.cookie%50000)
	switch kind {
	case activity.KindBind:
		n.proto, n.local = activity.UDP, netip.AddrPortFrom(here, port)
	case activity.KindListen:
		n.local = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	case activity.KindAccept:
		n.local, n.remote = netip.AddrPortFrom(here, port), netip.AddrPortFrom(peer, high)
	case activity.KindConnect:
		n.local, n.remote = netip.AddrPortFrom(here, high), netip.AddrPortFrom(peer, port)
	}
	n.key.cookie = h.cookie
	if h.rnd.IntN(10) == 0 { // one of an import: it is known by its ends alone
		n.key = socketKey{local: n.local, remote: n.remote, proto: n.proto}
		for _, o := range h.open {
			if o.key == n.key {
				return
			}
		}
	}
	h.open, h.tenures = append(h.open, n), append(h.tenures, n)
	h.record(n.event(kind, h.now))
}

func (h *history) closes() {
	if len(h.open) == 0 {
		return
	}
	i := h.rnd.IntN(len(h.open))
	n := h.open[i]
	h.open = append(h.open[:i], h.open[i+1:]...)
	n.to, n.told = h.now, h.on
	n.seen = n.seen || h.on
	kind := map[activity.Kind]activity.Kind{activity.KindListen: activity.KindUnlisten, activity.KindBind: activity.KindUnbind}[n.kind]
	if kind == activity.KindNone {
		kind, n.rx, n.tx = activity.KindClose, h.rnd.Uint64N(1000), h.rnd.Uint64N(1000)
	}
	e := n.event(kind, h.now)
	e.Duration, e.Rx, e.Tx = h.now-n.opened, n.rx, n.tx
	h.record(e)
}

// handsOver gives a socket to another process, which reconciliation finds.
func (h *history) handsOver() {
	if len(h.open) == 0 {
		return
	}
	i := h.rnd.IntN(len(h.open))
	old := h.open[i]
	heir := *old
	old.to = h.now
	heir.owner, heir.from, heir.seen, heir.heir, heir.silently = h.process(), h.now, h.on, true, !h.on
	h.open[i], h.tenures = &heir, append(h.tenures, &heir)
	h.now += 1e6
	e := heir.event(activity.KindSnapshot, h.now)
	e.Provenance = activity.Inferred
	h.record(e)
}

func (h *history) start() {
	if h.on {
		return
	}
	h.on, h.seq = true, 0
	h.runs = append(h.runs, span{from: h.now})
	h.record(&activity.Event{Kind: activity.KindRecorderStart, Time: h.now, Coverage: &activity.Coverage{From: h.now}})
	begun := h.now
	for _, n := range h.open {
		h.now += 1e5
		e := n.event(activity.KindSnapshot, h.now)
		e.Provenance, n.seen = activity.Snapshotted, true
		found := *e.Process // whose start is known to the tick, and its number so is another
		found.Key.Start -= found.Key.Start % tick
		found.Start -= found.Start % int64(tick)
		found.ID = activity.MakeProcessID([]byte{byte(h.boot)}, found.Key, 0)
		e.Process, e.Owner = &found, found.Key
		h.record(e)
	}
	h.runs[len(h.runs)-1].from = begun
}

func (h *history) stop(ordered bool) {
	if !h.on {
		return
	}
	if ordered {
		h.record(&activity.Event{Kind: activity.KindRecorderStop, Time: h.now, Coverage: &activity.Coverage{To: h.now}})
	}
	h.runs[len(h.runs)-1].to = h.events[len(h.events)-1].Time
	h.on = false
}

func (h *history) reboot() {
	h.stop(false)
	for _, n := range h.open {
		n.to = h.now
	}
	h.open, h.cookie = nil, 0
	h.boot++
	h.now += 1e9
	h.start()
}

func (h *history) fails() {
	p := h.process()
	e := &activity.Event{Kind: activity.KindBindFailed, Time: h.now, Proto: activity.TCP, Local: netip.MustParseAddrPort("0.0.0.0:8000"),
		Owner: p.Key, Process: p, Reason: activity.ReasonAddressInUse}
	if h.rnd.IntN(2) == 0 {
		e = &activity.Event{Kind: activity.KindKnock, Time: h.now, Proto: activity.TCP, Local: netip.MustParseAddrPort("192.0.2.1:8000"),
			Remote: netip.MustParseAddrPort("198.51.100.1:999")}
	}
	h.record(e)
}

// run returns the run that recorded the moment at, if one did.
func (h *history) run(at int64) (span, bool) {
	for _, r := range h.runs {
		if r.from <= at && at <= r.to {
			return r, true
		}
	}
	return span{}, false
}

// names writes sockets so that they can be compared.
func nameOf(k socketKey, owner activity.ProcessKey) string {
	return fmt.Sprintf("%d %s %s %d by %d", k.cookie, k.local, k.remote, k.proto, owner.PID)
}
