package analyse

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// protoPort is a port of one protocol, of whatever address and network namespace.
type protoPort struct {
	proto activity.Proto
	port  uint16 // 0: one that the kernel chose, or none
}

func (p protoPort) compare(q protoPort) int {
	return cmp.Or(cmp.Compare(p.port, q.port), cmp.Compare(p.proto, q.proto))
}

// label is "443/tcp".
func (p protoPort) label() string {
	return strconv.Itoa(int(p.port)) + "/" + p.proto.String()
}

// portSet is the ports that something serves; maxPortSet bounds it.
type portSet map[protoPort]bool

const maxPortSet = 1 << 10

func (s *portSet) add(p protoPort) {
	if *s == nil {
		*s = make(portSet)
	}
	if len(*s) < maxPortSet {
		(*s)[p] = true
	}
}

func (s portSet) sorted() []protoPort {
	keys := make([]protoPort, 0, len(s))
	for p := range s {
		keys = append(keys, p)
	}
	slices.SortFunc(keys, protoPort.compare)
	return keys
}

// cell lists the ports by number.
func (s portSet) cell() (c Cell) {
	for _, p := range s.sorted() {
		c.List = append(c.List, p.label())
	}
	c.More = len(s) == maxPortSet
	return c
}

// opensPort reports whether an event is the opening of a port that others may
// come to: not one that the kernel chose for an exchange, and not a connection.
func opensPort(e *activity.Event) bool {
	switch e.Kind {
	case activity.KindListen:
		return true
	case activity.KindBind:
		return e.Flags&activity.FlagAutoBind == 0
	case activity.KindSnapshot:
		return !e.Remote.IsValid() || e.Remote.Port() == 0
	}
	return false
}

// hold is a port that a process holds, or held, in the time asked for.
type hold struct {
	port   protoPort
	local  netip.AddrPort
	owner  *image
	others []*image // processes that had the socket open too
	since  int64    // UTC ns
}

// maxHoldings bounds the sockets and the ports that are followed at a time.
const maxHoldings = 1 << 17

// portsHeld follows who holds which port, and for how long each was held by anyone.
type portsHeld struct {
	opt     *ReportOptions
	who     *resolver
	tell    func(*hold)
	covered *spans
	open    map[socketKey]*hold
	ports   map[protoPort]*portHolds
	skipped int // sockets beyond maxHoldings
}

type portHolds struct {
	open  int   // sockets at present
	since int64 // when the first of them opened
	used  int64 // recorded time in which any was open, ns
}

func newPortsHeld(opt *ReportOptions, who *resolver, tell func(*hold)) *portsHeld {
	return &portsHeld{opt: opt, who: who, tell: tell, covered: newSpans(opt.Covered, opt.From, opt.To), open: make(map[socketKey]*hold), ports: make(map[protoPort]*portHolds)}
}

func (h *portsHeld) event(e *activity.Event, wanted bool) {
	switch {
	case e.Time >= h.opt.To:
	case e.Kind == activity.KindRecorderStart:
		h.endAll(e.Time) // its snapshot tells what is open
	case e.Kind == activity.KindUnlisten || e.Kind == activity.KindUnbind:
		h.end(keyOf(e), e.Time)
	case opensPort(e):
		h.begin(e, wanted)
	}
}

// begin follows a socket that opened. One that is open already has changed hands.
func (h *portsHeld) begin(e *activity.Event, wanted bool) {
	k := keyOf(e)
	if !wanted {
		h.end(k, e.Time)
		return
	}
	old := h.open[k]
	if old == nil && len(h.open) >= maxHoldings {
		h.skipped++
		return
	}
	img, _ := h.who.image(e.Process, false)
	now := &hold{port: protoPort{e.Proto, e.Local.Port()}, local: e.Local, owner: img, since: e.Time}
	for _, p := range e.Holders {
		if o, _ := h.who.image(p, false); o.known() && o != img {
			now.others = append(now.others, o)
		}
	}
	h.port(now.port).begin(e.Time)
	h.open[k] = now
	if old != nil {
		h.finished(old, e.Time)
	}
}

func (h *portsHeld) end(k socketKey, at int64) {
	if old := h.open[k]; old != nil {
		delete(h.open, k)
		h.finished(old, at)
	}
}

func (h *portsHeld) finished(old *hold, at int64) {
	if p := h.ports[old.port]; p != nil {
		p.end(at, h.covered)
	}
	if at > h.opt.From || old.since >= h.opt.From {
		h.tell(old)
	}
}

func (h *portsHeld) endAll(at int64) {
	keys := make([]socketKey, 0, len(h.open))
	for k := range h.open {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b socketKey) int { // what is told first may be all that is shown
		return cmp.Or(cmp.Compare(h.open[a].since, h.open[b].since), h.open[a].port.compare(h.open[b].port), cmp.Compare(a.cookie, b.cookie), a.local.Compare(b.local))
	})
	for _, k := range keys {
		h.end(k, at)
	}
}

// finish ends what is open at the end of the time asked for.
func (h *portsHeld) finish() { h.endAll(h.opt.To) }

func (h *portsHeld) port(k protoPort) *portHolds {
	p := h.ports[k]
	if p == nil {
		p = new(portHolds)
		h.ports[k] = p
	}
	return p
}

func (p *portHolds) begin(at int64) {
	if p.open == 0 {
		p.since = at
	}
	p.open++
}

func (p *portHolds) end(at int64, covered *spans) {
	if p.open--; p.open == 0 {
		p.used += covered.overlap(p.since, at)
	}
}

// spans is a set of intervals that measures.
type spans struct {
	list   []Span
	before []int64 // total length of the spans before each
}

// newSpans takes spans that are in order, and clips them to from and to.
func newSpans(list []Span, from, to int64) *spans {
	s := &spans{before: []int64{0}}
	for _, i := range list {
		i.From, i.To = max(i.From, from), min(i.To, to)
		if n := len(s.list); n > 0 {
			i.From = max(i.From, s.list[n-1].To)
		}
		if i.From < i.To {
			s.list = append(s.list, i)
			s.before = append(s.before, s.total()+i.To-i.From)
		}
	}
	return s
}

func (s *spans) total() int64 { return s.before[len(s.before)-1] }

// upTo is the length of the spans before an instant.
func (s *spans) upTo(at int64) int64 {
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].To > at })
	if i == len(s.list) {
		return s.total()
	}
	return s.before[i] + max(at-s.list[i].From, 0)
}

// overlap is the length of the spans within from and to.
func (s *spans) overlap(from, to int64) int64 { return max(s.upTo(to)-s.upTo(from), 0) }
