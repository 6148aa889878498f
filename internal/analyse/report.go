package analyse

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// ReportInfo names a report and says in one line what it answers.
type ReportInfo struct{ Name, Help string }

// ReportList lists the reports in the order in which they are shown.
func ReportList() []ReportInfo {
	return []ReportInfo{
		{"interest", "data of interest: what the rules of interest found, the most severe first"},
		{"ports", "local ports: the share of time in which each was open, by whom, and who came"},
		{"processes", "programs: how much of what happened was theirs"},
		{"addresses", "remote addresses: how often each was met, by which programs, on which ports"},
		{"users", "users: how many processes each had on the network, and what those did"},
		{"hours", "when: by hour of the day and day of the week"},
		{"services", "services in each host process: systemd units, socket-activated and shared, svchost.exe"},
		{"web", "who used the web: users, their browsers and other clients, and the hosts that they reached"},
		{"failures", "what failed: by reason, program and port"},
		{"conflicts", "bind conflicts: who wanted a port, and who had it"},
		{"scans", "knocks at closed ports, and scans, by source"},
		{"connections", "the longest and the heaviest connections"},
		{"modules", "libraries in the processes that own ports, and the ports that they serve"},
	}
}

// Span is an interval, UTC ns, To exclusive.
type Span struct{ From, To int64 }

// ReportOptions say what is reported, and what its meaning depends on besides
// the events.
type ReportOptions struct {
	Names    []string // of ReportList; none: all
	From, To int64    // UTC ns: the time that the reports are about
	Covered  []Span   // the recorded parts of it, in order, without the gaps
	Runs     []int64  // UTC ns at which runs of the recorder began, in order
	NoEnds   bool     // the events that end connections are not all told: which are open cannot be said

	Location *time.Location // of the hours; nil is UTC
	Top      int            // the most rows of a table; 0 all
	Limit    int            // the most rows that a report keeps while it counts; 0: what fits in 256 MB

	Service  func(port uint16, proto activity.Proto) string                       // a port's name, "" none; may be nil
	HostOf   func([]netip.Addr) []string                                          // names of addresses, "" unknown; nil: no column of names
	Findings func(e *activity.Event, found []activity.Finding) []activity.Finding // appends what is of interest about an event; nil: no report on that
	Modules  func(activity.ModuleSetID) *activity.ModuleSet                       // nil result: unknown; may be nil
	Wanted   []string                                                             // report modules: all of these texts are in a module's path, package or build id
}

// Count is a number of events that have an owner, an hour, an outcome and a
// protocol in common, as the journal's roll-ups hold them.
type Count struct {
	Kind        activity.Kind
	Process     *activity.Process // nil: none, or not known
	Events      uint64
	Rx, Tx      uint64
	First, Last int64 // UTC ns, within one hour
}

// Reports counts events into reports. Its memory is bounded: where a report has
// more rows than are kept, the least frequent go into its rest, and the table
// says so. It is not safe for concurrent use.
type Reports struct {
	opt    ReportOptions
	who    *resolver
	holds  *portsHeld
	parts  []part
	events uint64
}

// part is one report under way. It is a countPart, a detailPart or both.
type part interface {
	tables() []*Table
}

type (
	// countPart is told of every event, perhaps many at a time.
	countPart interface {
		count(c *Count, img *image, fresh bool) // fresh: the image's first
	}
	// detailPart is told of events of some kinds, one by one.
	detailPart interface {
		kinds() filter.KindSet // empty: all
		detail(e *activity.Event, img *image)
	}
	// holdPart is told, before all else, who held which port.
	holdPart interface {
		hold(h *hold)
	}
)

// NewReports begins reports. An unknown name is an error.
func NewReports(opt ReportOptions) (*Reports, error) {
	if opt.Location == nil {
		opt.Location = time.UTC
	}
	r := &Reports{opt: opt, who: newResolver()}
	r.holds = newPortsHeld(&r.opt, r.who, r.hold)
	for _, info := range ReportList() {
		if info.Name == "interest" && opt.Findings == nil {
			continue
		}
		if len(opt.Names) == 0 || slices.Contains(opt.Names, info.Name) {
			r.parts = append(r.parts, newPart(info.Name, &r.opt, r.holds))
		}
	}
	for _, n := range opt.Names {
		if !slices.ContainsFunc(ReportList(), func(i ReportInfo) bool { return i.Name == n }) {
			return nil, fmt.Errorf("report: there is no report %q", n)
		}
	}
	return r, nil
}

