package analyse

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// inbound reports whether the other end began it.
func inbound(e *activity.Event) bool {
	return e.Flags&activity.FlagInbound != 0 || e.Kind == activity.KindAccept || e.Kind == activity.KindKnock ||
		e.Role == activity.RoleAcceptor || e.Role == activity.RoleListener
}

// portUse is the report on local ports.
type portUse struct {
	opt   *ReportOptions
	all   uint64
	rows  map[protoPort]*portRow // at most two protocols' ports
	holds *portsHeld
}

type portRow struct {
	tally
	inbound  uint64 // events that the other end began
	held     bool
	programs few[*programKey]
	users    few[string]
	addrs    few[netip.Addr]
}

func newPortUse(opt *ReportOptions, h *portsHeld) *portUse {
	return &portUse{opt: opt, holds: h, rows: make(map[protoPort]*portRow)}
}

func (u *portUse) kinds() filter.KindSet { return 0 }

func (u *portUse) row(k protoPort) *portRow {
	r := u.rows[k]
	if r == nil {
		r = new(portRow)
		u.rows[k] = r
	}
	return r
}

func (u *portUse) detail(e *activity.Event, img *image) {
	u.all++
	r := u.row(portOf(e))
	r.event(e)
	if inbound(e) {
		r.inbound++
	}
	if img.known() && e.Kind != activity.KindBindFailed {
		r.owner(img)
	}
}

func (r *portRow) owner(img *image) {
	r.programs.add(img.program)
	r.users.add(img.user)
}

// portOf is the port that an event is about: port 0 is all that went out
// from ports that the kernel chose.
func portOf(e *activity.Event) protoPort {
	k := protoPort{e.Proto, e.Local.Port()}
	switch {
	case opensPort(e), inbound(e), e.Kind == activity.KindUnlisten, e.Kind == activity.KindUnbind, e.Kind == activity.KindBindFailed:
		return k
	}
	return protoPort{proto: e.Proto}
}

func (u *portUse) hold(h *hold) {
	r := u.row(h.port)
	r.held = true
	if h.owner.known() {
		r.owner(h.owner)
	}
	r.addrs.add(h.local.Addr())
}

// closings reports whether all that is known of a port is that sockets gave it
// back: those that the kernel chose it for.
func (r *portRow) closings() bool {
	return !r.held && r.inbound == 0 && r.opened == 0 && r.failed == 0
}

func (u *portUse) tables() []*Table {
	for k, r := range u.rows {
		if k.port != 0 && r.closings() {
			rest := u.row(protoPort{proto: k.proto})
			rest.merge(&r.tally)
			delete(u.rows, k)
		}
	}
	t := &Table{Report: "ports", Title: "Local ports", Events: u.all,
		About: "A row is a local port that was open, or that others tried. IN USE is the part of the recorded time in which any socket held it (the union of their times). " +
			"What went out from ports that the kernel chose is one row a protocol, without a port.",
		Columns: slices.Concat([]Column{{"port", "PORT", Ident, 0}, {"proto", "PROTO", Text, 0}, {"service", "SERVICE", Text, 3}, {"share", "IN USE", Usage, 0}, {"open_ns", "OPEN", Nanos, 4},
			{"programs", "PROGRAMS", Texts, 1}, {"users", "USERS", Texts, 5}, {"local", "ADDRESSES", Texts, 5}, {"events", "EVENTS", Number, 1}, {"knocks", "KNOCKS", Number, 3}}, doings())}
	keys := make([]protoPort, 0, len(u.rows))
	for k := range u.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, u.compare)
	show(t, keys, u.opt.Top, func(k protoPort) []Cell { return u.cells(k, u.rows[k]) }, func(k protoPort) uint64 { return u.rows[k].events })
	return []*Table{t}
}

// compare puts the ports that were open longest first.
func (u *portUse) compare(a, b protoPort) int {
	return cmp.Or(cmp.Compare(u.used(b), u.used(a)), cmp.Compare(u.rows[b].events, u.rows[a].events), a.compare(b))
}

func (u *portUse) used(k protoPort) int64 {
	if p := u.holds.ports[k]; p != nil && k.port != 0 {
		return p.used
	}
	return 0
}

func (u *portUse) cells(k protoPort, r *portRow) []Cell {
	port, service, part, open := number(k.port), text(u.opt.service(k.port, k.proto)), share(uint64(u.used(k)), uint64(u.holds.covered.total())), number(u.used(k))
	if k.port == 0 {
		port, service, part, open = unknown(), unknown(), unknown(), unknown()
	}
	return slices.Concat([]Cell{port, text(k.proto.String()), service, part, open, r.programs.cell(labelOf), r.users.cell(same),
		r.addrs.cell(netip.Addr.String), number(r.events), number(r.knocks)}, r.doing())
}

// service is the name of a port, "" none.
func (o *ReportOptions) service(port uint16, proto activity.Proto) string {
	if o.Service == nil || port == 0 {
		return ""
	}
	return o.Service(port, proto)
}
