package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestRollupsAreTheSummary: the rows one by one add up to the Summary, of
// segments and a live log, whole and of some hours, each with its process.
func TestRollupsAreTheSummary(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir, SegmentRows: 300})
	h := newHistory(7, 20)
	h.modules(w)
	for range 2000 {
		w.Append(h.next())
		check(t, w.Flush())
	}
	for range 4 {
		check(t, w.Seal(context.Background()))
	}
	defer w.Close()
	r := &Reader{dir}
	for _, span := range [][2]int64{{0, 0}, {1767225600e9, 1767225600e9 + int64(time.Hour)}, {1, 2}} {
		want, err := r.Summary(t.Context(), span[0], span[1])
		check(t, err)
		sum := map[Rollup]*tally{}
		err = r.Rollups(t.Context(), span[0], span[1], func(row *Rollup, p *activity.Process) {
			if p != nil && uint64(p.ID) != row.Process || (p == nil) != (want.Processes[activity.ProcessID(row.Process)] == nil) {
				t.Fatalf("the process of %d is %v", row.Process, p)
			}
			k := *row
			k.Events, k.Rx, k.Tx, k.First, k.Last = 0, 0, 0, 0, 0
			if sum[k] == nil {
				sum[k] = new(tally)
			}
			sum[k].add(tally{row.Events, row.Rx, row.Tx, row.First, row.Last})
		})
		check(t, err)
		var got []Rollup
		for k, n := range sum {
			k.Events, k.Rx, k.Tx, k.First, k.Last = n.events, n.rx, n.tx, n.first, n.last
			got = append(got, k)
		}
		slices.SortFunc(got, compareRollups)
		slices.SortFunc(want.Rollups, compareRollups)
		if d := cmp.Diff(want.Rollups, got); d != "" {
			t.Errorf("%v: -summary +rows\n%s", span, d)
		}
		if span[0] == 0 && len(got) < 50 {
			t.Errorf("%d keys", len(got))
		}
	}
}

// TestRollupsDamaged: a segment whose roll-up cannot be read is told, and the
// others are visited.
func TestRollupsDamaged(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir, SegmentRows: 100})
	h := newHistory(8, 5)
	for range 400 {
		w.Append(h.next())
		check(t, w.Flush())
	}
	check(t, w.Finish(context.Background()))
	l, err := list(dir)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, l.pieces[1].name, rollupFile), []byte("PAR1 not"), 0o600))
	var n uint64
	err = (&Reader{dir}).Rollups(t.Context(), 0, 0, func(row *Rollup, _ *activity.Process) { n += row.Events })
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || n != 300 {
		t.Errorf("%d events, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Reader{dir}).Rollups(ctx, 0, 0, func(*Rollup, *activity.Process) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestRollupsWhileMerging: a segment that is merged away before it was visited
// is found in the larger one, and where that holds what was visited already the
// reading is to begin anew.
func TestRollupsWhileMerging(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir, SegmentRows: 100})
	h := newHistory(9, 5)
	for range 800 {
		w.Append(h.next())
		check(t, w.Flush())
	}
	for w.Sealable() {
		check(t, w.Seal(context.Background()))
	}
	r := &Reader{dir}
	before, err := list(dir)
	check(t, err)
	merged, err := w.Merge(context.Background())
	if check(t, err); !merged {
		t.Fatal("nothing merged")
	}
	v := rollupVisit{r: r, visit: func(*Rollup, *activity.Process) {}}
	if again, err := v.pieces(t.Context(), before.pieces); !again || err != nil || v.next != (pos{}) {
		t.Errorf("of pieces that are gone: %v, %v, up to %v", again, err, v.next)
	}
	v.next = before.pieces[0].last.next() // it was visited before it went
	after, err := list(dir)
	check(t, err)
	if _, err := v.pieces(t.Context(), after.pieces); !errors.Is(err, ErrChanged) {
		t.Errorf("a merged segment that holds what was visited: %v", err)
	}
	check(t, w.Finish(context.Background()))
	var n uint64
	check(t, r.Rollups(t.Context(), 0, 0, func(row *Rollup, _ *activity.Process) { n += row.Events }))
	if n != 800 {
		t.Errorf("%d events", n)
	}
}
