package analyse

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// serviceUse is the report on services and their host processes.
type serviceUse struct {
	opt     *ReportOptions
	all     uint64
	none    uint64 // events of processes in no service, or of none
	rows    *ledger[serviceKey, serviceRow, *serviceRow]
	byPort  map[protoPort]*few[serviceKey]
	manager map[protoPort]bool // held by the service manager itself
}

type serviceKey struct {
	unit    string // "nginx.service"; "Dnscache,NlaSvc"
	of      string // the user whose manager runs it
	program programKey
}

func (k serviceKey) compare(l serviceKey) int {
	return cmp.Or(cmp.Compare(k.unit, l.unit), cmp.Compare(k.of, l.of), k.program.compare(l.program))
}

type serviceRow struct {
	tally
	description string
	instances   uint64
	pids        few[uint32]
	users       few[string]
	ports       portSet
	activated   bool // its socket was opened by the service manager
}

func newServiceUse(opt *ReportOptions) *serviceUse {
	return &serviceUse{opt: opt, rows: newLedger[serviceKey, serviceRow](opt, 1<<15), byPort: make(map[protoPort]*few[serviceKey]), manager: make(map[protoPort]bool)}
}

// row returns the row of an image's service, nil where it is in none.
func (u *serviceUse) row(img *image) (serviceKey, *serviceRow) {
	if img.unit == nil {
		return serviceKey{}, nil
	}
	k := serviceKey{img.unit.Name, img.unit.User, img.key()}
	r, fresh := u.rows.row(k)
	if fresh {
		r.description = img.unit.Description
	}
	return k, r
}

func (u *serviceUse) count(c *Count, img *image, fresh bool) {
	u.all += c.Events
	_, r := u.row(img)
	if r == nil {
		u.none += c.Events
		return
	}
	r.tally.count(c)
	r.users.add(img.user)
	r.pids.add(img.pid)
	if fresh {
		r.instances++
	}
}

func (u *serviceUse) hold(h *hold) {
	if isManager(h.owner) {
		if len(u.manager) < maxHoldings {
			u.manager[h.port] = true
		}
	} else {
		u.serves(h.port, h.owner, false)
	}
	for _, o := range h.others {
		if !isManager(o) {
			u.serves(h.port, o, isManager(h.owner))
		}
	}
}

// isManager reports whether an image is the manager of the units, which opens
// the sockets of socket-activated ones.
func isManager(img *image) bool {
	return img.known() && img.program.name == "systemd" && (img.pid == 1 || img.unit != nil && img.unit.User != "")
}

func (u *serviceUse) serves(p protoPort, img *image, activated bool) {
	k, r := u.row(img)
	if r == nil {
		return
	}
	r.ports.add(p)
	r.pids.add(img.pid)
	r.users.add(img.user)
	r.activated = r.activated || activated
	if u.byPort[p] == nil {
		if len(u.byPort) >= maxHoldings {
			return
		}
		u.byPort[p] = new(few[serviceKey])
	}
	u.byPort[p].add(k)
}

func (u *serviceUse) kinds() filter.KindSet { return 1 << activity.KindAccept }

func (u *serviceUse) detail(e *activity.Event, img *image) {
	if e.Kind == activity.KindAccept && !isManager(img) {
		p := protoPort{e.Proto, e.Local.Port()}
		u.serves(p, img, u.manager[p])
	}
}

// activation tells how a service comes to its ports, in words.
func (u *serviceUse) activation(r *serviceRow) (how []string) {
	if r.activated {
		how = append(how, "socket-activated")
	}
	for _, p := range r.ports.sorted() {
		if f := u.byPort[p]; f != nil && f.n > 1 {
			return append(how, "shared port")
		}
	}
	return how
}

func (u *serviceUse) tables() []*Table {
	t := &Table{Report: "services", Title: "Services", Events: u.all,
		About: "A row is a systemd unit, or the Windows services of one host process such as svchost.exe, and the program that runs them. A unit is socket-activated when systemd opened its socket; " +
			"a port is shared when several units or programs serve it. SHARE is the part of all events; those of processes in no service are not in a row.",
		Columns: slices.Concat([]Column{{"services", "SERVICES", Texts, 0}, {"description", "DESCRIPTION", Text, 6}, {"process", "PROCESS", Text, 0}, {"exe", "", Text, 0},
			{"container", "CONTAINER", Text, 6}, {"instances", "INSTANCES", Number, 4}, {"pids", "PIDS", Texts, 3}, {"ports", "PORTS", Texts, 0}, {"how", "HOW", Texts, 2}, {"users", "USERS", Texts, 4}}, shared(), doings())}
	cells := func(k serviceKey, r *serviceRow) []Cell {
		return slices.Concat([]Cell{{List: splitServices(k.unit)}, orUnknown(r.description), programCell(k.program), orUnknown(k.program.exe), text(k.program.container),
			number(r.instances), r.pids.cell(decimal[uint32]), r.ports.cell(), {List: u.activation(r)}, r.users.cell(same)}, r.shared(u.all), r.doing())
	}
	u.rows.into(t, u.rows.sorted(serviceKey.compare), u.opt.Top, cells)
	t.Rest += u.none
	return []*Table{t}
}

// splitServices lists the services of a unit's name: several on Windows.
func splitServices(unit string) (names []string) {
	for n := range strings.SplitSeq(unit, ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}
