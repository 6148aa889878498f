package recorder

import (
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// observe takes one observation into the table, and as an event to the record.
func (r *Recorder) observe(o *activity.Observation) {
	switch o.What {
	case activity.WhatProcess:
		r.procs.announce(r.cfg.Resolver.Quick(o.Process))
	case activity.WhatExit:
		if r.procs.exit(o.Key) != nil {
			r.holdersWanted = true
		}
	case activity.WhatHolder:
		if s := r.table.byCookie[o.Event.Socket]; s != nil && !slices.Contains(s.holders, o.Key) {
			s.holders = append(s.holders, o.Key)
			r.read(o.Key, o.Comm[:], o.UID)
		}
	case activity.WhatEvent:
		r.event(o)
	}
}

func (r *Recorder) event(o *activity.Observation) {
	e := &o.Event
	owner := r.who(o)
	s := r.table.byCookie[e.Socket]
	switch e.Kind {
	case activity.KindListen:
		s = r.table.open(e, activity.StateListen, owner)
	case activity.KindBind:
		s = r.table.open(e, activity.StateBound, owner)
	case activity.KindConnect, activity.KindAccept:
		s = r.table.open(e, activity.StateEstablished, owner)
	case activity.KindBindFailed:
		r.explainBind(e, owner)
	}
	if owner == nil && s != nil { // an ending seen without its owner
		owner = s.owner
	}
	if owner != nil {
		e.Owner, e.Process = owner.key, owner.facts
		e.Unknown &^= activity.FactOwner
	}
	if e.Kind.Ends() && s != nil {
		e.Holders = r.others(s, owner)
	}
	r.append(e)
	switch e.Kind {
	case activity.KindUnlisten, activity.KindUnbind, activity.KindClose:
		if s != nil {
			r.table.close(s)
		} else if r.pass.active {
			r.pass.ended[e.Socket] = struct{}{}
		}
	}
}

// others resolves the holders of s besides its owner.
func (r *Recorder) others(s *socket, owner *process) (ps []*activity.Process) {
	for _, k := range s.holders {
		if at := r.procs.byKey[k]; at != nil && at != owner && at.facts != nil {
			ps = append(ps, at.facts)
		}
	}
	return ps
}

// The first port that any user may bind (ip_unprivileged_port_start's default).
const unprivilegedPort = 1024

// explainBind says who had the port that a bind or listen did not get, and,
// where the kernel gave no errno, the reason that the circumstances leave.
func (r *Recorder) explainBind(e *activity.Event, owner *process) {
	inUse := e.Reason == activity.ReasonAddressInUse
	unknown := e.Unknown&activity.FactReason != 0
	if !inUse && !unknown {
		return
	}
	conclude := func(why activity.Reason) {
		e.Reason = why
		e.Flags |= activity.FlagConcluded
		e.Unknown &^= activity.FactReason
	}
	h := r.table.holder(e.NetNS, e.Proto, e.Local, e.Socket)
	switch {
	case h != nil:
		if h.owner != nil {
			e.Holder = h.owner.facts
		}
		if unknown {
			conclude(activity.ReasonAddressInUse)
		}
	case inUse:
		e.Unknown |= activity.FactHolder
	case e.Local.Port() < unprivilegedPort && owner != nil && owner.facts != nil && owner.facts.EUID != 0 && owner.facts.EUID != activity.NoID:
		conclude(activity.ReasonDenied)
	}
	if inUse && e.Holder == nil {
		e.Unknown |= activity.FactHolder
	}
}
