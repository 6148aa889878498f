package analyse

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// tally counts events by what they are.
type tally struct {
	events, opened, accepted, connected, flows, failed, knocks uint64
	rx, tx                                                     uint64
	first, last                                                int64 // UTC ns
}

func (t *tally) total() *tally { return t }

func (t *tally) event(e *activity.Event) { t.add(e.Kind, 1, e.Rx, e.Tx, e.Time, e.Time) }

func (t *tally) count(c *Count) { t.add(c.Kind, c.Events, c.Rx, c.Tx, c.First, c.Last) }

func (t *tally) add(k activity.Kind, n, rx, tx uint64, first, last int64) {
	if t.events == 0 {
		t.first, t.last = first, last
	}
	t.events += n
	t.rx, t.tx = t.rx+rx, t.tx+tx
	t.first, t.last = min(t.first, first), max(t.last, last)
	switch k {
	case activity.KindListen, activity.KindBind:
		t.opened += n
	case activity.KindAccept:
		t.accepted += n
	case activity.KindConnect:
		t.connected += n
	case activity.KindFlow:
		t.flows += n
	case activity.KindBindFailed, activity.KindConnectFailed:
		t.failed += n
	case activity.KindKnock:
		t.knocks += n
	}
}

// doings are the columns of a tally that several reports have, and doing their cells.
func doings() []Column {
	return []Column{
		{"opened", "OPENED", Number, 5}, {"accepted", "IN", Number, 2}, {"connected", "OUT", Number, 2}, {"flows", "FLOWS", Number, 4},
		{"failed", "FAILED", Number, 3}, {"rx", "RX", Octets, 3}, {"tx", "TX", Octets, 3},
		{"first", "FIRST", Moment, 8}, {"last", "LAST", Moment, 6},
	}
}

func (t *tally) doing() []Cell {
	return []Cell{number(t.opened), number(t.accepted), number(t.connected), number(t.flows), number(t.failed), number(t.rx), number(t.tx),
		number(t.first), number(t.last)}
}

// shared begins a row: its share of the events, and their number.
func shared() []Column {
	return []Column{{"share", "SHARE", Share, 1}, {"events", "EVENTS", Number, 0}}
}

func (t *tally) shared(of uint64) []Cell { return []Cell{share(t.events, of), number(t.events)} }

// ledger keeps a bounded number of rows by key. When there are too many, half of
// them or more, those with the fewest events, are dropped: one that comes back
// begins at nought, so that its count is low by at most slack. Rows lie in
// blocks: one by one they would be most of the garbage collector's work.
type ledger[K comparable, R any, P interface {
	*R
	total() *tally
}] struct {
	index   map[K]uint32
	blocks  [][]R
	limit   int
	dropped int    // rows, those that came back twice
	rest    uint64 // their events
	slack   uint64
}

const rowBlock = 1 << 8

func newLedger[K comparable, R any, P interface {
	*R
	total() *tally
}](opt *ReportOptions, limit int) *ledger[K, R, P] {
	if opt.Limit > 0 {
		limit = opt.Limit
	}
	return &ledger[K, R, P]{index: make(map[K]uint32), limit: limit}
}

// row returns the row of a key, and whether it is new. It is valid until the
// next call.
func (l *ledger[K, R, P]) row(k K) (p P, fresh bool) {
	if i, ok := l.index[k]; ok {
		return l.at(i), false
	}
	if len(l.index) >= l.limit {
		l.shrink()
	}
	i := uint32(len(l.index))
	if int(i)/rowBlock == len(l.blocks) {
		l.blocks = append(l.blocks, make([]R, rowBlock))
	}
	l.index[k] = i
	return l.at(i), true
}

func (l *ledger[K, R, P]) at(i uint32) P { return &l.blocks[i/rowBlock][i%rowBlock] }

// get returns the row of a key that has one.
func (l *ledger[K, R, P]) get(k K) P { return l.at(l.index[k]) }

func (l *ledger[K, R, P]) shrink() {
	counts := make([]uint64, 0, len(l.index))
	for _, i := range l.index {
		counts = append(counts, l.at(i).total().events)
	}
	slices.Sort(counts)
	least := counts[len(counts)/2] // the median: at least half go, and which do depends on nothing else
	old := *l
	l.index, l.blocks = make(map[K]uint32), nil
	for k, i := range old.index {
		if p := old.at(i); p.total().events <= least {
			l.dropped, l.rest = l.dropped+1, l.rest+p.total().events
		} else {
			kept, _ := l.row(k)
			*kept = *p
		}
	}
	l.slack += least
}

// sorted lists the keys, those with the most events first; ties by order.
func (l *ledger[K, R, P]) sorted(order func(a, b K) int) []K {
	keys := make([]K, 0, len(l.index))
	for k := range l.index {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(l.get(b).total().events, l.get(a).total().events), order(a, b))
	})
	return keys
}

// into writes the rows of the keys into t, at most top, and the others into its rest.
func (l *ledger[K, R, P]) into(t *Table, keys []K, top int, cells func(K, P) []Cell) *Table {
	t.Rest, t.Slack, t.Hidden = l.rest, l.slack, l.dropped
	show(t, keys, top, func(k K) []Cell { return cells(k, l.get(k)) }, func(k K) uint64 { return l.get(k).total().events })
	return t
}

// few keeps the first few different values that it is given.
type few[T comparable] struct {
	list [fewest]T
	n    uint8
	more bool
}

// fewest is how many values a few keeps.
const fewest = 6

func (f *few[T]) all() []T { return f.list[:f.n] }

func (f *few[T]) add(v T) {
	switch {
	case slices.Contains(f.all(), v):
	case f.n == fewest:
		f.more = true
	default:
		f.list[f.n] = v
		f.n++
	}
}

// cell shows the values in words, sorted.
func (f *few[T]) cell(word func(T) string) Cell {
	c := Cell{More: f.more}
	for _, v := range f.all() {
		if w := word(v); !slices.Contains(c.List, w) {
			c.List = append(c.List, w)
		}
	}
	slices.SortFunc(c.List, func(a, b string) int { return cmp.Or(cmp.Compare(leading(a), leading(b)), cmp.Compare(a, b)) })
	return c
}

// leading is the number that a word begins with, so that 9/tcp comes before
// 80/tcp; -1 none.
func leading(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return -1
	}
	return n
}