// hold tells the reports of a port that was held.
func (r *Reports) hold(h *hold) {
	for _, p := range r.parts {
		if p, ok := p.(holdPart); ok {
			p.hold(h)
		}
	}
}

func newPart(name string, opt *ReportOptions, h *portsHeld) part {
	switch name {
	case "interest":
		return newInterestUse(opt)
	case "ports":
		return newPortUse(opt, h)
	case "processes":
		return newProgramUse(opt)
	case "addresses":
		return newAddressUse(opt, h.who)
	case "users":
		return newUserUse(opt)
	case "hours":
		return &hourUse{opt: opt}
	case "services":
		return newServiceUse(opt)
	case "web":
		return newWebUse(opt)
	case "failures":
		return newFailures(opt)
	case "conflicts":
		return newConflicts(opt)
	case "scans":
		return newScans(opt)
	case "connections":
		return newConnections(opt)
	}
	return newModuleUse(opt)
}

// Kinds tells which kinds of events must be told one by one, by Event or
// Detail; ok is false where that is all, and Counts cannot stand for the others.
func (r *Reports) Kinds() (kinds filter.KindSet, ok bool) {
	for _, p := range r.parts {
		if d, is := p.(detailPart); is {
			k := d.kinds()
			if k == 0 {
				return 0, false
			}
			kinds |= k
		}
	}
	return kinds, true
}

// Event counts one event of the asked time and tells its details. Coverage
// events are left out. The event is not kept, but what it points to may be.
func (r *Reports) Event(e *activity.Event) {
	r.Count(&Count{Kind: e.Kind, Process: e.Process, Events: 1, Rx: e.Rx, Tx: e.Tx, First: e.Time, Last: e.Time})
	r.Detail(e)
}

// Count counts events of the asked time.
func (r *Reports) Count(c *Count) {
	if c.Kind.Coverage() {
		return
	}
	r.events += c.Events
	img, fresh := r.who.image(c.Process, true)
	for _, p := range r.parts {
		if p, ok := p.(countPart); ok {
			p.count(c, img, fresh)
		}
	}
}

// Detail tells an event that has been counted, or will be.
func (r *Reports) Detail(e *activity.Event) {
	if e.Kind.Coverage() {
		return
	}
	img, _ := r.who.image(e.Process, false)
	for _, p := range r.parts {
		if p, ok := p.(detailPart); ok {
			p.detail(e, img)
		}
	}
}

// Events returns how many events have been counted.
func (r *Reports) Events() uint64 { return r.events }

// Holds reports whether a report needs Hold.
func (r *Reports) Holds() bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { _, ok := p.(holdPart); return ok })
}

// HoldKinds are the kinds of the events that Hold is to be given.
func HoldKinds() filter.KindSet {
	return 1<<activity.KindListen | 1<<activity.KindUnlisten | 1<<activity.KindBind | 1<<activity.KindUnbind |
		1<<activity.KindSnapshot | 1<<activity.KindRecorderStart
}

// Hold tells who has a port: every event of HoldKinds, in the order of the
// record, from the beginning of the run that opt.From is in. wanted says that
// an event which opens a port is asked for; those that don't matter not.
func (r *Reports) Hold(e *activity.Event, wanted bool) { r.holds.event(e, wanted) }

// Held ends what Hold tells. It comes before the first Event, Count or Detail.
func (r *Reports) Held() { r.holds.finish() }

// Tables ends the counting and gives the tables, in the order of ReportList.
func (r *Reports) Tables() (all []*Table) {
	for _, p := range r.parts {
		for _, t := range p.tables() {
			t.nameHosts(r.opt.HostOf)
			all = append(all, t)
		}
	}
	return all
}
