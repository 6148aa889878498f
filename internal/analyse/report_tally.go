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

// ledger keeps a bounded number of rows by key. When there are too many,
// half of them or more, those with the fewest events, are dropped: one that comes
// back begins at nought, so that its count is low by at most slack.
type ledger[K comparable, R any, P interface {
	*R
	total() *tally
}] struct {
	rows    map[K]P
	limit   int
	dropped int    // rows, those that came back twice
	rest    uint64 // their events
	slack   uint64
}

func newLedger[K comparable, R any, P interface {
	*R
	total() *tally
}](opt *ReportOptions, limit int) *ledger[K, R, P] {
	if opt.Limit > 0 {
		limit = opt.Limit
	}
	return &ledger[K, R, P]{rows: make(map[K]P), limit: limit}
}

// row returns the row of a key, and whether it is new.
func (l *ledger[K, R, P]) row(k K) (p P, fresh bool) {
	if p = l.rows[k]; p != nil {
		return p, false
	}
	if len(l.rows) >= l.limit {
		l.shrink()
	}
	p = new(R)
	l.rows[k] = p
	return p, true
}

func (l *ledger[K, R, P]) shrink() {
	counts := make([]uint64, 0, len(l.rows))
	for _, p := range l.rows {
		counts = append(counts, p.total().events)
	}
	slices.Sort(counts)
	least := counts[len(counts)/2] // the median: at least half go, and which do depends on nothing else
	for k, p := range l.rows {
		if n := p.total().events; n <= least {
			l.dropped, l.rest = l.dropped+1, l.rest+n
			delete(l.rows, k)
		}
	}
	l.slack += least
}

// sorted lists the rows, those with the most events first; ties by order.
func (l *ledger[K, R, P]) sorted(order func(a, b K) int) []K {
	keys := make([]K, 0, len(l.rows))
	for k := range l.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(l.rows[b].total().events, l.rows[a].total().events), order(a, b))
	})
	return keys
}

// into writes the rows of the keys into t, at most top, and the others into its rest.
func (l *ledger[K, R, P]) into(t *Table, keys []K, top int, cells func(K, P) []Cell) *Table {
	t.Rest, t.Slack, t.Hidden = l.rest, l.slack, l.dropped
	for i, k := range keys {
		p := l.rows[k]
		if top > 0 && i >= top {
			t.Hidden++
			t.Rest += p.total().events
			continue
		}
		t.Rows = append(t.Rows, cells(k, p))
	}
	return t
}

// few keeps the first few different values that it is given.
type few[T comparable] struct {
	list []T
	more bool
}

// fewest is how many values a few keeps.
const fewest = 6

func (f *few[T]) add(v T) {
	if slices.Contains(f.list, v) {
		return
	}
	if len(f.list) == fewest {
		f.more = true
		return
	}
	f.list = append(f.list, v)
}

// cell shows the values in words, sorted.
func (f *few[T]) cell(word func(T) string) Cell {
	c := Cell{More: f.more}
	for _, v := range f.list {
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
