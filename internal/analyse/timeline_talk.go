package analyse

import (
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// talkKey is what connections and exchanges have in common that are told
// together.
type talkKey struct {
	kind   activity.Kind
	proto  activity.Proto
	port   uint16         // inbound: the local one
	remote netip.AddrPort // inbound: without its port
	who    program
}

// flowKey names a UDP socket's exchange with one address.
type flowKey struct {
	socket        uint64
	netns         uint32
	local, remote netip.AddrPort
}

func flowOf(e *activity.Event) flowKey {
	if e.Socket != 0 {
		return flowKey{socket: e.Socket, remote: e.Remote}
	}
	return flowKey{netns: e.NetNS, local: e.Local, remote: e.Remote}
}

// tallies are where a connection is counted: its entry's, and its peer's.
type tallies struct{ all, peer *Tally }

func (n tallies) begin(at int64) {
	for _, t := range [...]*Tally{n.all, n.peer} {
		if t != nil {
			t.Count++
			t.Open++
			t.see(at)
		}
	}
}

// end takes the end of one; e is nil where nothing is known of it.
func (n tallies) end(at int64, e *activity.Event) {
	for _, t := range [...]*Tally{n.all, n.peer} {
		if t == nil {
			continue
		}
		t.Open--
		t.see(at)
		if e != nil && e.Kind.Ends() {
			t.Rx, t.Tx = t.Rx+e.Rx, t.Tx+e.Tx
		}
	}
}

// group returns the entry of a key, making it for what h has.
func (t *Timeline) group(k talkKey, h *holding) *Entry {
	e := t.talks[k]
	if e == nil {
		local := h.sock.Local
		switch k.kind {
		case activity.KindConnect, activity.KindSnapshot:
			local = netip.AddrPort{}
		case activity.KindFlow:
			local = netip.AddrPortFrom(local.Addr(), k.port)
		}
		e = t.add(Entry{Kind: k.kind, Proto: k.proto, Local: local, Remote: k.remote, NetNS: h.sock.NetNS, Flags: h.flags,
			Owner: h.sock.Owner, Process: h.sock.Process})
		if !e.Rest {
			t.talks[k] = e
		}
	}
	return e
}

// peer returns the tally of an address at an entry.
func (t *Timeline) peer(e *Entry, a netip.Addr) *Tally {
	if n := e.peers[a]; n != nil {
		return n
	}
	if t.peers >= maxPeers {
		return &e.more
	}
	t.peers++
	if e.peers == nil {
		e.peers = map[netip.Addr]*Tally{}
	}
	n := &Tally{}
	e.peers[a] = n
	return n
}

// direction tells who began what h is; KindSnapshot when it is not on record.
func (h *holding) direction() activity.Kind {
	switch {
	case h.flags&activity.FlagInbound != 0, h.sock.Role == activity.RoleAcceptor, h.sock.Role == activity.RoleListener:
		return activity.KindAccept
	case h.sock.Role == activity.RoleCreator:
		return activity.KindConnect
	}
	return activity.KindSnapshot
}

// talk counts a connection. One that only changes its owner goes on.
func (t *Timeline) talk(h *holding) {
	if h.prior != nil {
		t.talking[h] = t.talking[h.prior]
		delete(t.talking, h.prior)
		return
	}
	kind := h.direction()
	if kind != activity.KindConnect {
		if on := t.holder(h.sock.NetNS, h.sock.Proto, h.sock.Local, h.sock.Owner); on != nil && on.entry.HoldsPort() {
			t.talking[h] = tallies{&on.entry.Tally, t.peer(on.entry, h.sock.Remote.Addr())}
			t.talking[h].begin(h.since.At)
			return
		}
	}
	k := talkKey{kind: kind, proto: h.sock.Proto, remote: h.sock.Remote, who: t.program(h.sock.Process)}
	if kind == activity.KindAccept {
		k.port, k.remote = h.sock.Local.Port(), netip.AddrPortFrom(h.sock.Remote.Addr(), 0)
	}
	e := t.group(k, h)
	e.by(h.sock.Owner)
	t.talking[h] = tallies{all: &e.Tally}
	t.talking[h].begin(h.since.At)
}

// talked counts a connection's end.
func (t *Timeline) talked(h *holding, end Instant, by *activity.Event) {
	if by != nil && by.Kind == activity.KindSnapshot {
		return // another has it now
	}
	if n, ok := t.talking[h]; ok {
		n.end(end.At, by)
		delete(t.talking, h)
	}
}

// flow counts an exchange of datagrams.
func (t *Timeline) flow(e *activity.Event) {
	k := flowOf(e)
	n, known := t.flows[k]
	if e.Kind == activity.KindFlow && known {
		n.end(e.Time, nil) // its end went unseen
		known = false
	}
	if !known {
		began := e.Time
		if e.Unknown&activity.FactDuration == 0 {
			began -= e.Duration
		}
		n = t.exchange(e)
		n.begin(began)
		t.flows[k] = n
	}
	if e.Kind == activity.KindFlowEnd {
		n.end(e.Time, e)
		delete(t.flows, k)
	}
}

// exchange finds where to count a flow: at the port, or at its program.
func (t *Timeline) exchange(e *activity.Event) tallies {
	h := t.tracker.open[socketKey{cookie: e.Socket}]
	if e.Socket == 0 || h == nil {
		h = t.holder(e.NetNS, e.Proto, e.Local, e.Owner)
	}
	if h != nil && h.entry != nil && h.entry.HoldsPort() {
		return tallies{&h.entry.Tally, t.peer(h.entry, e.Remote.Addr())}
	}
	k := talkKey{kind: activity.KindFlow, proto: e.Proto, remote: e.Remote, who: t.program(e.Process)}
	if e.Flags&activity.FlagInbound != 0 {
		k.port, k.remote = e.Local.Port(), netip.AddrPortFrom(e.Remote.Addr(), 0)
	}
	at := t.group(k, &holding{sock: socketOf(e), flags: e.Flags})
	at.by(e.Owner)
	return tallies{all: &at.Tally}
}

// hush ends the exchanges of a run that is over: nothing tells when they did.
func (t *Timeline) hush() {
	for k, n := range t.flows {
		n.end(n.all.Last, nil)
		delete(t.flows, k)
	}
}
