package analyse

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// defaultConnections is how many connections are kept where opt.Top says no number.
const defaultConnections = 100

// maxOpen is how many open connections are followed at a time. Beyond, those
// that begin are not: the longest are the oldest.
const maxOpen = 1 << 16

// connections is the report on the longest and the heaviest connections: those
// that have ended, and among the longest those that are open at the end.
type connections struct {
	opt      *ReportOptions
	ended    uint64
	longest  best
	heaviest best

	open map[socketKey]connection
	runs []int64 // those that have not begun yet
}

// connection is what is kept of one: its last event, or for an open one its first.
type connection struct {
	event activity.Event // without its process
	owner *image
	open  bool
	found bool // open, and older than the recorder's run: its time counts from then
}

func newConnections(opt *ReportOptions) *connections {
	n := opt.Top
	if n <= 0 {
		n = defaultConnections
	}
	longer := func(a, b *activity.Event) int {
		return cmp.Or(cmp.Compare(a.Duration, b.Duration), cmp.Compare(a.Rx+a.Tx, b.Rx+b.Tx), earlier(a, b))
	}
	heavier := func(a, b *activity.Event) int {
		return cmp.Or(cmp.Compare(a.Rx+a.Tx, b.Rx+b.Tx), cmp.Compare(a.Duration, b.Duration), earlier(a, b))
	}
	return &connections{opt: opt, longest: best{n: n, compare: longer}, heaviest: best{n: n, compare: heavier},
		open: make(map[socketKey]connection), runs: opt.Runs}
}

// earlier is greater where a ended first, or of two at once began later.
func earlier(a, b *activity.Event) int {
	return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Seq, b.Seq))
}

func (c *connections) kinds() filter.KindSet {
	return 1<<activity.KindClose | 1<<activity.KindFlowEnd | 1<<activity.KindAccept | 1<<activity.KindConnect | 1<<activity.KindFlow | 1<<activity.KindSnapshot
}

func (c *connections) detail(e *activity.Event, img *image) {
	c.restarts(e.Time)
	switch e.Kind {
	case activity.KindClose, activity.KindFlowEnd:
		delete(c.open, keyOf(e))
		c.ended++
		if e.Unknown&activity.FactDuration == 0 {
			c.longest.add(connection{event: *e, owner: img})
		}
		if e.Unknown&activity.FactBytes == 0 {
			c.heaviest.add(connection{event: *e, owner: img})
		}
	case activity.KindAccept, activity.KindConnect, activity.KindFlow, activity.KindSnapshot:
		k := keyOf(e)
		_, known := c.open[k]
		if _, ok := remoteAddr(e); !ok || c.opt.NoEnds || known && e.Kind == activity.KindSnapshot || !known && len(c.open) >= maxOpen {
			return
		}
		c.open[k] = connection{event: bare(e), owner: img, open: true, found: e.Kind == activity.KindSnapshot}
	}
}

// restarts forgets what was open in the runs of the recorder that end before an
// instant: what still is, the next run's snapshot tells.
func (c *connections) restarts(at int64) {
	for len(c.runs) > 0 && c.runs[0] <= at {
		c.runs = c.runs[1:]
		clear(c.open)
	}
}

// stillOpen ends the counting: what is open has lasted until now.
func (c *connections) stillOpen() (n uint64) {
	c.restarts(c.opt.To)
	for _, o := range c.open {
		if o.event.Time < c.opt.To {
			n++
			o.event.Duration, o.event.Time = c.opt.To-o.event.Time, c.opt.To
			c.longest.add(o)
		}
	}
	return n
}

// best keeps the n greatest of what it is given.
type best struct {
	n       int
	compare func(a, b *activity.Event) int
	list    []connection // the greatest first
}

func (b *best) add(c connection) {
	if len(b.list) == b.n && b.compare(&b.list[b.n-1].event, &c.event) >= 0 {
		return
	}
	at := sortedPlace(b.list, func(o *connection) bool { return b.compare(&o.event, &c.event) < 0 })
	if len(b.list) == b.n {
		b.list = b.list[:b.n-1]
	}
	c.event = bare(&c.event)
	b.list = slices.Insert(b.list, at, c)
}

