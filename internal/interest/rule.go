package interest

import (
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// Options are what the meaning of rules depends on besides their text.
type Options struct {
	Filter filter.Options // of the expressions; Modules may be nil, and then no module is known

	// Names gives the names that are known of an address, in lower case; nil
	// knows none, and then rules about host names find nothing.
	Names func(netip.Addr) []string
	// AllNames says that Names knows the name of any address, and not only of
	// those that a look-up of Set.Hosts gives.
	AllNames bool

	// Writable tells whether others than its owner may write the executable of
	// a process; nil knows of none. It is asked once for each image.
	Writable func(*activity.Process) bool

	// Baseline is what programs did before; nil is none, and then nothing is new.
	Baseline *Baseline
}

// Rule tells what a rule is, for people.
type Rule struct {
	ID       string // unique in a set; [a-z0-9._-]
	Title    string
	Severity activity.Severity
	Reason   string // what a finding says
	Source   string // where the knowledge comes from, "" it is the administrator's
	File     string // that it is from; "" the program's own
	Line     int    // in File, from 1
	About    string // what it looks at: a filter expression and the rule's own conditions
	Needs    string // what it needs and is not at hand, so that it finds nothing: "a baseline", "names of addresses"; "" nothing
}

// rule is a Rule ready to be asked.
type rule struct {
	Rule
	kinds   filter.KindSet // those it may be about
	expr    *filter.Expr   // nil matches everything
	hints   filter.Hints   // of expr, or of sigma
	service []portRange    // the service port is in one; nil any
	nets    *netSet        // the remote address is in it; nil any
	hosts   []string       // the remote address has one of these names, or ends in .NAME where it begins with "*."; nil any
	special condition
	sigma   *sigmaNode
}

// portRange is a range of ports of one protocol, or of both when it is 0.
type portRange struct {
	filter.PortRange
	proto activity.Proto
}

// condition is what the filter language has no word for.
type condition uint8

const (
	always           condition = iota
	worldWritable              // others may write the executable
	widened                    // a program's listener is open to more than before
	newListener                // a port that the program had not open while the baseline was learnt
	newDestination             // an address and port that it did not call
	unpackagedModule           // a library of no package in a program of one
	numConditions
)

func (c condition) String() string {
	return [numConditions]string{"", "world-writable", "widened", "new-listener", "new-destination", "unpackaged-module"}[c]
}

// conditionNames lists the words of the conditions, in their order.
func conditionNames() (names []string) {
	for c := always + 1; c < numConditions; c++ {
		names = append(names, c.String())
	}
	return names
}

// kindsOf gives the kinds that a condition can be true of; 0 is all.
func (c condition) kinds() filter.KindSet {
	switch c {
	case widened:
		return kindSet(activity.KindListen)
	case newListener:
		return kindSet(activity.KindListen, activity.KindBind, activity.KindSnapshot)
	case newDestination:
		return kindSet(activity.KindConnect, activity.KindConnectFailed, activity.KindFlow)
	case worldWritable, unpackagedModule: // ends tell nothing that beginnings did not
		return ^kindSet(activity.KindUnlisten, activity.KindUnbind, activity.KindClose, activity.KindFlowEnd)
	}
	return 0
}

// mayOwn is false when nothing that p does can match.
func (r *rule) mayOwn(p *activity.Process, opt *Options) bool {
	if r.expr != nil && !r.expr.MayOwn(p) || r.sigma != nil && !r.sigma.mayOwn(p, false) {
		return false
	}
	switch r.special {
	case worldWritable:
		return p != nil && opt.Writable != nil && opt.Writable(p)
	case unpackagedModule:
		return foreignModule(p, opt.modules) != nil
	case widened:
		return program(p) != ""
	case newListener, newDestination:
		return program(p) != "" && opt.Baseline != nil
	}
	return true
}

// match asks the rule of an event; mayOwn was true of its process. s is the
// socket that the event is the opening of, or nil.
func (r *rule) match(e *activity.Event, s *activity.Socket, opt *Options, wider bool) bool {
	if !r.kinds.Has(e.Kind) || r.service != nil && !r.inService(e) {
		return false
	}
	switch {
	case r.expr == nil:
	case s != nil && !r.expr.MatchSocket(s), s == nil && !r.expr.Match(e):
		return false
	}
	if r.nets != nil && !r.nets.has(e.Remote.Addr()) || r.sigma != nil && !r.sigma.match(e, opt) || r.hosts != nil && !r.namesHost(e.Remote.Addr(), opt) {
		return false
	}
	switch r.special {
	case widened:
		return wider
	case newListener:
		return opt.Baseline.newListener(e)
	case newDestination:
		return opt.Baseline.newDestination(e)
	}
	return true
}

// inService reports whether the port that e is about is one of the rule's.
func (r *rule) inService(e *activity.Event) bool {
	port := servicePort(e)
	for _, p := range r.service {
		if port != 0 && p.Lo <= port && port <= p.Hi && (p.proto == 0 || p.proto == e.Proto) {
			return true
		}
	}
	return false
}

// servicePort is the port that an event is about: the local one of what is
// opened or accepted, the remote one of what calls out. A port that the kernel
// picked for the other end is not of interest, whatever its number.
func servicePort(e *activity.Event) uint16 {
	switch e.Kind {
	case activity.KindBind, activity.KindUnbind:
		if e.Flags&activity.FlagAutoBind != 0 {
			return 0
		}
		return e.Local.Port()
	case activity.KindListen, activity.KindUnlisten, activity.KindBindFailed, activity.KindAccept, activity.KindKnock:
		return e.Local.Port()
	case activity.KindConnect, activity.KindConnectFailed:
		return e.Remote.Port()
	}
	switch {
	case inbound(e):
		return e.Local.Port()
	case e.Role == activity.RoleCreator:
		return e.Remote.Port()
	}
	return e.Service()
}

// inbound reports whether the peer is known to have begun it.
func inbound(e *activity.Event) bool {
	return e.Kind == activity.KindAccept || e.Kind == activity.KindKnock || e.Flags&activity.FlagInbound != 0 ||
		e.Role == activity.RoleAcceptor || e.Role == activity.RoleListener
}

// namesHost reports whether an address has one of the rule's names. What Names
// does not know has none.
func (r *rule) namesHost(a netip.Addr, opt *Options) bool {
	if opt.Names == nil || !a.IsValid() {
		return false
	}
	for _, name := range opt.Names(a) {
		for _, h := range r.hosts {
			if name == h || strings.HasPrefix(h, "*.") && strings.HasSuffix(name, h[1:]) {
				return true
			}
		}
	}
	return false
}

// modules resolves a module set, nil when it is not known.
func (opt *Options) modules(id activity.ModuleSetID) *activity.ModuleSet {
	if opt.Filter.Modules == nil || id == 0 {
		return nil
	}
	return opt.Filter.Modules(id)
}

// foreignModule returns a module that is of no package though the process's
// executable is of one: a library that the distribution did not bring. What has
// no file (the vdso) or lost it (an update) is not meant.
func foreignModule(p *activity.Process, modules func(activity.ModuleSetID) *activity.ModuleSet) *activity.Module {
	if p == nil || p.ExePackage == "" {
		return nil
	}
	set := modules(p.Modules)
	if set == nil {
		return nil
	}
	for i := range set.Modules {
		m := &set.Modules[i]
		if m.Package == "" && !m.Deleted && m.Path != p.Exe && strings.ContainsAny(m.Path, `/\`) {
			return m
		}
	}
	return nil
}

// program is what a baseline knows a process by: its executable, else its name.
func program(p *activity.Process) string {
	switch {
	case p == nil || p.Kernel:
		return ""
	case p.Exe != "":
		return p.Exe
	}
	return p.Name
}
