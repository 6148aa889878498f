package truth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// Row names one line of a report.
type Row struct {
	Kind activity.Kind
	End  string // "client", "server" or ""
}

// Count is what became of the expected events of one row.
// Made = Observed + Inferred + Missing.
type Count struct {
	Made       int
	Observed   int
	Inferred   int // told with a provenance other than observed
	Missing    int
	May        int // told, and neither required nor wrong
	Extra      int // told, and never happened
	NoOwner    int // told without an owner, though the truth has one
	WrongOwner int
	WrongFact  int
}

func (c *Count) add(d Count) {
	c.Made += d.Made
	c.Observed += d.Observed
	c.Inferred += d.Inferred
	c.Missing += d.Missing
	c.May += d.May
	c.Extra += d.Extra
	c.NoOwner += d.NoOwner
	c.WrongOwner += d.WrongOwner
	c.WrongFact += d.WrongFact
}

// Report is the outcome of a comparison.
type Report struct {
	Rows      map[Row]Count
	Lost      [activity.NumKinds]uint64 // declared lost by the recorder's gaps, machine-wide
	Snapshots int                       // snapshot events of the run's namespaces
	NoProcess int                       // events whose owner was known by number only
	Examples  []string                  // what was wrong, the first few
}

// Kind sums the rows of one kind.
func (r *Report) Kind(k activity.Kind) (c Count) {
	for row, d := range r.Rows {
		if row.Kind == k {
			c.add(d)
		}
	}
	return c
}

// Err returns nil when, for each of the kinds (all when none is named), what was
// made is observed, inferred or declared lost, nothing was made up, and no owner
// or fact is wrong. A missing owner is not an error while events of that kind
// are declared lost or inferred.
func (r *Report) Err(kinds ...activity.Kind) error {
	var bad []string
	for k := activity.KindNone + 1; k < activity.NumKinds; k++ {
		if len(kinds) > 0 && !slices.Contains(kinds, k) {
			continue
		}
		c := r.Kind(k)
		say := func(n int, what string) {
			if n > 0 {
				bad = append(bad, fmt.Sprintf("%s: %d %s", k, n, what))
			}
		}
		say(c.Missing-int(r.Lost[k]), "missing without a word")
		say(c.Extra, "made up")
		say(c.WrongOwner, "with a wrong owner")
		say(c.WrongFact, "with a wrong fact")
		if c.Inferred == 0 && r.Lost[k] == 0 {
			say(c.NoOwner, "without an owner")
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("compare with ground truth: %s", strings.Join(bad, "; "))
	}
	return nil
}

// String returns the report as a table with its examples below.
func (r *Report) String() string {
	rows := make([]Row, 0, len(r.Rows))
	for k := range r.Rows {
		rows = append(rows, k)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.End, b.End)) })
	var b strings.Builder
	fmt.Fprintf(&b, "%-15s %-7s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", "kind", "end", "made", "observed", "inferred", "missing", "extra", "no-owner", "wrong-ow", "wrong", "lost")
	for _, k := range rows {
		c := r.Rows[k]
		fmt.Fprintf(&b, "%-15s %-7s %8d %8d %8d %8d %8d %8d %8d %8d %8d\n", k.Kind, k.End,
			c.Made, c.Observed, c.Inferred, c.Missing, c.Extra, c.NoOwner, c.WrongOwner, c.WrongFact, r.Lost[k.Kind])
	}
	if r.NoProcess > 0 || r.Snapshots > 0 {
		fmt.Fprintf(&b, "%d events without process facts, %d snapshots\n", r.NoProcess, r.Snapshots)
	}
	for _, s := range r.Examples {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}
