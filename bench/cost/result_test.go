package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/testutil/truth"
)

func TestPrint(t *testing.T) {
	r := results{}
	for i := range int64(3) {
		r.add("none", sample{Stats: truth.Stats{N: 1000, OwnNS: 10e6 + i*1e6, WallNS: 20e6, BusyNS: 30e6}})
		r.add("record", sample{Stats: truth.Stats{N: 1000, OwnNS: 2 * (10e6 + i*1e6), WallNS: 30e6, BusyNS: 30e6}, tool: time.Second})
	}
	var b strings.Builder
	r.print(&b, "tcp 1000", []string{"none", "record", "absent"})
	var got [][]string
	for line := range strings.Lines(strings.TrimSpace(b.String())) {
		var cells []string
		for cell := range strings.SplitSeq(line, "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		got = append(got, cells)
	}
	want := [][]string{
		{"tcp 1000, 3 rounds"},
		{"variant", "both ends, us", "ratio", "wall, us", "ratio", "machine, us", "ratio", "tool, s"},
		{"none", "11.00 [10.00..12.00]", "x1.00 [1.00..1.00]", "20.00 [20.00..20.00]", "x1.00 [1.00..1.00]", "30.00 [30.00..30.00]", "x1.00 [1.00..1.00]", "0.00 [0.00..0.00]"},
		{"record", "22.00 [20.00..24.00]", "x2.00 [2.00..2.00]", "30.00 [30.00..30.00]", "x1.50 [1.50..1.50]", "30.00 [30.00..30.00]", "x1.00 [1.00..1.00]", "1.00 [1.00..1.00]"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
