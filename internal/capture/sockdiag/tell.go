package sockdiag

import (
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// fill sets what every event of a socket has.
func (t *table) fill(o *activity.Observation, e *entry, kind activity.Kind, at stamp) *activity.Event {
	r := &e.row
	o.What, o.UID = activity.WhatEvent, r.uid
	v := &o.Event
	*v = activity.Event{Time: at.utc, Boot: at.boot, Kind: kind, Proto: r.proto, Tier: activity.TierPoll,
		Local: r.local, Remote: r.remote, NetNS: r.ns, Socket: r.cookie, Owner: e.owner}
	if r.mapped {
		v.Flags |= activity.FlagMapped
	}
	if r.mptcp {
		v.Flags |= activity.FlagMPTCP
	}
	if e.kind == activity.KindAccept {
		v.Flags |= activity.FlagInbound
	}
	if e.owner.IsZero() {
		v.Unknown |= activity.FactOwner
	} else {
		v.Role = e.role()
	}
	return v
}

// role is what the owner did to the socket, as far as /proc tells.
func (e *entry) role() activity.Role {
	if e.queued {
		return activity.RoleListener
	}
	return activity.RoleHolder
}

// announce reports a process before the first event that names it.
func (t *table) announce(k activity.ProcessKey) {
	if k.IsZero() {
		return
	}
	p := t.meet(k, t.scan)
	if p == nil {
		return
	}
	o := t.queue.push()
	o.What, o.Key, o.Process, o.UID = activity.WhatProcess, k, p, p.UID
	o.Event.Time, o.Event.Boot, o.Event.Tier = t.at.utc, t.at.boot, activity.TierPoll
}

// tell reports how a socket began, with its other holders.
func (t *table) tell(e *entry, prov activity.Provenance) {
	e.decide(t)
	e.told = true
	listener := t.listenerOf(e)
	if listener != nil {
		e.owner, e.queued = listener.owner, true
	}
	at := e.began
	if at == (stamp{}) {
		at = t.at // seen in no scan
	}
	t.announce(e.owner)
	t.fill(t.queue.push(), e, e.kind, at).Provenance = prov
	e.first = t.queue.pushed
	for _, k := range e.holders {
		if k != e.owner {
			t.tellHolder(e, k)
		}
	}
	if e.kind == activity.KindBind && e.row.remote.IsValid() {
		t.tellFlow(e, at)
	}
}

// listenerOf returns the listener to which a connection is charged that was in
// its accept queue in the last scan. Whether a process has accepted it since is
// not known, so it gets the role of a listener and not FlagNotAccepted.
func (t *table) listenerOf(e *entry) *entry {
	if e.kind != activity.KindAccept || !e.owner.IsZero() || e.row.inode != 0 || !queued(e.row.state) || e.row.cookie == 0 {
		return nil
	}
	l := t.listener(&e.row)
	if l == nil || l.owner.IsZero() {
		return nil
	}
	return l
}

func (t *table) tellHolder(e *entry, k activity.ProcessKey) {
	t.announce(k)
	o := t.queue.push()
	t.fill(o, e, e.kind, t.at)
	o.What, o.Key = activity.WhatHolder, k
}

// tellFlow reports the remote end of a connected UDP socket. That a datagram
// was sent is not known, nor how many.
func (t *table) tellFlow(e *entry, at stamp) {
	v := t.fill(t.queue.push(), e, activity.KindFlow, at)
	v.Provenance = activity.Inferred
	e.first = t.queue.pushed
}

// passed reports a connection or a UDP socket that no scan has seen open: by
// its destroy notification, or by the TIME-WAIT stub that it left.
func (t *table) passed(r *row, at stamp, notified bool) {
	t.changed = true
	e := &entry{row: *r, told: true}
	if r.proto == activity.TCP {
		e.kind = t.kindOfPast(r, notified)
	} else {
		e.kind = activity.KindBind
	}
	if e.kind != activity.KindNone {
		t.fill(t.queue.push(), e, e.kind, at).Provenance = activity.Inferred
		if e.kind == activity.KindBind && r.remote.IsValid() {
			t.tellFlow(e, at)
		}
	}
	var last *row
	if notified {
		last = r
	}
	t.tellEnd(e, at, last)
	if r.proto == activity.TCP {
		t.stubs[stubKey(r)] = &stub{row: *r, told: true, first: t.scan, seen: t.scan}
	}
}

// kindOfPast says how a connection that is over began; KindNone: it never did,
// as its SYN was never acknowledged.
func (t *table) kindOfPast(r *row, notified bool) activity.Kind {
	n, known := r.info.extraAcked()
	switch {
	case notified && known && n >= 2:
		return activity.KindConnect // both its SYN and its FIN
	case t.listener(r) != nil:
		return activity.KindAccept
	case notified && r.info.known && r.info.bytesAcked == 0:
		return activity.KindNone
	}
	return activity.KindConnect
}

// end reports the end of a socket and takes it out of the table. last is its
// destroy notification; nil: it is missing.
func (t *table) end(k key, e *entry, at stamp, last *row) {
	t.changed = true
	delete(t.entries, k)
	undecided := e.row.state == activity.StateSynSent
	if undecided && last != nil && last.info.bytesAcked > 0 {
		e.row.state = activity.StateEstablished // it was, between two scans
		e.kind = activity.KindConnect
		undecided = false
	}
	if !undecided && !e.told {
		t.tell(e, activity.Observed)
	}
	t.tellEnd(e, at, last)
	e.last = t.queue.pushed
	t.leaving = append(t.leaving, e)
	if e.row.state == activity.StateListen {
		t.stopped = append(t.stopped, e)
	}
	if e.row.proto == activity.TCP && e.row.remote.IsValid() {
		s := stubKey(&e.row)
		t.stubs[s] = &stub{row: e.row, told: true, first: t.scan, seen: t.scan}
	}
}

// tellEnd reports the end of a socket, or the failure of one that was never
// more than an attempt.
func (t *table) tellEnd(e *entry, at stamp, last *row) {
	kind := endOf(e.kind)
	v := t.fill(t.queue.push(), e, kind, at)
	if last == nil {
		v.Provenance = activity.Inferred
	}
	if e.began == (stamp{}) {
		v.Unknown |= activity.FactDuration
	} else {
		v.Duration = int64(at.boot - e.began.boot)
	}
	switch kind {
	case activity.KindUnbind:
		v.Unknown |= activity.FactBytes | activity.FactPackets
	case activity.KindConnectFailed:
		failure(v, last)
	case activity.KindClose:
		t.closing(v, e, last)
	}
}

// endOf returns the kind that ends what a kind begins; KindNone stands for an
// attempt.
func endOf(k activity.Kind) activity.Kind {
	switch k {
	case activity.KindListen:
		return activity.KindUnlisten
	case activity.KindBind:
		return activity.KindUnbind
	case activity.KindNone:
		return activity.KindConnectFailed
	}
	return activity.KindClose
}

// failure says why a connection was not established. The kernel does not hand
// on the socket's error, but a segment that came for a SYN and did not
// establish the connection was an RST.
func failure(v *activity.Event, last *row) {
	if last == nil || !last.info.known || last.info.segsIn == 0 {
		v.Unknown |= activity.FactReason
	}
	if last == nil || !last.info.known {
		v.Unknown |= activity.FactRetransmits
		return
	}
	v.Retransmits = last.info.retransmits
	if last.info.segsIn > 0 {
		v.Reason = activity.ReasonRefused
		v.Flags |= activity.FlagConcluded
	}
}

// closing sets the counters of a connection that ended. Where its notification
// does not tell them, they are those of the last scan, and named unknown.
func (t *table) closing(v *activity.Event, e *entry, last *row) {
	v.Unknown |= activity.FactCloser
	if last == nil || !last.info.known || !last.remote.IsValid() {
		v.Unknown |= activity.FactBytes | activity.FactPackets | activity.FactRTT | activity.FactRetransmits
		count(v, &e.row.info)
		v.Rx = e.row.info.rx(peerClosed(e.row.state))
		if last == nil || last.remote.IsValid() {
			v.Unknown |= activity.FactReason
			return
		}
		// close(2) after SO_LINGER with no time, or connect(2) to AF_UNSPEC:
		// tcp_disconnect has sent an RST, and wiped the counters and the remote.
		v.Reason = activity.ReasonReset
		v.Flags |= activity.FlagReset | activity.FlagConcluded
		return
	}
	i := &last.info
	count(v, i)
	s := sideOpened
	if e.kind == activity.KindAccept {
		s = sideAccepted
	}
	acked, known := i.finAcked(s)
	switch {
	case known && acked:
		v.Reason = activity.ReasonClosed
	case known && i.timeouts == 0:
		v.Reason = activity.ReasonReset
		v.Flags |= activity.FlagReset | activity.FlagConcluded
	default:
		v.Unknown |= activity.FactReason
	}
	fin, peerFirst, sure := t.tookFin(e, last, acked && known)
	v.Rx = i.rx(fin)
	if peerFirst {
		v.Flags |= activity.FlagPeerFirst
	}
	if !sure {
		v.Unknown |= activity.FactBytes
	}
}

func count(v *activity.Event, i *tcpInfo) {
	v.Tx, v.RTT, v.Retransmits = i.tx(), i.rtt, i.retransmits
	v.RxPackets, v.TxPackets = uint64(i.segsIn), uint64(i.segsOut)
}

// tookFin tells whether bytesReceived of a closed connection counts the peer's
// FIN, and whether that came before this end's. Where the peer closed first it
// counts. Where this end did, the socket is replaced by a TIME-WAIT stub, which
// takes the FIN instead, unless the FIN came with the acknowledgement (then
// nobody reads it: one byte is unread) or the process had only shut down sending
// and kept the socket. The last, where no scan has seen it so, makes rx one byte
// too many.
func (t *table) tookFin(e *entry, last *row, graceful bool) (fin, peerFirst, sure bool) {
	i := &last.info
	switch s := e.row.state; {
	case s == activity.StateCloseWait || s == activity.StateLastAck:
		return true, true, true
	case !graceful:
		return peerClosed(s) || i.dataSegsIn == 0, false, true
	case peerClosed(s) || e.half || last.rqueue > 0:
		return true, false, true
	case i.dataSegsIn == 0: // what was received, if anything, is the FIN
		return true, i.bytesReceived > 0, true
	}
	found, known := t.stubOf(last)
	return !found, !found && known, known
}

// forget lets go of ended sockets whose end has been read.
func (t *table) forget() {
	read := t.queue.popped()
	t.leaving = slices.DeleteFunc(t.leaving, func(e *entry) bool { return e.last <= read })
}

// sockets yields every socket that the reader of the queue has been told of and
// not told the end of, so that what is still in the queue fits behind it.
func (t *table) sockets(yield func(*activity.Socket) bool) {
	t.forget()
	read := t.queue.popped()
	var s activity.Socket
	for _, e := range t.entries {
		if e.first <= read && (e.told || t.baseline()) {
			if t.socket(e, &s); !yield(&s) {
				return
			}
		}
	}
	for _, e := range t.leaving {
		if e.first <= read {
			if t.socket(e, &s); !yield(&s) {
				return
			}
		}
	}
}

// socket overwrites s.
func (t *table) socket(e *entry, s *activity.Socket) {
	r := &e.row
	*s = activity.Socket{Cookie: r.cookie, Proto: r.proto, State: r.state, Local: r.local, Remote: r.remote,
		Mapped: r.mapped, MPTCP: r.mptcp, NetNS: r.ns, Inode: r.inode, UID: r.uid,
		Since: e.began.utc, SinceBoot: e.began.boot, Tier: activity.TierPoll,
		Owner: e.owner, Holders: slices.Clone(e.holders), Tx: r.info.tx(), Rx: r.info.rx(peerClosed(r.state))}
	if e.began == (stamp{}) {
		s.Provenance = activity.Snapshotted
	}
	if !e.owner.IsZero() {
		s.Role, s.Process = e.role(), t.process(e.owner)
	}
	for _, k := range e.holders {
		if p := t.process(k); p != nil && k != e.owner {
			s.Others = append(s.Others, p)
		}
	}
	if r.state == activity.StateListen {
		s.Backlog = r.rqueue
	}
}
