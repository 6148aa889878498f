package analyse

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// failures is the report on what failed.
type failures struct {
	opt  *ReportOptions
	all  uint64
	rows *ledger[failureKey, failureRow, *failureRow]
}

type failureKey struct {
	program programKey
	port    uint16
	kind    activity.Kind
	reason  activity.Reason
	proto   activity.Proto
}

func (k failureKey) compare(l failureKey) int {
	return cmp.Or(cmp.Compare(k.reason, l.reason), cmp.Compare(k.kind, l.kind), k.program.compare(l.program), cmp.Compare(k.proto, l.proto), cmp.Compare(k.port, l.port))
}

type failureRow struct {
	tally
	addrs few[netip.Addr]
	users few[string]
}

func newFailures(opt *ReportOptions) *failures {
	return &failures{opt: opt, rows: newLedger[failureKey, failureRow](opt, 1<<16)}
}

func (f *failures) kinds() filter.KindSet {
	return 1<<activity.KindConnectFailed | 1<<activity.KindBindFailed
}

func (f *failures) detail(e *activity.Event, img *image) {
	if e.Kind != activity.KindConnectFailed && e.Kind != activity.KindBindFailed {
		return
	}
	at := e.Remote
	if e.Kind == activity.KindBindFailed {
		at = e.Local
	}
	f.all++
	row, _ := f.rows.row(failureKey{img.key(), at.Port(), e.Kind, e.Reason, e.Proto})
	row.event(e)
	if at.Addr().IsValid() {
		row.addrs.add(at.Addr())
	}
	if img.known() {
		row.users.add(img.user)
	}
}

func (f *failures) tables() []*Table {
	reasons := make(map[activity.Reason]uint64)
	for k := range f.rows.index {
		reasons[k.reason] += f.rows.get(k).events
	}
	t := &Table{Report: "failures", Title: "Failures", Events: f.all,
		About: "A row is a reason, the program, and the port that it wanted to reach or to bind. The most frequent reasons come first. SHARE is the part of all failures.",
		Columns: slices.Concat([]Column{{"reason", "REASON", Text, 0}, {"kind", "WHAT", Text, 2}, {"process", "PROCESS", Text, 0}, {"exe", "", Text, 0},
			{"proto", "PROTO", Text, 3}, {"port", "PORT", Ident, 0}, {"service", "SERVICE", Text, 5}}, shared(),
			[]Column{{"addresses", "ADDRESSES", Texts, 2}, {"users", "USERS", Texts, 4}, {"first", "FIRST", Moment, 7}, {"last", "LAST", Moment, 3}})}
	keys := f.rows.sorted(failureKey.compare)
	slices.SortStableFunc(keys, func(a, b failureKey) int {
		return cmp.Or(cmp.Compare(reasons[b.reason], reasons[a.reason]), cmp.Compare(a.reason, b.reason))
	})
	cells := func(k failureKey, r *failureRow) []Cell {
		return slices.Concat([]Cell{orUnknown(k.reason.String()), text(k.kind.String()), programCell(k.program), orUnknown(k.program.exe),
			text(k.proto.String()), number(k.port), text(f.opt.service(k.port, k.proto))}, r.shared(f.all),
			[]Cell{r.addrs.cell(netip.Addr.String), r.users.cell(same), number(r.first), number(r.last)})
	}
	return []*Table{f.rows.into(t, keys, f.opt.Top, cells)}
}

// conflicts is the report on ports that two wanted.
type conflicts struct {
	opt  *ReportOptions
	all  uint64
	rows *ledger[conflictKey, conflictRow, *conflictRow]
}

type conflictKey struct {
	wanted, held programKey
	local        netip.AddrPort
	proto        activity.Proto
}

func (k conflictKey) compare(l conflictKey) int {
	return cmp.Or(cmp.Compare(k.local.Port(), l.local.Port()), cmp.Compare(k.proto, l.proto), k.local.Compare(l.local), k.wanted.compare(l.wanted), k.held.compare(l.held))
}

type conflictRow struct {
	tally
	users       few[string]
	wants, held few[uint32] // pids
	holderUsers few[string]
}

func newConflicts(opt *ReportOptions) *conflicts {
	return &conflicts{opt: opt, rows: newLedger[conflictKey, conflictRow](opt, 1<<15)}
}

func (c *conflicts) kinds() filter.KindSet { return 1 << activity.KindBindFailed }

func (c *conflicts) detail(e *activity.Event, img *image) {
	if e.Kind != activity.KindBindFailed || e.Reason != activity.ReasonAddressInUse {
		return
	}
	c.all++
	k := conflictKey{wanted: img.key(), local: e.Local, proto: e.Proto}
	if h := e.Holder; h != nil {
		k.held = programKey{h.Name, h.Exe, containerOf(h)}
	}
	row, _ := c.rows.row(k)
	row.event(e)
	if img.known() {
		row.users.add(img.user)
		row.wants.add(img.pid)
	}
	if h := e.Holder; h != nil {
		row.held.add(h.Key.PID)
		row.holderUsers.add(userOf(h))
	}
}

func (c *conflicts) tables() []*Table {
	t := &Table{Report: "conflicts", Title: "Bind conflicts", Events: c.all,
		About: "A row is an address and port that was in use (EADDRINUSE), the program that wanted it, and the program that had it at that instant.",
		Columns: []Column{{"proto", "PROTO", Text, 3}, {"local", "PORT", Text, 0}, {"service", "SERVICE", Text, 5}, {"events", "TIMES", Number, 0},
			{"wanted", "WANTED BY", Text, 0}, {"wanted_exe", "", Text, 0}, {"wanted_pids", "PIDS", Texts, 4}, {"wanted_users", "USERS", Texts, 4},
			{"held", "HELD BY", Text, 0}, {"held_exe", "", Text, 0}, {"held_pids", "PIDS", Texts, 4}, {"held_users", "USERS", Texts, 4},
			{"first", "FIRST", Moment, 6}, {"last", "LAST", Moment, 2}}}
	cells := func(k conflictKey, r *conflictRow) []Cell {
		return []Cell{text(k.proto.String()), text(k.local.String()), text(c.opt.service(k.local.Port(), k.proto)), number(r.events),
			programCell(k.wanted), orUnknown(k.wanted.exe), r.wants.cell(decimal[uint32]), r.users.cell(same),
			programCell(k.held), orUnknown(k.held.exe), r.held.cell(decimal[uint32]), r.holderUsers.cell(same), number(r.first), number(r.last)}
	}
	return []*Table{c.rows.into(t, c.rows.sorted(conflictKey.compare), c.opt.Top, cells)}
}
