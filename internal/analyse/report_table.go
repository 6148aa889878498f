package analyse

import (
	"iter"
	"net/netip"
	"slices"
)

// Type says what the cells of a column hold, and where.
type Type uint8

// The types.
const (
	Text   Type = iota // Cell.Text; null when empty
	Path               // the same, of which the end says most
	Prose              // the same, a sentence: the last to be cut short
	Texts              // Cell.List
	Number             // Cell.N, how many
	Ident              // Cell.N, a port or a process number
	Octets             // Cell.N, bytes of payload
	Nanos              // Cell.N, a length of time in ns
	Moment             // Cell.N, UTC ns; null when 0
	Share              // Cell.Share, a part of the whole from 0 to 1, to be compared with the other rows
	Usage              // the same, to be compared with the whole
	Flag               // Cell.N, 0 no, 1 yes
)

// Column describes one column of a table.
type Column struct {
	Name  string // stable: JSON and CSV
	Title string // for people; "" leaves the column to JSON and CSV
	Type  Type
	Rank  int // where room is short, columns of a higher rank go first; 0 stays
}

// Cell is one value. Which field holds it, the column's type says.
type Cell struct {
	Text    string
	List    []string
	N       int64
	Share   float64
	More    bool // List is not all
	Unknown bool // applies, but is not known; or does not apply to this row
}

// Table is one report, or a part of one.
type Table struct {
	Report  string // its name
	Part    string // which of several tables of the report; "" the only one
	Title   string
	About   string // what a row is and what counts, in a sentence or two
	Note    string // what is wrong with this answer; "" nothing
	Derived bool   // sums up a later table of the same report, for people
	Columns []Column
	Len     int
	Rows    iter.Seq[[]Cell] // Len rows, of as many cells as there are columns; made anew at each reading

	Events uint64 // that the table is about
	Hidden int    // rows beyond ReportOptions.Top
	Rest   uint64 // events of the rows that are not shown
	Slack  uint64 // counts may be that much too low, because rows had to be dropped while counting; 0 exact
}

// column returns the number of a column, -1 none.
func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// nameHosts fills the column "host" from the column "address", or takes it away.
func (t *Table) nameHosts(hostOf func([]netip.Addr) []string) {
	host, addr := t.column("host"), t.column("address")
	if host < 0 {
		return
	}
	if hostOf == nil {
		t.Columns = slices.Delete(slices.Clone(t.Columns), host, host+1)
		t.each(func(row []Cell) []Cell { return slices.Delete(row, host, host+1) })
		return
	}
	var ask []netip.Addr
	asked := make(map[string]int)
	for row := range t.Rows {
		s := row[addr].Text
		a, err := netip.ParseAddr(s)
		if _, there := asked[s]; err != nil || there {
			continue
		}
		if len(ask) == maxHosts {
			break
		}
		asked[s] = len(ask)
		ask = append(ask, a)
	}
	names := hostOf(ask)
	t.each(func(row []Cell) []Cell {
		if i, ok := asked[row[addr].Text]; ok {
			row[host] = orUnknown(names[i])
		}
		return row
	})
}

// maxHosts is how many addresses of a table are asked for, the first ones.
const maxHosts = 1000

// each changes every row as it is made.
func (t *Table) each(change func([]Cell) []Cell) {
	rows := t.Rows
	t.Rows = func(yield func([]Cell) bool) {
		for row := range rows {
			if !yield(change(row)) {
				return
			}
		}
	}
}

// show gives a table the rows that cells makes of items, opt.Top at most, and
// counts the others and their events into its rest.
func show[T any](t *Table, items []T, top int, cells func(T) []Cell, events func(T) uint64) {
	if top > 0 && len(items) > top {
		for _, hidden := range items[top:] {
			t.Hidden++
			t.Rest += events(hidden)
		}
		items = items[:top]
	}
	t.Len = len(items)
	t.Rows = func(yield func([]Cell) bool) {
		for _, item := range items {
			if !yield(cells(item)) {
				return
			}
		}
	}
}

func text(s string) Cell { return Cell{Text: s} }

func number[N int | int64 | uint64 | uint16 | uint32](n N) Cell { return Cell{N: int64(n)} }

func share(part, whole uint64) Cell {
	if whole == 0 {
		return Cell{Unknown: true}
	}
	return Cell{Share: float64(part) / float64(whole)}
}

func flag(yes bool) Cell {
	if yes {
		return Cell{N: 1}
	}
	return Cell{}
}

func unknown() Cell { return Cell{Unknown: true} }