// bare is an event without what it points to.
func bare(e *activity.Event) activity.Event {
	b := *e
	b.Process, b.Holder, b.Holders, b.Coverage = nil, nil, nil, nil
	return b
}

// sortedPlace is where the first element is of which after is true.
func sortedPlace(list []connection, after func(*connection) bool) int {
	at, _ := slices.BinarySearchFunc(list, 0, func(c connection, _ int) int {
		if after(&c) {
			return 1
		}
		return -1
	})
	return at
}

func (c *connections) tables() []*Table {
	open := c.stillOpen()
	return []*Table{
		c.table("duration", "Longest connections", "The connections and UDP exchanges that lasted longest; those that are open at the end have lasted until then.", &c.longest, c.ended+open),
		c.table("bytes", "Heaviest connections", "The connections and UDP exchanges with the most bytes of payload, both ways together, of those that have ended.", &c.heaviest, c.ended),
	}
}

func (c *connections) table(part, title, about string, b *best, of uint64) *Table {
	t := &Table{Report: "connections", Part: part, Title: title, About: about, Events: of, Rest: of - uint64(len(b.list)), Hidden: int(of) - len(b.list),
		Columns: []Column{{"duration_ns", "DURATION", Nanos, 0}, {"bytes", "BYTES", Octets, 0}, {"rx", "RX", Octets, 5}, {"tx", "TX", Octets, 5}, {"proto", "PROTO", Text, 3},
			{"local", "LOCAL", Text, 1}, {"direction", "", Text, 0}, {"remote", "REMOTE", Text, 0}, {"address", "", Text, 0}, {"host", "HOST", Text, 2}, {"process", "PROCESS", Text, 0}, {"pid", "PID", Ident, 3}, {"exe", "", Text, 0},
			{"user", "USER", Text, 2}, {"unit", "UNIT", Text, 6}, {"open", "OPEN", Flag, 3}, {"start", "START", Moment, 4}, {"end", "END", Moment, 7}, {"reason", "ENDED BY", Text, 8}}}
	show(t, b.list, 0, func(c connection) []Cell { return c.cells() }, nil)
	return t
}

func (c *connection) cells() []Cell {
	e, img := &c.event, c.owner
	direction := "out"
	if inbound(e) {
		direction = "in"
	}
	unit, pid := "", unknown()
	if img.unit != nil {
		unit = img.unit.Name
	}
	if n := max(e.Owner.PID, img.pid); n != 0 {
		pid = number(n)
	}
	rx, tx, sum := number(e.Rx), number(e.Tx), number(e.Rx+e.Tx)
	if e.Unknown&activity.FactBytes != 0 || c.open {
		rx, tx, sum = unknown(), unknown(), unknown()
	}
	lasted, start := number(e.Duration), number(e.Time-e.Duration)
	if e.Unknown&activity.FactDuration != 0 {
		lasted, start = unknown(), unknown()
	}
	end := number(e.Time)
	if c.open {
		end = unknown()
	}
	if c.found {
		start = unknown() // before the recorder's
	}
	return []Cell{lasted, sum, rx, tx, text(e.Proto.String()), endCell(e.Local), text(direction), endCell(e.Remote), addrCell(e), unknown(), programCell(img.key()), pid,
		orUnknown(img.key().exe), orUnknown(img.user), text(unit), flag(c.open), start, end, text(e.Reason.String())}
}

// endCell is an address and port.
func endCell(a netip.AddrPort) Cell {
	if !a.IsValid() {
		return unknown()
	}
	return text(a.String())
}

// addrCell is the remote address alone.
func addrCell(e *activity.Event) Cell {
	a, ok := remoteAddr(e)
	if !ok {
		return unknown()
	}
	return text(a.String())
}
