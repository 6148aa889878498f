package analyse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// moduleUse is the report on modules. While counting it goes by the sets of
// modules; what is in them is looked up at the end.
type moduleUse struct {
	opt  *ReportOptions
	all  uint64
	none uint64 // events of processes whose modules are not known, or of none
	sets *ledger[activity.ModuleSetID, moduleRow, *moduleRow]
}

// moduleRow is what is known of a set's processes, and then of a module's.
type moduleRow struct {
	tally
	instances uint64
	programs  few[*programKey]
	users     few[string]
	ports     portSet
}

type moduleKey struct {
	path, pkg, build string
	deleted          bool
}

func (k moduleKey) compare(l moduleKey) int {
	return cmp.Or(cmp.Compare(k.path, l.path), cmp.Compare(k.pkg, l.pkg), cmp.Compare(k.build, l.build))
}

func newModuleUse(opt *ReportOptions) *moduleUse {
	return &moduleUse{opt: opt, sets: newLedger[activity.ModuleSetID, moduleRow](opt, 1<<15)}
}

func (u *moduleUse) count(c *Count, img *image, fresh bool) {
	u.all += c.Events
	if img.modules == 0 {
		u.none += c.Events
		return
	}
	r := u.of(img)
	r.tally.count(c)
	if fresh {
		r.instances++
	}
}

func (u *moduleUse) of(img *image) *moduleRow {
	r, _ := u.sets.row(img.modules)
	r.programs.add(img.program)
	r.users.add(img.user)
	return r
}

func (u *moduleUse) hold(h *hold) {
	for _, img := range append(h.others, h.owner) {
		if img.modules != 0 {
			u.of(img).ports.add(h.port)
		}
	}
}

func (u *moduleUse) kinds() filter.KindSet { return 1 << activity.KindAccept }

func (u *moduleUse) detail(e *activity.Event, img *image) {
	if e.Kind == activity.KindAccept && img.modules != 0 {
		u.of(img).ports.add(protoPort{e.Proto, e.Local.Port()})
	}
}

// wanted reports whether a module is asked for.
func (u *moduleUse) wanted(m *activity.Module) bool {
	for _, w := range u.opt.Wanted {
		w = strings.ToLower(w)
		if !strings.Contains(strings.ToLower(m.Path), w) && !strings.Contains(strings.ToLower(m.Package), w) && !strings.Contains(m.BuildID, w) {
			return false
		}
	}
	return true
}

// merge adds what is known of a set that the module is in.
func (r *moduleRow) merge(s *moduleRow) {
	r.tally.merge(&s.tally)
	r.instances += s.instances
	for _, p := range s.programs.all() {
		r.programs.add(p)
	}
	for _, p := range s.users.all() {
		r.users.add(p)
	}
	r.programs.more, r.users.more = r.programs.more || s.programs.more, r.users.more || s.users.more
	for p := range s.ports {
		r.ports.add(p)
	}
}

// byModule turns the sets' rows into the modules'.
func (u *moduleUse) byModule() (rows map[moduleKey]*moduleRow, unread int) {
	rows = make(map[moduleKey]*moduleRow)
	for _, id := range u.sets.sorted(cmp.Compare[activity.ModuleSetID]) {
		var set *activity.ModuleSet
		if u.opt.Modules != nil {
			set = u.opt.Modules(id)
		}
		if set == nil {
			unread++
			continue
		}
		for i := range set.Modules {
			m := &set.Modules[i]
			k := moduleKey{m.Path, m.Package, m.BuildID, m.Deleted}
			if !u.wanted(m) || slices.ContainsFunc(set.Modules[:i], func(o activity.Module) bool { return k == moduleKey{o.Path, o.Package, o.BuildID, o.Deleted} }) {
				continue
			}
			r := rows[k]
			if r == nil {
				r = new(moduleRow)
				rows[k] = r
			}
			r.merge(u.sets.get(id))
		}
	}
	return rows, unread
}

func (u *moduleUse) tables() []*Table {
	rows, unread := u.byModule()
	keys := make([]moduleKey, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b moduleKey) int {
		return cmp.Or(cmp.Compare(len(rows[b].ports), len(rows[a].ports)), cmp.Compare(rows[b].instances, rows[a].instances), a.compare(b))
	})
	t := &Table{Report: "modules", Title: "Modules", Events: u.all,
		About: "A row is a file that was mapped executable by a process that used the network: INSTANCES is how many did, PORTS are those that one of them held or accepted connections on. " +
			"A process has many modules, so its events count in many rows.",
		Columns: []Column{{"module", "MODULE", Path, 0}, {"package", "PACKAGE", Text, 1}, {"build_id", "", Text, 0}, {"deleted", "DELETED", Flag, 5}, {"instances", "INSTANCES", Number, 1},
			{"programs", "PROGRAMS", Texts, 0}, {"ports", "PORTS", Texts, 0}, {"users", "USERS", Texts, 3}, {"events", "EVENTS", Number, 2}, {"first", "FIRST", Moment, 7}, {"last", "LAST", Moment, 6}}}
	if unread > 0 {
		t.Note = fmt.Sprintf("%d sets of modules are not on record: what they hold is missing here", unread)
	}
	cells := func(k moduleKey) []Cell {
		r := rows[k]
		return []Cell{orUnknown(k.path), orUnknown(k.pkg), orUnknown(k.build), flag(k.deleted), number(r.instances), r.programs.cell(labelOf),
			r.ports.cell(), r.users.cell(same), number(r.events), number(r.first), number(r.last)}
	}
	show(t, keys, u.opt.Top, cells, func(moduleKey) uint64 { return 0 }) // an event is in many rows
	return []*Table{t}
}
