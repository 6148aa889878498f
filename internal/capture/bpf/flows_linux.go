//go:build amd64 || arm64

package bpf

import (
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portreporter/portreporter/internal/activity"
)

// flowTable holds the UDP flows that have begun and not ended, so that each
// ends exactly once: when its socket closes, or after the idle time. The
// counters stay in the kernel; see src/udp.h.
type flowTable struct {
	idle  time.Duration
	open  map[uint64]*socketFlows // by socket cookie
	n     int
	swept time.Time
	spare []*socketFlows // recycled: a socket and flow a datagram is the common case
}

// socketFlows are the flows of one socket: the first in place, as most have
// no other.
type socketFlows struct {
	first  flowState
	more   map[netip.AddrPort]flowState
	missed uint8 // sweeps in a row that found no such socket
}

// flowState is what the end of a flow repeats of its beginning.
type flowState struct {
	local, remote netip.AddrPort
	owner         activity.ProcessKey
	boot          uint64
	time          int64
	netns         uint32
	flags         activity.Flags
	unknown       activity.Facts
	missed        uint8 // sweeps in a row that did not find it in the kernel
	used          bool
}

func newFlowTable(idle time.Duration) flowTable {
	return flowTable{idle: idle, open: map[uint64]*socketFlows{}}
}

func (t *flowTable) begin(e *activity.Event) {
	sf := t.open[e.Socket]
	if sf == nil {
		if n := len(t.spare); n > 0 {
			sf, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			sf = &socketFlows{}
		}
		t.open[e.Socket] = sf
	}
	st := flowState{local: e.Local, remote: e.Remote, owner: e.Owner, boot: e.Boot, time: e.Time, netns: e.NetNS, flags: e.Flags, unknown: e.Unknown, used: true}
	had := sf.first.used && sf.first.remote == e.Remote
	if had || !sf.first.used {
		sf.first = st
	} else {
		if sf.more == nil {
			sf.more = map[netip.AddrPort]flowState{}
		}
		_, had = sf.more[e.Remote]
		sf.more[e.Remote] = st
	}
	if !had {
		t.n++
	}
}

// end takes the flow of an end event out of the table, gives the event the
// flow's owner and direction, and reports whether it was there: an idle flow
// has been ended before its socket says so.
func (t *flowTable) end(e *activity.Event) bool {
	st, ok := t.take(e.Socket, e.Remote)
	if ok {
		e.Owner = st.owner
		e.Flags |= st.flags & (activity.FlagInbound | activity.FlagMapped)
	}
	return ok
}

func (t *flowTable) take(socket uint64, remote netip.AddrPort) (flowState, bool) {
	sf := t.open[socket]
	if sf == nil {
		return flowState{}, false
	}
	var st flowState
	if sf.first.used && sf.first.remote == remote {
		st, sf.first = sf.first, flowState{}
	} else if st = sf.more[remote]; st.used {
		delete(sf.more, remote)
	} else {
		return flowState{}, false
	}
	t.n--
	if !sf.first.used && len(sf.more) == 0 {
		delete(t.open, socket)
		t.recycle(sf)
	}
	return st, true
}

func (t *flowTable) recycle(sf *socketFlows) {
	if len(t.spare) < 1024 && sf.more == nil {
		t.spare = append(t.spare, sf)
	}
}

// of lists the remotes of a socket's flows.
func (t *flowTable) of(socket uint64) (rs []netip.AddrPort) {
	sf := t.open[socket]
	if sf == nil {
		return nil
	}
	if sf.first.used {
		rs = append(rs, sf.first.remote)
	}
	for r := range sf.more {
		rs = append(rs, r)
	}
	return rs
}

// endFlows queues the ends of the flows that a closing socket still has, and
// then its unbind, which o is. It reports whether o can be handed on directly.
func (s *Source) endFlows(o *activity.Observation) bool {
	rs := s.flows.of(o.Event.Socket)
	if len(rs) == 0 {
		return true
	}
	for _, r := range rs {
		st, _ := s.flows.take(o.Event.Socket, r)
		f, ok := s.takeFlow(o.Event.Socket, r)
		s.queue = append(s.queue, flowEnd(o.Event.Socket, &st, f, ok, &o.Event, activity.ReasonClosed))
	}
	s.queue = append(s.queue, *o)
	return false
}

// takeFlow takes a flow's counters out of the kernel's map.
func (s *Source) takeFlow(socket uint64, remote netip.AddrPort) (f recorderFlow, ok bool) {
	k := flowKey(socket, remote)
	m := s.maps.Maps["flows"]
	if err := m.Lookup(&k, &f); err != nil {
		return f, false
	}
	_ = m.Delete(&k)
	return f, true
}

func flowKey(socket uint64, remote netip.AddrPort) recorderFlowKey {
	k := recorderFlowKey{Cookie: socket, Port: uint32(remote.Port())}
	if remote.IsValid() {
		k.Addr = remote.Addr().As16() // maps IPv4
	}
	return k
}

