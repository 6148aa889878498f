package cli

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
)

// listeners records a random history of programs that open and close listeners,
// for this host alone or for all, and gives its events.
func listeners(t *testing.T, dir string, seed uint64) (events []*activity.Event) {
	t.Helper()
	w, err := journal.Open(journal.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 5))
	var procs []*activity.Process
	for i, exe := range []string{"/usr/bin/a", "/usr/bin/b", "/usr/bin/c"} {
		procs = append(procs, &activity.Process{ID: activity.ProcessID(i + 1), Key: activity.ProcessKey{PID: uint32(i + 1), Start: 1}, Exe: exe, Name: exe[9:]})
	}
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1"), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for i := range 120 {
		e := &activity.Event{Time: 1e18 + int64(i)*1e9, Kind: activity.KindListen, Proto: activity.TCP, Process: procs[r.IntN(len(procs))],
			Local: netip.AddrPortFrom(hosts[r.IntN(len(hosts))], 8000+uint16(r.IntN(3)))}
		if r.IntN(2) == 0 {
			e.Kind = activity.KindUnlisten
		}
		e.Owner = e.Process.Key
		w.Append(e)
		events = append(events, e)
	}
	if err := w.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	return events
}

// TestHistory: whether a listener opened further does not depend on what of it
// was asked for.
func TestHistory(t *testing.T) {
	found := 0
	for seed := range uint64(15) {
		cfg := defaultConfig(func(string) string { return "" })
		cfg.Dir = t.TempDir()
		events := listeners(t, cfg.Dir, seed)
		r, err := journal.OpenReader(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := loadRules(cfg, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		// The truth is what the rules say of all events in their order.
		truth := map[uint64][]activity.Finding{}
		m := loaded.set.Matcher()
		for _, e := range events {
			truth[e.Seq] = m.Event(e, nil)
		}
		for _, src := range []string{"kind:listen", "local:0.0.0.0", "process:a", "port:8001 kind:listen -local:loopback", "since:2001-09-09T01:47:40Z"} {
			x, err := filter.Parse(src, filter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &findings{matcher: loaded.set.Matcher(), least: activity.SeverityInfo, logged: &logged{}}
			f.over(r, loaded.set, x)
			for _, e := range events {
				if !x.Match(e) || e.Kind != activity.KindListen {
					continue
				}
				want := truth[e.Seq]
				if d := cmp.Diff(append([]activity.Finding{}, want...), append([]activity.Finding{}, f.of(e)...)); d != "" {
					t.Fatalf("seed %d: %s: %v %v of %s: -want +got\n%s", seed, src, e.Kind, e.Local, e.Process.Exe, d)
				}
				found += len(want)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d findings: the test says little", found)
	}
}

// TestNewest: the newest few of those of interest, in their order, however many
// there are.
func TestNewest(t *testing.T) {
	cfg := defaultConfig(func(string) string { return "" })
	cfg.Dir = t.TempDir()
	events := listeners(t, cfg.Dir, 1)
	loaded, err := loadRules(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []uint64 // of interest
	for m, i := loaded.set.Matcher(), 0; i < len(events); i++ {
		if m.Event(events[i], nil) != nil {
			all = append(all, events[i].Seq)
		}
	}
	for _, n := range []int{0, 1, 3, len(all), len(all) + 10} {
		var got []uint64
		f := &findings{matcher: loaded.set.Matcher(), least: activity.SeverityInfo, logged: &logged{}}
		seq := func(yield func(*activity.Event, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		}
		err := f.newest(seq, n, func(e *activity.Event, found []activity.Finding) error {
			if len(found) == 0 {
				t.Errorf("%d: no finding", e.Seq)
			}
			got = append(got, e.Seq)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := all[max(len(all)-n, 0):]
		if d := cmp.Diff(append([]uint64{}, want...), append([]uint64{}, got...)); d != "" {
			t.Errorf("%d: -want +got\n%s", n, d)
		}
	}
}
