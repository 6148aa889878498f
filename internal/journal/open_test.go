package journal

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// crowded makes a history whose few sockets open and end over and over, some of
// them without a cookie, in several runs of the recorder, by a clock that is
// set back now and then. The last events are in a live log.
func crowded(t *testing.T, seed uint64) (dir string, runs [][]*activity.Event) {
	rnd := rand.New(rand.NewPCG(seed, 4))
	h := newHistory(seed, 9)
	kinds := []activity.Kind{activity.KindListen, activity.KindUnlisten, activity.KindBind, activity.KindUnbind, activity.KindConnect, activity.KindAccept,
		activity.KindClose, activity.KindClose, activity.KindSnapshot, activity.KindFlow, activity.KindKnock}
	dir = t.TempDir()
	for run := range 3 {
		var all []*activity.Event
		w := open(t, Config{Dir: dir, SegmentRows: 80 + rnd.IntN(300), MergeRows: 1500})
		put := func(e *activity.Event) { w.Append(e); all = append(all, e) }
		put(&activity.Event{Time: h.now, Kind: activity.KindRecorderStart, Coverage: &activity.Coverage{From: h.now}})
		for range rnd.IntN(1500) {
			if rnd.IntN(400) == 0 {
				h.now -= int64(rnd.IntN(2e9))
			}
			e := h.next()
			e.Kind, e.Socket = kinds[rnd.IntN(len(kinds))], uint64(rnd.IntN(60))
			if e.Socket == 0 {
				e.Local, e.Remote = h.fewAddrs(rnd.IntN(4)), h.fewAddrs(rnd.IntN(3))
			}
			put(e)
		}
		check(t, w.Flush())
		sealAll(t, w)
		if run == 1 {
			if _, err := w.Merge(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if run == 2 {
			for range 40 {
				e := h.next()
				e.Kind, e.Socket = kinds[rnd.IntN(len(kinds))], uint64(1+rnd.IntN(60))
				put(e)
			}
		}
		check(t, w.Close())
		runs = append(runs, all)
	}
	return dir, runs
}

// stillOpen is Open done the obvious way.
func stillOpen(runs [][]*activity.Event, q *Query, at int64) (left []*activity.Event) {
	for n, run := range runs {
		var kept []*activity.Event
		ended := map[socketID]bool{}
		for i := len(run) - 1; i >= 0; i-- {
			e := run[i]
			id := idOf(e, uint64(n+1))
			switch {
			case !q.within(e) || !(openKinds | endKinds | coverageKinds).Has(e.Kind):
			case coverageKinds.Has(e.Kind):
				kept = append([]*activity.Event{e}, kept...)
			case ended[id]:
			case endKinds.Has(e.Kind) && e.Time <= at:
				ended[id] = true
			case q.match(e):
				kept = append([]*activity.Event{e}, kept...)
			}
		}
		left = append(left, kept...)
	}
	return left
}

func TestOpenProperty(t *testing.T) {
	for seed := range uint64(unlessShort(8, 2)) {
		dir, runs := crowded(t, seed)
		rnd := rand.New(rand.NewPCG(seed, 5))
		r, err := OpenReader(dir)
		check(t, err)
		for range unlessShort(12, 5) {
			run := runs[rnd.IntN(len(runs))]
			at := run[rnd.IntN(len(run))].Time
			var q Query
			switch rnd.IntN(5) {
			case 0:
				q.Ports = []filter.PortRange{{Lo: 1, Hi: 443}}
			case 1:
				q.To = at + 1e9
			case 2:
				q.Kinds = openKinds | endKinds
			case 3:
				q.Match = func(e *activity.Event) bool { return e.Seq%3 != 0 }
			}
			var got []*activity.Event
			for e, err := range r.Open(context.Background(), q, at) {
				check(t, err)
				got = append(got, e)
			}
			same(t, "open", stillOpen(runs, &q, at), got)
		}
	}
}

// TestOpenDamaged: what cannot be read is told once, and the rest is answered.
func TestOpenDamaged(t *testing.T) {
	for _, file := range []string{eventsFile, processesFile} {
		dir, want := sealedJournal(t, 100, 3)
		segs, _ := pieces(t, dir)
		check(t, os.Truncate(filepath.Join(dir, segs[1], file), 50))
		r, err := OpenReader(dir)
		check(t, err)
		faults, events := 0, 0
		for _, err := range r.Open(context.Background(), Query{}, want[len(want)-1].Time) {
			if err != nil {
				faults++
			} else {
				events++
			}
		}
		if faults != 1 || events == 0 {
			t.Errorf("%s damaged: %d errors and %d events", file, faults, events)
		}
	}
}

// TestOpenWhileSealing asks over and over while the recorder seals and merges:
// all sockets stay open, and all are found each time.
func TestOpenWhileSealing(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir, SegmentRows: 40, MergeRows: 500})
	h := newHistory(2, 3)
	n := 0
	for range unlessShort(40, 10) {
		for range 30 {
			e := h.next()
			e.Kind, e.Socket = activity.KindAccept, uint64(n+1)
			w.Append(e)
			n++
		}
		check(t, w.Flush())
		r, err := OpenReader(dir)
		check(t, err)
		got := 0
		for e, err := range r.Open(context.Background(), Query{}, h.now) {
			check(t, err)
			if got++; int(e.Seq) != got {
				t.Fatalf("event %d where %d was due", e.Seq, got)
			}
			if got == n/2 { // between two events of an answer
				sealAll(t, w)
				_, err := w.Merge(context.Background())
				check(t, err)
			}
		}
		if got != n {
			t.Fatalf("%d of %d sockets", got, n)
		}
	}
	check(t, w.Close())
}
