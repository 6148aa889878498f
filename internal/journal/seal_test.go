package journal

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestSealOrder: rows are sorted by service port and time although the clock was
// set back, and events of two low ports come last.
func TestSealOrder(t *testing.T) {
	s, all := oneSegment(t, 3000, func(i int, e *activity.Event) {
		if i%700 > 350 {
			e.Time -= 3e9
		}
	})
	c, err := newCursor(s.dir)
	check(t, err)
	defer c.close()
	var last sortKey
	n := 0
	for !c.done {
		if n > 0 && c.key.compare(last) <= 0 {
			t.Fatalf("row %d: %+v after %+v", n, c.key, last)
		}
		if (int64(n) >= s.mixed) != mixed(c.event()) {
			t.Fatalf("row %d of two low ports: %v; they begin at %d", n, mixed(c.event()), s.mixed)
		}
		last = c.key
		n++
		check(t, c.advance())
	}
	if n != len(all) {
		t.Errorf("%d rows of %d", n, len(all))
	}
}

// TestSealLaterVersion: an event whose frame is whole and which still makes no
// sense is left out, whether its head does or not, and the others are sealed.
func TestSealLaterVersion(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(2, 5)
	w := open(t, Config{Dir: dir})
	var want []*activity.Event
	for range 50 {
		e := h.next()
		w.Append(e)
		want = append(want, e)
	}
	check(t, w.Close())
	_, live := pieces(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, live[0]), os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	whole := activity.AppendEvent(nil, &activity.Event{Time: anchor, Seq: 51, Kind: activity.KindConnectFailed, Reason: activity.ReasonRefused, Errno: 111})
	odd := activity.AppendEvent(nil, &activity.Event{Time: anchor, Seq: 52, Kind: activity.KindConnect})
	odd[1] = 200 // a kind that is not known
	for _, body := range [][]byte{whole[:len(whole)-1], odd} {
		b := append(beginFrame(nil, frameEvent), body...)
		endFrame(b, 0, castagnoli())
		_, err = f.Write(b)
		check(t, err)
	}
	check(t, f.Close())
	w = open(t, Config{Dir: dir})
	for w.Sealable() {
		check(t, w.Seal(context.Background()))
	}
	check(t, w.Close())
	segs, live := pieces(t, dir)
	if len(segs) != 1 || len(live) != 0 {
		t.Errorf("segments %v, live logs %v", segs, live)
	}
	same(t, "sealed", want, collect(t, dir, Query{}))
}

// TestSealKept: what sealing works in is kept while full logs follow each other,
// and given back on a quiet machine; the segments are the same either way.
func TestSealKept(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(2, 5)
	w := open(t, Config{Dir: dir, SegmentRows: 100})
	var want []*activity.Event
	put := func(n int) {
		for range n {
			e := h.next()
			w.Append(e)
			want = append(want, e)
		}
		check(t, w.Flush())
	}
	put(100)
	check(t, w.Seal(context.Background()))
	if w.sealer == nil {
		t.Error("nothing is kept after a full log")
	}
	put(100)
	check(t, w.Seal(context.Background()))
	put(7)
	check(t, w.Finish(context.Background()))
	if w.sealer != nil {
		t.Error("something is kept after a log that was not full")
	}
	same(t, "sealed", want, collect(t, dir, Query{}))
}
