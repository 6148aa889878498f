package journal

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// TestQueryProperty: whatever is sealed and merged, a query gives what a naive
// filter over the appended events gives.
func TestQueryProperty(t *testing.T) {
	for seed := range uint64(unlessShort(6, 1)) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		dir := t.TempDir()
		h := newHistory(seed, 15)
		var want []*activity.Event
		for range 3 {
			w := open(t, Config{Dir: dir, SegmentRows: 200 + rnd.IntN(900), MergeRows: 3000})
			for range rnd.IntN(2500) {
				if rnd.IntN(500) == 0 {
					h.now -= int64(time.Hour) // the wall clock is set back
				}
				e := h.next()
				if rnd.IntN(300) == 0 {
					*e = activity.Event{Time: e.Time, Kind: activity.KindGap, Coverage: &activity.Coverage{Reason: "ring overflow"}}
				}
				w.Append(e)
				want = append(want, e)
			}
			check(t, w.Flush())
			sealAll(t, w)
			if _, err := w.Merge(context.Background()); err != nil {
				t.Fatal(err)
			}
			check(t, w.Close())
		}
		for range unlessShort(25, 10) {
			q := randomQuery(rnd, want)
			var naive []*activity.Event
			for _, e := range want {
				if q.within(e) && q.match(e) {
					naive = append(naive, e)
				}
			}
			same(t, "query", naive, collect(t, dir, q))
		}
	}
}

func randomQuery(rnd *rand.Rand, events []*activity.Event) (q Query) {
	some := func() *activity.Event { return events[rnd.IntN(len(events))] }
	if rnd.IntN(3) == 0 {
		q.From = some().Time
	}
	if rnd.IntN(3) == 0 {
		q.To = some().Time + 1
	}
	for range rnd.IntN(3) {
		p := some().Local.Port()
		q.Ports = append(q.Ports, filter.PortRange{Lo: p, Hi: p + uint16(rnd.IntN(2))})
	}
	if rnd.IntN(3) == 0 {
		if a := some().Remote.Addr(); a.IsValid() {
			q.Addrs = append(q.Addrs, netip.PrefixFrom(a, a.BitLen()-rnd.IntN(2)*8))
		}
	}
	switch rnd.IntN(4) {
	case 0:
		a, b := some().Kind, some().Kind
		q.Kinds = 1<<a | 1<<b
	case 1:
		q.Kinds = 1 << activity.KindGap
	}
	if rnd.IntN(3) == 0 {
		if p := some().Process; p != nil {
			q.Match = func(e *activity.Event) bool { return e.Process != nil && e.Process.User == p.User }
		}
	}
	return q
}

// TestReadWhileSealing reads over and over while a recorder appends, seals and
// merges: never an error, a hole or a duplicate.
func TestReadWhileSealing(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir, SegmentRows: 50, MergeRows: 800})
	h := newHistory(8, 5)
	stop, done := make(chan struct{}), make(chan error, 1)
	flushed := make(chan uint64, 1)
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			var last uint64
			for range 30 {
				e := h.next()
				w.Append(e)
				last = e.Seq
			}
			err := w.Flush()
			if err == nil {
				err = w.Seal(context.Background())
			}
			if err == nil && n%4 == 0 {
				_, err = w.Merge(context.Background())
			}
			if err != nil {
				done <- err
				return
			}
			select {
			case <-flushed:
			default:
			}
			flushed <- last
		}
	}()
	for range unlessShort(40, 8) {
		least := <-flushed
		var last uint64
		(&Reader{dir: dir}).walk(context.Background(), Query{}, func(at pos, e *activity.Event, err error) bool {
			check(t, err)
			if at.seq != last+1 {
				t.Fatalf("event %d follows %d", at.seq, last)
			}
			last = at.seq
			return true
		})
		if last < least {
			t.Fatalf("%d events, %d were flushed before", last, least)
		}
	}
	close(stop)
	check(t, <-done, w.Close())
}

