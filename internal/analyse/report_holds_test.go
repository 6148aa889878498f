package analyse

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestShareOfTime: the share of time in use is that of a model that looks at
// each instant.
func TestShareOfTime(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		const end = 60
		open := map[uint64]*activity.Event{} // by socket
		var inUse [end]map[protoPort]bool    // the model
		var covered [end]bool
		var events []*activity.Event
		from, to := int64(rnd.IntN(20)), int64(40+rnd.IntN(20))
		for at := range int64(end) {
			for range rnd.IntN(3) {
				id := uint64(1 + rnd.IntN(5))
				e := &activity.Event{Time: at, Socket: id, Proto: activity.TCP, Kind: activity.KindListen,
					Local: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(80+rnd.IntN(2)))}
				switch old := open[id]; {
				case rnd.IntN(40) == 0:
					e = &activity.Event{Time: at, Kind: activity.KindRecorderStart}
					clear(open)
				case old != nil && rnd.IntN(4) == 0: // it has changed hands
					e.Kind, e.Local = activity.KindSnapshot, old.Local
				case old != nil:
					e.Kind, e.Local = activity.KindUnlisten, old.Local
					delete(open, id)
				default:
					open[id] = e
				}
				events = append(events, e)
			}
			inUse[at] = map[protoPort]bool{}
			for _, e := range open {
				inUse[at][protoPort{e.Proto, e.Local.Port()}] = true
			}
		}
		var spans []Span
		for at := int64(0); at < end; {
			next := at + 1 + int64(rnd.IntN(15))
			if rnd.IntN(3) > 0 {
				spans = append(spans, Span{at, min(next, end)})
				for i := at; i < min(next, end); i++ {
					covered[i] = true
				}
			}
			at = next
		}
		r, err := NewReports(ReportOptions{Names: []string{"ports"}, From: from, To: to, Covered: spans})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			r.Hold(e, true)
		}
		r.Held()
		want, got := map[protoPort]int64{}, map[protoPort]int64{}
		var whole int64
		for at := from; at < to; at++ {
			if !covered[at] {
				continue
			}
			whole++
			for k := range inUse[at] {
				want[k]++
			}
		}
		table := r.Tables()[0]
		for row := range table.Rows {
			open, part := row[table.column("open_ns")], row[table.column("share")]
			if open.N > 0 {
				got[protoPort{activity.TCP, uint16(row[table.column("port")].N)}] = open.N
				if d := part.Share - float64(open.N)/float64(whole); d > 1e-9 || d < -1e-9 {
					t.Errorf("seed %d: share %v of %d/%d", seed, part.Share, open.N, whole)
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: -each instant +report\n%s", seed, d)
		}
	}
}

// TestHoldUnwanted: a port that passes to an owner who is not asked for is no
// longer in use by one who is; what was over before the time does not count.
func TestHoldUnwanted(t *testing.T) {
	nginx := &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 7, Start: 1}, Name: "nginx"}
	at := func(ns int64, k activity.Kind, port uint16) *activity.Event {
		return &activity.Event{Time: ns, Kind: k, Socket: uint64(port), Proto: activity.TCP, Process: nginx, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	}
	r, err := NewReports(ReportOptions{Names: []string{"ports"}, From: 100, To: 200, Covered: []Span{{0, 200}}})
	if err != nil {
		t.Fatal(err)
	}
	r.Hold(at(10, activity.KindListen, 80), true)
	r.Hold(at(20, activity.KindListen, 81), true)
	r.Hold(at(90, activity.KindUnlisten, 81), false) // over before
	r.Hold(at(150, activity.KindSnapshot, 80), false)
	r.Hold(at(250, activity.KindListen, 82), true) // after
	r.Held()
	table := r.Tables()[0]
	rows := slices.Collect(table.Rows)
	if len(rows) != 1 || rows[0][table.column("share")].Share != 0.5 || rows[0][table.column("port")].N != 80 {
		t.Errorf("%+v", rows)
	}
}

func TestSpans(t *testing.T) {
	s := newSpans([]Span{{0, 10}, {20, 30}, {25, 40}, {50, 60}}, 5, 55)
	for _, c := range []struct{ from, to, want int64 }{
		{0, 100, 5 + 20 + 5}, {0, 7, 2}, {7, 22, 5}, {10, 20, 0}, {35, 52, 7}, {60, 70, 0}, {30, 10, 0},
	} {
		if got := s.overlap(c.from, c.to); got != c.want {
			t.Errorf("%d to %d overlaps %d, want %d", c.from, c.to, got, c.want)
		}
	}
	if empty := newSpans(nil, 0, 10); empty.overlap(0, 10) != 0 || empty.total() != 0 {
		t.Error("nothing is something")
	}
}
