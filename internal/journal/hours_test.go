package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// allHours is Hours done the obvious way.
func allHours(events []*activity.Event, from, to int64) map[Rollup]uint64 {
	all := map[Rollup]uint64{}
	for _, e := range events {
		hour := e.Time - mod(e.Time, nsPerHour)
		if hour+nsPerHour > from && (to == 0 || hour < to) {
			all[Rollup{Hour: hour, Proto: e.Proto.String(), Kind: e.Kind.String()}]++
		}
	}
	return all
}

func TestHoursProperty(t *testing.T) {
	for seed := range uint64(unlessShort(4, 1)) {
		dir, runs := crowded(t, seed)
		events := slices.Concat(runs...)
		r, err := OpenReader(dir)
		check(t, err)
		middle := events[len(events)/2].Time
		for _, span := range [][2]int64{{0, 0}, {middle, 0}, {0, middle}, {middle + 100*nsPerHour, 0}} {
			rows, err := r.Hours(context.Background(), span[0], span[1])
			check(t, err)
			got := map[Rollup]uint64{}
			for i, row := range rows {
				got[Rollup{Hour: row.Hour, Proto: row.Proto, Kind: row.Kind}] += row.Events
				if row.First < row.Hour || row.Last >= row.Hour+nsPerHour || i > 0 && rows[i-1].Hour > row.Hour {
					t.Errorf("row %+v", row)
				}
			}
			if d := cmp.Diff(allHours(events, span[0], span[1]), got); d != "" {
				t.Errorf("hours from %d to %d: -want +got\n%s", span[0], span[1], d)
			}
		}
	}
}

func TestHoursDamaged(t *testing.T) {
	dir, want := sealedJournal(t, 100, 3)
	segs, _ := pieces(t, dir)
	check(t, os.Truncate(filepath.Join(dir, segs[1], rollupFile), 60))
	r, err := OpenReader(dir)
	check(t, err)
	rows, err := r.Hours(context.Background(), 0, 0)
	n := uint64(0)
	for _, row := range rows {
		n += row.Events
	}
	if err == nil || n != uint64(len(want)-100) {
		t.Errorf("%d of %d events, %v", n, len(want), err)
	}
}
