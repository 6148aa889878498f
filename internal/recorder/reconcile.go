package recorder

import (
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// pass is one reconciliation of the table with the kernel. It begins with a
// scan, and is settled only when everything that happened before the scan has
// been read: then what is open here and was not there may have ended unseen, and
// what was there and is not open here may have begun unseen. It counts as such
// when the next pass finds the same: a hook can be held up for some milliseconds
// between what it sees happen and telling it.
type pass struct {
	active  bool
	first   bool
	number  uint32
	asOf    uint64 // CLOCK_BOOTTIME ns at which the scan began
	found   []activity.Socket
	ended   map[uint64]struct{} // seen ending since the scan, not in the table
	unknown map[uint64]struct{} // found by the pass before, and not known then
	doubts  int                 // what waits for the next pass to confirm
}

// scan begins a pass. The first one looks for holders too.
func (r *Recorder) scan(first bool) {
	scan := r.live
	if first {
		scan = r.cfg.Source.Sockets
	}
	p := &r.pass
	*p = pass{number: p.number + 1, first: first, ended: map[uint64]struct{}{}, unknown: p.unknown}
	began := time.Now()
	asOf, err := scan(func(k *activity.Socket) bool {
		if s := r.table.byCookie[k.Cookie]; s != nil {
			s.pass, s.missed = p.number, 0
			return true
		}
		if settled(k) {
			p.found = append(p.found, *k)
		}
		return true
	})
	r.passCost = time.Since(began)
	if err != nil {
		r.complain("reconciliation", err)
		p.found, p.ended = nil, nil
		return
	}
	p.asOf, p.active = asOf, true
}

// settled reports whether a socket is one that the table would hold: not one
// that is still connecting, waits to be accepted, or is over.
func settled(k *activity.Socket) bool {
	switch k.State {
	case activity.StateSynSent, activity.StateSynReceived, activity.StateTimeWait, activity.StateClosed, activity.StateNone:
		return false
	}
	return k.Role != activity.RoleListener
}

// settle ends the pass under way. It is called when all that was to be read
// has been read.
func (r *Recorder) settle() {
	p := &r.pass
	if !p.active {
		return
	}
	p.active = false
	if !p.first {
		r.closeMissing()
	}
	unknown := map[uint64]struct{}{}
	for i := range p.found {
		k := &p.found[i]
		if _, over := p.ended[k.Cookie]; over || r.table.byCookie[k.Cookie] != nil {
			continue
		}
		if _, twice := p.unknown[k.Cookie]; twice || p.first {
			r.adopt(k, p.first)
		} else {
			unknown[k.Cookie] = struct{}{}
		}
	}
	p.unknown, p.found, p.ended = unknown, nil, nil
	p.doubts += len(unknown)
	if p.doubts > 0 { // don't let them wait for long
		share := time.Duration(50)
		if r.mending > 0 {
			r.mending--
			share = 4
		}
		r.nextPass = r.cfg.Now().Add(max(time.Second, share*r.passCost))
	}
}

// closeMissing ends what the kernel no longer has. Sockets that opened after
// the scan began are left for the next one; one whose opening time is unknown
// was there before.
func (r *Recorder) closeMissing() {
	var gone []*socket
	for _, s := range r.table.byCookie {
		if s.pass == r.pass.number || s.boot >= r.pass.asOf {
			continue
		}
		if s.missed++; s.missed > 1 {
			gone = append(gone, s)
		} else {
			r.pass.doubts++
		}
	}
	for _, s := range gone {
		kind := activity.KindClose
		switch s.state {
		case activity.StateListen:
			kind = activity.KindUnlisten
		case activity.StateBound:
			kind = activity.KindUnbind
		}
		e := r.about(s, kind)
		e.Unknown = activity.FactDuration | activity.FactCloser
		if kind != activity.KindUnlisten {
			e.Unknown |= activity.FactBytes | activity.FactPackets
		}
		if kind == activity.KindClose {
			e.Unknown |= activity.FactRTT | activity.FactRetransmits | activity.FactReason
		}
		r.append(e)
		r.table.close(s)
	}
}

// about makes an inferred event about a socket of the table. Its time is when
// it was concluded: the true time is not known.
func (r *Recorder) about(s *socket, kind activity.Kind) *activity.Event {
	e := &activity.Event{Kind: kind, Time: r.cfg.Now().UnixNano(), Boot: r.pass.asOf, Provenance: activity.Inferred, Tier: s.tier,
		Proto: s.proto, Local: s.local, Remote: s.remote, NetNS: s.netns, Socket: s.cookie, Role: s.role,
		Flags: s.flags & (activity.FlagMapped | activity.FlagInbound | activity.FlagMPTCP)}
	if s.owner != nil {
		e.Owner, e.Process = s.owner.key, s.owner.facts
	} else {
		e.Unknown |= activity.FactOwner
	}
	e.Holders = r.others(s, s.owner)
	return e
}

// adopt takes a socket that was found into the table, and tells of it: part of
// the snapshot at the start, inferred later.
func (r *Recorder) adopt(k *activity.Socket, first bool) {
	e := &activity.Event{Kind: activity.KindSnapshot, Time: r.cfg.Now().UnixNano(), Boot: r.pass.asOf, Tier: k.Tier, Proto: k.Proto,
		Local: k.Local, Remote: k.Remote, NetNS: k.NetNS, Socket: k.Cookie, Role: k.Role, Provenance: activity.Snapshotted, Owner: k.Owner}
	if !first {
		e.Provenance = activity.Inferred
	}
	if k.Mapped {
		e.Flags |= activity.FlagMapped
	}
	if k.MPTCP {
		e.Flags |= activity.FlagMPTCP
	}
	var owner *process
	if k.Owner.IsZero() {
		e.Unknown |= activity.FactOwner
	} else {
		owner = r.read(k.Owner, nil, k.UID)
		e.Process = owner.facts
	}
	state := k.State
	if state != activity.StateListen && state != activity.StateBound {
		state = activity.StateEstablished
	}
	s := r.table.open(e, state, owner)
	s.since, s.boot, s.pass = k.Since, k.SinceBoot, r.pass.number
	for _, h := range k.Holders {
		if h != k.Owner {
			s.holders = append(s.holders, h)
			r.read(h, nil, activity.NoID)
		}
	}
	e.Holders = r.others(s, owner)
	r.append(e)
}

// findHolders looks who holds the sockets whose owner has exited. It runs at
// most once a second: it walks every process's files.
func (r *Recorder) findHolders(now time.Time) {
	r.holdersWanted = false
	if !r.orphans() {
		return
	}
	began := time.Now()
	_, err := r.cfg.Source.Sockets(func(k *activity.Socket) bool {
		s := r.table.byCookie[k.Cookie]
		if s == nil || s.owner == nil || !s.owner.exited {
			return true
		}
		for _, h := range k.Holders {
			if h == s.owner.key {
				continue
			}
			r.inherit(s, k, h)
			return true
		}
		return true // nobody has it open: it is on its way out, still under its owner's name
	})
	if err != nil {
		r.complain("search for holders", err)
	}
	r.nextHolders = now.Add(max(time.Second, 50*time.Since(began)))
}

func (r *Recorder) orphans() bool {
	for _, p := range r.procs.byKey {
		if p.exited && p.sockets != nil {
			return true
		}
	}
	return false
}

// inherit makes another holder the owner of a socket whose owner exited.
func (r *Recorder) inherit(s *socket, k *activity.Socket, heir activity.ProcessKey) {
	at := r.read(heir, nil, activity.NoID)
	r.table.own(s, at)
	s.role, s.holders = activity.RoleHolder, nil
	for _, h := range k.Holders {
		if h != heir {
			s.holders = append(s.holders, h)
			r.read(h, nil, activity.NoID)
		}
	}
	e := r.about(s, activity.KindSnapshot)
	r.append(e)
}
