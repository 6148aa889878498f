package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// sample is one run of a load: what the generator tells, and what the tool spent
// from its start to its end.
type sample struct {
	truth.Stats
	tool time.Duration
}

// results are the samples of each variant, in the order of the rounds.
type results map[string]*series

// series are microseconds a unit of the load.
type series struct {
	own, wall, machine []float64
	tool               []float64 // seconds in all
	failed             int
}

func (r results) add(variant string, s sample) {
	v := r[variant]
	if v == nil {
		v = &series{}
		r[variant] = v
	}
	unit := float64(s.N) * 1e3
	v.own = append(v.own, float64(s.OwnNS)/unit)
	v.wall = append(v.wall, float64(s.WallNS)/unit)
	v.machine = append(v.machine, float64(s.BusyNS)/unit)
	v.tool = append(v.tool, s.tool.Seconds())
	v.failed += s.Failed
}

// print writes a table: medians, extremes in brackets, ratios of paired rounds.
func (r results) print(w io.Writer, load string, variants []string) {
	base := r["none"]
	if base == nil {
		base = &series{}
	}
	fmt.Fprintf(w, "\n%s, %d rounds\n", load, len(base.own))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "variant\tboth ends, us\tratio\twall, us\tratio\tmachine, us\tratio\ttool, s")
	for _, name := range variants {
		v := r[name]
		if v == nil {
			continue
		}
		fmt.Fprintf(t, "%s\t%v\tx%v\t%v\tx%v\t%v\tx%v\t%v\n", name,
			run.Summarise(v.own), run.Summarise(run.Paired(v.own, base.own)),
			run.Summarise(v.wall), run.Summarise(run.Paired(v.wall, base.wall)),
			run.Summarise(v.machine), run.Summarise(run.Paired(v.machine, base.machine)),
			run.Summarise(v.tool))
		if v.failed > 0 {
			fmt.Fprintf(t, "\t%d attempts found no port free\n", v.failed)
		}
	}
	t.Flush()
}
