package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
)

// TestSame: the same seed makes the same events, another seed others.
func TestSame(t *testing.T) {
	events := func(seed uint64) (all []byte) {
		g := newGenerator(seed, 5000, begin(), time.Hour)
		for range 5000 {
			all = activity.AppendEvent(all, g.next())
		}
		return all
	}
	one, again, two := string(events(1)), string(events(1)), string(events(2))
	if one != again || one == two {
		t.Error("events do not depend on the seed alone")
	}
}

// TestPlausible: times don't go back, every ending has its opening, and the
// shares are about those that the questions count on.
func TestPlausible(t *testing.T) {
	const n = 200_000
	g := newGenerator(1, n, begin(), 7*24*time.Hour)
	open := map[uint64]activity.Event{}
	for _, x := range g.serving {
		open[x.open.Socket] = x.open
	}
	kinds := map[activity.Kind]int{}
	remote := map[string]int{}
	six, onRDP := 0, 0
	var last int64
	for range n {
		e := *g.next()
		if e.Time < last {
			t.Fatalf("%v goes back to %v", e.Kind, e.When())
		}
		last = e.Time
		kinds[e.Kind]++
		switch e.Kind {
		case activity.KindListen, activity.KindBind, activity.KindAccept, activity.KindConnect, activity.KindFlow:
			open[e.Socket] = e
		case activity.KindUnlisten, activity.KindUnbind, activity.KindClose, activity.KindFlowEnd:
			o, ok := open[e.Socket]
			if !ok || o.Local != e.Local || o.Remote != e.Remote || o.Owner != e.Owner || e.Duration != e.Time-o.Time {
				t.Fatalf("%+v ends %+v", e, o)
			}
			delete(open, e.Socket)
		}
		if a := e.Remote.Addr(); a.IsValid() {
			remote[a.String()]++
			if a.Is6() {
				six++
			}
		}
		if e.Service() == 3389 {
			onRDP++
		}
	}
	if days := float64(last-begin().UnixNano()) / float64(24*time.Hour); days < 5 || days > 9 {
		t.Errorf("%.1f days, want about 7", days)
	}
	if once := len(remote); once < n/20 || 100*six/n < 10 || 100*six/n > 20 || onRDP < n/1000 || onRDP > n/300 {
		t.Errorf("%d addresses, %d%% IPv6, %d events of port 3389", once, 100*six/n, onRDP)
	}
	for _, k := range []activity.Kind{activity.KindBindFailed, activity.KindConnectFailed, activity.KindKnock, activity.KindListen, activity.KindUnbind, activity.KindFlowEnd} {
		if kinds[k] == 0 {
			t.Errorf("no %v", k)
		}
	}
}

// TestWrite: the journal is whole, has the runs and gaps, and the same flags
// make the same segments.
func TestWrite(t *testing.T) {
	var segments [2][]string
	for i := range segments {
		c := config{dir: filepath.Join(t.TempDir(), "j"), events: 20_000, over: 24 * time.Hour, seed: 3, rows: 1000, mergeRows: 4000}
		n, err := c.write(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		rep, err := journal.Verify(context.Background(), c.dir)
		if err != nil || len(rep.Problems) > 0 || rep.Events != uint64(n) || n < 20_000 || n > 21_000 {
			t.Errorf("%d events written: %+v, %v", n, rep, err)
		}
		r, err := journal.OpenReader(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		spans, err := r.Coverage(context.Background(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		states := map[journal.State]int{}
		for _, s := range spans {
			states[s.State]++
		}
		if d := cmp.Diff(map[journal.State]int{journal.StateRecorded: epochs, journal.StateGap: epochs, journal.StateCrashed: 1, journal.StateNotRunning: 2}, states); d != "" {
			t.Errorf("coverage: -want +got\n%s", d)
		}
		if segments[i], err = filepath.Glob(filepath.Join(c.dir, "seg-*")); err != nil {
			t.Fatal(err)
		}
		for k := range segments[i] {
			segments[i][k] = filepath.Base(segments[i][k])
		}
	}
	if d := cmp.Diff(segments[0], segments[1]); d != "" {
		t.Errorf("segments of two writings:\n%s", d)
	}
	if _, err := (config{dir: "", events: 1}).write(context.Background()); err == nil {
		t.Error("no directory was taken")
	}
}
