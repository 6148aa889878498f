package journal

import (
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// PortRange is ports First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Query says which events are asked for: those that meet every field that is
// set. All but Match also let reading skip what it need not look at.
type Query struct {
	From, To int64                      // UTC ns, From <= time < To; 0 open
	Ports    []PortRange                // the local or the remote port is in one
	Addrs    []netip.Prefix             // the local or the remote address is in one
	Kinds    []activity.Kind            // the kind is one
	Match    func(*activity.Event) bool // called with processes resolved; the event is not to be kept
}

// hints is the query without Match. It looks at the key columns only.
func (q *Query) hints(e *activity.Event) bool {
	if e.Time < q.From && q.From != 0 || q.To != 0 && e.Time >= q.To {
		return false
	}
	if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind) {
		return false
	}
	if len(q.Ports) > 0 && !q.port(e.Local) && !q.port(e.Remote) {
		return false
	}
	return len(q.Addrs) == 0 || q.addr(e.Local.Addr()) || q.addr(e.Remote.Addr())
}

func (q *Query) port(a netip.AddrPort) bool {
	if !a.Addr().IsValid() {
		return false
	}
	for _, r := range q.Ports {
		if p := a.Port(); p >= r.First && p <= r.Last {
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
func (q *Query) coverageOnly() bool {
	return len(q.Kinds) > 0 && !slices.ContainsFunc(q.Kinds, func(k activity.Kind) bool { return !k.Coverage() })
}
