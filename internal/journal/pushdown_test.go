package journal

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// oneSegment seals events into one segment and opens it.
func oneSegment(t *testing.T, n int, change func(i int, e *activity.Event)) (*segment, []*activity.Event) {
	t.Helper()
	dir := t.TempDir()
	h := newHistory(6, 20)
	w := open(t, Config{Dir: dir, SegmentRows: n})
	var all []*activity.Event
	for i := range n {
		e := h.next()
		if change != nil {
			change(i, e)
		}
		w.Append(e)
		all = append(all, e)
	}
	sealAll(t, w)
	check(t, w.Close())
	segs, _ := pieces(t, dir)
	s, err := openSegment(filepath.Join(dir, segs[0]))
	check(t, err)
	t.Cleanup(func() { s.close() })
	return s, all
}

// TestPushDown counts the pages that a query decodes, dictionaries included: few
// ask for few.
func TestPushDown(t *testing.T) {
	const rows = 4 * rowGroup
	s, all := oneSegment(t, rows, func(i int, e *activity.Event) {
		if i == 1000 {
			*e = activity.Event{Time: e.Time, Kind: activity.KindGap, Coverage: &activity.Coverage{Reason: "ring overflow"}}
		}
	})
	pages := func(q Query) (n, found int) {
		g := newGroupReader()
		defer g.close()
		sel, err := s.scan(g, &q, pos{}, func() error { return nil })
		check(t, err)
		return g.src.pages, len(sel.events)
	}
	everything, n := pages(Query{})
	if n != rows || everything < 4*numColumns {
		t.Fatalf("everything: %d events of %d pages", n, everything)
	}
	absent := netip.MustParsePrefix("203.0.113.77/32")
	for _, c := range []struct {
		name string
		q    filter.Hints
		most int // pages
	}{
		{"never", filter.Hints{Never: true}, 0},
		{"before all of it", filter.Hints{To: all[0].Time}, 0},
		{"after all of it", filter.Hints{From: all[rows-1].Time + 1}, 0},
		{"an address that is not there", filter.Hints{Addrs: []netip.Prefix{absent}}, 0},
		{"a kind that is not there", filter.Hints{Kinds: 1 << activity.KindListen}, 4}, // the kinds' dictionaries
		{"a port that is not there", filter.Hints{Ports: []filter.PortRange{{Lo: 7, Hi: 7}}}, everything / 20},
		{"coverage", filter.Hints{Kinds: coverageKinds}, everything / 6},
		{"one port", filter.Hints{Ports: []filter.PortRange{{Lo: 3389, Hi: 3389}}}, everything / 2},
		{"one port for a while", filter.Hints{Ports: []filter.PortRange{{Lo: 3389, Hi: 3389}}, From: all[rows/2].Time, To: all[rows/2].Time + 1e9}, everything / 3},
	} {
		q := Query{Hints: c.q}
		want := 0
		for _, e := range all {
			if q.within(e) {
				want++
			}
		}
		if n, found := pages(q); n > c.most || found != want {
			t.Errorf("%s: %d of %d pages for %d events; want at most %d, and %d events", c.name, n, everything, found, c.most, want)
		}
	}
}

// TestFewColumns: what asks for a few columns decodes no others.
func TestFewColumns(t *testing.T) {
	s, _ := oneSegment(t, rowGroup, nil)
	g := newGroupReader()
	defer g.close()
	read := map[int]bool{}
	note := func() {
		for i, used := range g.ready {
			read[i] = read[i] || used
		}
	}
	o := opening{q: &Query{}, at: s.to + 1}
	check(t, s.each(g, &Query{}, func() error { return nil }, func(first int, rows []int) error {
		c, err := o.columns(s, g, rows)
		note()
		if err == nil && len(c.seqs) < len(rows) {
			t.Errorf("%d positions of %d rows", len(c.seqs), len(rows))
		}
		return err
	}))
	for i := range numColumns {
		if want := i == colKind || i == colEpoch || i == colSeq || i == colSocket; read[i] != want {
			t.Errorf("column %s read: %v, want %v", g.defs[i].name, read[i], want)
		}
	}
}
