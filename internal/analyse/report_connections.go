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

// connections is the report on the longest and the heaviest connections.
type connections struct {
	opt      *ReportOptions
	all      uint64
	longest  best
	heaviest best
}

// connection is an ended one.
type connection struct {
	event activity.Event // without its process
	owner *image
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
	return &connections{opt: opt, longest: best{n: n, compare: longer}, heaviest: best{n: n, compare: heavier}}
}

// earlier is greater where a ended first.
func earlier(a, b *activity.Event) int { return cmp.Compare(b.Time, a.Time) }

func (c *connections) kinds() filter.KindSet {
	return 1<<activity.KindClose | 1<<activity.KindFlowEnd
}

func (c *connections) detail(e *activity.Event, img *image) {
	if e.Kind != activity.KindClose && e.Kind != activity.KindFlowEnd {
		return
	}
	c.all++
	if e.Unknown&activity.FactDuration == 0 {
		c.longest.add(e, img)
	}
	if e.Unknown&activity.FactBytes == 0 {
		c.heaviest.add(e, img)
	}
}

// best keeps the n greatest of what it is given.
type best struct {
	n       int
	compare func(a, b *activity.Event) int
	list    []connection // the greatest first
}

func (b *best) add(e *activity.Event, img *image) {
	if len(b.list) == b.n && b.compare(&b.list[b.n-1].event, e) >= 0 {
		return
	}
	at := sortedPlace(b.list, func(c *connection) bool { return b.compare(&c.event, e) < 0 })
	if len(b.list) == b.n {
		b.list = b.list[:b.n-1]
	}
	kept := connection{event: *e, owner: img}
	kept.event.Process, kept.event.Holder, kept.event.Holders, kept.event.Coverage = nil, nil, nil, nil
	b.list = slices.Insert(b.list, at, kept)
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
	return []*Table{
		c.table("duration", "Longest connections", "The connections and UDP exchanges that lasted longest, of those that have ended.", &c.longest),
		c.table("bytes", "Heaviest connections", "The connections and UDP exchanges with the most bytes of payload, both ways together, of those that have ended.", &c.heaviest),
	}
}

func (c *connections) table(part, title, about string, b *best) *Table {
	t := &Table{Report: "connections", Part: part, Title: title, About: about, Events: c.all, Rest: c.all - uint64(len(b.list)), Hidden: int(c.all) - len(b.list),
		Columns: []Column{{"duration_ns", "DURATION", Nanos, 0}, {"bytes", "BYTES", Octets, 0}, {"rx", "RX", Octets, 5}, {"tx", "TX", Octets, 5}, {"proto", "PROTO", Text, 3},
			{"local", "LOCAL", Text, 1}, {"direction", "", Text, 0}, {"remote", "REMOTE", Text, 0}, {"address", "", Text, 0}, {"host", "HOST", Text, 2}, {"process", "PROCESS", Text, 0}, {"pid", "PID", Ident, 3}, {"exe", "", Text, 0},
			{"user", "USER", Text, 2}, {"unit", "UNIT", Text, 6}, {"start", "START", Moment, 4}, {"end", "END", Moment, 7}, {"reason", "ENDED BY", Text, 8}}}
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
	if e.Unknown&activity.FactBytes != 0 {
		rx, tx, sum = unknown(), unknown(), unknown()
	}
	lasted, start := number(e.Duration), number(e.Time-e.Duration)
	if e.Unknown&activity.FactDuration != 0 {
		lasted, start = unknown(), unknown()
	}
	return []Cell{lasted, sum, rx, tx, text(e.Proto.String()), endCell(e.Local), text(direction), endCell(e.Remote), addrCell(e), unknown(), programCell(img.key()), pid,
		orUnknown(img.key().exe), orUnknown(img.user), text(unit), start, number(e.Time), text(e.Reason.String())}
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
