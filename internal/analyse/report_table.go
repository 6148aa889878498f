package analyse

import (
	"net/netip"
	"slices"
)

// Type says what the cells of a column hold, and where.
type Type uint8

// The types.
const (
	Text   Type = iota // Cell.Text; null when empty
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
	Rows    [][]Cell // as many cells each as columns

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
		for i := range t.Rows {
			t.Rows[i] = slices.Delete(t.Rows[i], host, host+1)
		}
		return
	}
	var ask []netip.Addr
	for _, row := range t.Rows {
		if a, err := netip.ParseAddr(row[addr].Text); err == nil && !slices.Contains(ask, a) {
			ask = append(ask, a)
		}
	}
	names := hostOf(ask)
	for _, row := range t.Rows {
		if a, err := netip.ParseAddr(row[addr].Text); err == nil {
			row[host].Text = names[slices.Index(ask, a)]
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
