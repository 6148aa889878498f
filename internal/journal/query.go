package journal

import (
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// Query says which events are asked for: those within the hints for which Match
// is true. The hints let reading skip what it need not look at; the zero Query
// asks for everything. For a filter, both are its methods' results.
type Query struct {
	filter.Hints
	Sockets map[uint64]bool            // the event's socket cookie is one of them; nil: any
	Match   func(*activity.Event) bool // called with processes resolved; nil: all. The event is not to be kept
}

// coverageKinds tell of the recorder and have no port.
const coverageKinds = filter.KindSet(1<<activity.KindRecorderStart | 1<<activity.KindRecorderStop | 1<<activity.KindGap)

// within reports whether an event is within the hints. It looks at the key
// columns only.
func (q *Query) within(e *activity.Event) bool {
	if q.Never || e.Time < q.From && q.From != 0 || q.To != 0 && e.Time >= q.To || !q.Kinds.Has(e.Kind) {
		return false
	}
	if len(q.Sockets) > 0 && !q.Sockets[e.Socket] {
		return false
	}
	if len(q.Ports) > 0 && !q.port(e.Local.Port()) && !q.port(e.Remote.Port()) {
		return false
	}
	return len(q.Addrs) == 0 || q.addr(e.Local.Addr()) || q.addr(e.Remote.Addr())
}

func (q *Query) port(p uint16) bool {
	for _, r := range q.Ports {
		if p >= r.Lo && p <= r.Hi {
			return true
		}
	}
	return false
}

func (q *Query) addr(a netip.Addr) bool {
	for _, p := range q.Addrs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (q *Query) match(e *activity.Event) bool { return q.Match == nil || q.Match(e) }

// coverageOnly reports whether only events about the recorder are asked for.
func (q *Query) coverageOnly() bool { return q.Kinds != 0 && q.Kinds&^coverageKinds == 0 }