// flowEnd makes the end of the flow that begin tells of. Where the kernel has
// lost its counters (known is false) they are unknown, not zero. closing is
// the event of the socket that closes, nil for an idle flow.
func flowEnd(socket uint64, begin *flowState, f recorderFlow, known bool, closing *activity.Event, why activity.Reason) activity.Observation {
	o := activity.Observation{What: activity.WhatEvent, UID: activity.NoID}
	o.Event = activity.Event{
		Kind: activity.KindFlowEnd, Proto: activity.UDP, Tier: activity.TierEBPF, Role: activity.RoleUser, Reason: why,
		Socket: socket, NetNS: begin.netns, Owner: begin.owner, Local: begin.local, Remote: begin.remote,
		Flags: begin.flags, Unknown: begin.unknown, Boot: begin.boot, Time: begin.time,
	}
	e := &o.Event
	if known {
		e.Rx, e.Tx, e.RxPackets, e.TxPackets = f.Rx, f.Tx, f.RxPackets, f.TxPackets
		e.Boot, e.Time = f.Last, begin.time+int64(f.Last-begin.boot)
	} else {
		e.Unknown |= activity.FactBytes | activity.FactPackets
	}
	if closing != nil {
		e.Boot, e.Time, e.Closer = closing.Boot, closing.Time, closing.Closer
		e.Unknown |= closing.Unknown & (activity.FactBytes | activity.FactPackets)
	}
	e.Duration = int64(e.Boot - begin.boot)
	return o
}

// sweepFlows ends the flows that have been idle too long. It is called when
// there is nothing to read, and works at most once in a sixth of the idle time.
func (s *Source) sweepFlows(force bool) {
	t := &s.flows
	if t.n == 0 || !force && time.Since(t.swept) < t.idle/6 {
		return
	}
	t.swept = time.Now()
	now := bootNow()
	found, alive := map[uint64]map[netip.AddrPort]recorderFlow{}, map[uint64]struct{}{}
	add := func(socket uint64, r netip.AddrPort, f recorderFlow) {
		if found[socket] == nil {
			found[socket] = map[netip.AddrPort]recorderFlow{}
		}
		if old, ok := found[socket][r]; !ok || old.Last < f.Last {
			found[socket][r] = f
		}
	}
	s.eachStoredFlow(add)
	_, err := s.scan.live(s.dec.offset, activity.UDP, func(k *activity.Socket, r *recorderRecLive) bool {
		alive[k.Cookie] = struct{}{}
		if r.Fvalid != 0 {
			remote, _ := addrPort(afInet6, &r.Fremote, uint16(r.Fport))
			add(k.Cookie, normal(remote), recorderFlow{Last: r.Flast, Tx: r.Ftx, Rx: r.Frx, TxPackets: r.FtxPackets, RxPackets: r.FrxPackets})
		}
		return true
	})
	if err != nil {
		return
	}
	for socket, sf := range t.open {
		if _, ok := alive[socket]; ok {
			sf.missed = 0
			s.sweepSocket(socket, sf, found[socket], now)
		} else if sf.missed++; sf.missed > 1 { // its unbind was lost: what is left of it ends here
			for _, r := range t.of(socket) {
				f, ok := found[socket][r]
				s.endFlow(socket, r, f, ok, activity.ReasonClosed)
			}
		}
	}
}

// endFlow queues the end of a flow, and takes it out of the kernel's map.
func (s *Source) endFlow(socket uint64, remote netip.AddrPort, f recorderFlow, known bool, why activity.Reason) {
	st, _ := s.flows.take(socket, remote)
	s.queue = append(s.queue, flowEnd(socket, &st, f, known, nil, why))
	k := flowKey(socket, remote)
	_ = s.maps.Maps["flows"].Delete(&k)
}

func normal(a netip.AddrPort) netip.AddrPort {
	if a.Port() == 0 && a.Addr().IsUnspecified() {
		return netip.AddrPort{}
	}
	return a
}

func (s *Source) eachStoredFlow(add func(uint64, netip.AddrPort, recorderFlow)) {
	var cursor ebpf.MapBatchCursor
	keys, vals := make([]recorderFlowKey, 1024), make([]recorderFlow, 1024)
	for {
		n, err := s.maps.Maps["flows"].BatchLookup(&cursor, keys, vals, nil)
		for i := range n {
			a, _ := addrPort(afInet6, &keys[i].Addr, uint16(keys[i].Port))
			add(keys[i].Cookie, normal(a), vals[i])
		}
		if err != nil {
			return
		}
	}
}

// sweepSocket ends what is idle of one socket. A flow that two sweeps did not
// find was evicted by the kernel; one sweep can miss it while it moves between
// the map and its socket.
func (s *Source) sweepSocket(socket uint64, sf *socketFlows, found map[netip.AddrPort]recorderFlow, now uint64) {
	check := func(st *flowState) bool {
		f, ok := found[st.remote]
		if ok {
			st.missed = 0
			return now-f.Last > uint64(s.flows.idle.Nanoseconds()) && f.Last <= now
		}
		st.missed++
		return st.missed > 1
	}
	var over []netip.AddrPort
	if sf.first.used && check(&sf.first) {
		over = append(over, sf.first.remote)
	}
	for r, st := range sf.more {
		if check(&st) {
			over = append(over, r)
		}
		sf.more[r] = st
	}
	for _, r := range over {
		f, ok := found[r]
		s.endFlow(socket, r, f, ok, activity.ReasonIdle)
	}
}
