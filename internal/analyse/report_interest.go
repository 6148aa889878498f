package analyse

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// interestUse is the report on data of interest.
type interestUse struct {
	opt   *ReportOptions
	all   uint64 // findings
	found []activity.Finding
	rows  *ledger[findingKey, findingRow, *findingRow]
}

type findingKey struct {
	rule, reason string
	program      programKey
	severity     activity.Severity
}

func (k findingKey) compare(l findingKey) int {
	return cmp.Or(cmp.Compare(k.rule, l.rule), cmp.Compare(k.reason, l.reason), k.program.compare(l.program))
}

type findingRow struct {
	tally
	users  few[string]
	pids   few[uint32]
	local  portSet
	remote few[netip.AddrPort]
}

func newInterestUse(opt *ReportOptions) *interestUse {
	return &interestUse{opt: opt, rows: newLedger[findingKey, findingRow](opt, 1<<15)}
}

func (u *interestUse) kinds() filter.KindSet { return 0 }

func (u *interestUse) detail(e *activity.Event, img *image) {
	u.found = u.opt.Findings(e, u.found[:0])
	for i := range u.found {
		f := &u.found[i]
		u.all++
		row, _ := u.rows.row(findingKey{f.Rule, f.Reason, img.key(), f.Severity})
		row.event(e)
		if img.known() {
			row.users.add(img.user)
			row.pids.add(img.pid)
		}
		if p := portOf(e); p.port != 0 {
			row.local.add(p)
		}
		if _, ok := remoteAddr(e); ok {
			row.remote.add(servicePort(e))
		}
	}
}

// servicePort is the remote end, without the port where that is only what the
// client was given.
func servicePort(e *activity.Event) netip.AddrPort {
	if inbound(e) {
		return netip.AddrPortFrom(e.Remote.Addr(), 0)
	}
	return e.Remote
}

// endLabel leaves out the port 0.
func endLabel(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

func (u *interestUse) tables() []*Table {
	t := &Table{Report: "interest", Title: "Data of interest", Events: u.all,
		About: "A row is a rule of interest that found something, and the program that it found: the most severe first. One event may be found by several rules.",
		Columns: []Column{{"severity", "SEVERITY", Text, 0}, {"rule", "RULE", Text, 3}, {"reason", "WHY", Prose, 0}, {"events", "EVENTS", Number, 0}, {"process", "PROCESS", Text, 0},
			{"exe", "EXECUTABLE", Path, 4}, {"pids", "PIDS", Texts, 5}, {"users", "USERS", Texts, 3}, {"local_ports", "LOCAL PORTS", Texts, 2}, {"remote", "REMOTE", Texts, 1},
			{"first", "FIRST", Moment, 6}, {"last", "LAST", Moment, 2}}}
	keys := u.rows.sorted(findingKey.compare)
	slices.SortStableFunc(keys, func(a, b findingKey) int { return cmp.Compare(b.severity, a.severity) })
	cells := func(k findingKey, r *findingRow) []Cell {
		return []Cell{text(k.severity.String()), text(k.rule), text(k.reason), number(r.events), programCell(k.program), orUnknown(k.program.exe),
			r.pids.cell(decimal[uint32]), r.users.cell(same), r.local.cell(), r.remote.cell(endLabel), number(r.first), number(r.last)}
	}
	return []*Table{u.rows.into(t, keys, u.opt.Top, cells)}
}