func TestCoverage(t *testing.T) {
	dir := t.TempDir()
	at := func(s int64) int64 { return anchor + s*1e9 }
	run := func(events ...*activity.Event) {
		w := open(t, Config{Dir: dir})
		for _, e := range events {
			w.Append(e)
		}
		sealAll(t, w)
		check(t, w.Close())
	}
	start := func(s int64) *activity.Event {
		return &activity.Event{Time: at(s), Kind: activity.KindRecorderStart, Coverage: &activity.Coverage{From: at(s)}}
	}
	knock := func(s int64) *activity.Event {
		return &activity.Event{Time: at(s), Kind: activity.KindKnock, Proto: activity.TCP, Local: netip.MustParseAddrPort("10.0.0.1:22")}
	}
	run(start(0), knock(5), &activity.Event{Time: at(10), Kind: activity.KindRecorderStop, Coverage: &activity.Coverage{}})
	run(start(20), &activity.Event{Time: at(25), Kind: activity.KindGap, Coverage: &activity.Coverage{From: at(23), To: at(24), Reason: "ring overflow"}}, knock(30))
	run(start(50), knock(60))
	r, err := OpenReader(dir)
	check(t, err)
	got, err := r.Coverage(context.Background(), 0, 0)
	check(t, err)
	want := []Interval{
		{From: at(0), To: at(10), Epoch: 1, State: StateRecorded},
		{From: at(10), To: at(20), Epoch: 2, State: StateNotRunning, Reason: "the recorder was not running"},
		{From: at(20), To: at(30), Epoch: 2, State: StateRecorded},
		{From: at(23), To: at(24), Epoch: 2, State: StateGap, Reason: "ring overflow"},
		{From: at(30), To: at(50), Epoch: 3, State: StateCrashed, Reason: "the recorder ended without stopping"},
		{From: at(50), To: at(60), Epoch: 3, State: StateRecorded},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Interval{}, "Event")); d != "" {
		t.Errorf("coverage: -want +got\n%s", d)
	}
	if got, err = r.Coverage(context.Background(), at(31), at(40)); err != nil || len(got) != 1 || got[0].State != StateCrashed {
		t.Errorf("coverage of a part: %v, %v", got, err)
	}
}

func TestSummary(t *testing.T) {
	dir, want := sealedJournal(t, 300, 3)
	r, err := OpenReader(dir)
	check(t, err)
	s, err := r.Summary(context.Background(), 0, 0)
	check(t, err)
	var roll rollup
	for _, e := range want {
		roll.add(e)
	}
	if d := cmp.Diff(roll.rows(), s.Rollups); d != "" {
		t.Errorf("roll-ups: -want +got\n%s", d)
	}
	if d := cmp.Diff(roll.peerRows(), s.Peers); d != "" {
		t.Errorf("peers: -want +got\n%s", d)
	}
	if s, err = r.Summary(context.Background(), want[0].Time+int64(2*time.Hour), 0); err != nil || len(s.Rollups) != 0 {
		t.Errorf("summary after the record: %v, %v", s, err)
	}
}

func TestPeersBounded(t *testing.T) {
	var roll rollup
	for i := range 3 * maxPeers {
		roll.add(&activity.Event{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80), Rx: 1})
	}
	rows := roll.peerRows()
	var sum uint64
	for _, p := range rows {
		sum += p.Events
	}
	if len(rows) > maxPeers || sum != 3*maxPeers {
		t.Errorf("%d rows for %d events, want at most %d for %d", len(rows), sum, maxPeers, 3*maxPeers)
	}
}

func TestStat(t *testing.T) {
	dir, want := sealedJournal(t, 300, 3)
	s, err := Stat(dir)
	check(t, err)
	if s.Events != uint64(len(want)) || s.Segments != 3 || s.Live != 1 || s.Oldest != want[0].Time || s.Newest != want[len(want)-1].Time || s.BytesPerDay <= 0 {
		t.Errorf("stat: %+v", s)
	}
}

func TestArrange(t *testing.T) {
	seg := func(a, b uint64) piece {
		return piece{name: segmentName(pos{1, a}, pos{1, b}), first: pos{1, a}, last: pos{1, b}}
	}
	live := func(a uint64) piece { return piece{name: liveName(pos{1, a}), live: true, first: pos{1, a}} }
	l := arrange([]piece{live(201), seg(101, 200), seg(1, 100), live(101), seg(1, 200), live(1)})
	names := func(ps []piece) (s []string) {
		for _, p := range ps {
			s = append(s, p.name)
		}
		slices.Sort(s)
		return s
	}
	if d := cmp.Diff(names([]piece{seg(1, 200), live(201)}), names(l.pieces)); d != "" {
		t.Errorf("pieces: -want +got\n%s", d)
	}
	if d := cmp.Diff(names([]piece{seg(1, 100), seg(101, 200), live(1), live(101)}), names(l.superseded)); d != "" {
		t.Errorf("superseded: -want +got\n%s", d)
	}
}
