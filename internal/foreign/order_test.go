package foreign

import (
	"errors"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func sameAddr(a, b netip.AddrPort) bool { return a == b }

// The order is that of a stable sort, whatever fits in memory.
func TestInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var in []*activity.Event
		for i := range rnd.IntN(200) {
			e := &activity.Event{Time: rnd.Int64N(40), Seq: uint64(i), Kind: activity.KindAccept, Proto: activity.TCP,
				Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i))}
			if i%3 == 0 {
				key := activity.ProcessKey{PID: uint32(i)}
				e.Owner, e.Process = key, &activity.Process{ID: activity.ProcessID(i + 1), Key: key, Name: "p", Args: []string{"a\x00b"}, UID: activity.NoID}
			}
			in = append(in, e)
		}
		want := slices.Clone(in)
		slices.SortStableFunc(want, func(a, b *activity.Event) int { return int(a.Time - b.Time) })
		dir := t.TempDir()
		var got []*activity.Event
		for e, err := range inOrder(feed(in, nil), dir, 1+rnd.IntN(60)) {
			must(t, err)
			got = append(got, e)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(sameAddr)); d != "" {
			t.Fatalf("-want +got\n%s", d)
		}
		left, err := os.ReadDir(dir)
		must(t, err)
		if len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
}

func feed(events []*activity.Event, errs []error) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		var e activity.Event
		for i, v := range events {
			e = *v // as readers do: the caller's until the next one
			if !yield(&e, nil) || i < len(errs) && !yield(nil, errs[i]) {
				return
			}
		}
	}
}

// Errors come through, a caller that stops leaves no file, and neither does a
// directory that cannot be written.
func TestInOrderFaults(t *testing.T) {
	events := []*activity.Event{{Time: 3}, {Time: 2}, {Time: 1}, {Time: 0}}
	broken := errors.New("line 7")
	var errs, n int
	for e, err := range inOrder(feed(events, []error{broken, broken}), t.TempDir(), 1) {
		if err != nil {
			errs++
		} else if n++; e.Time != int64(n-1) {
			t.Errorf("event %d has time %d", n, e.Time)
		}
	}
	if errs != 2 || n != 4 {
		t.Errorf("%d errors and %d events", errs, n)
	}
	dir := t.TempDir()
	for range inOrder(feed(events, nil), dir, 1) {
		break
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	var last error
	for _, err := range inOrder(feed(events, nil), dir+"/none", 1) {
		last = err
	}
	if !errors.Is(last, os.ErrNotExist) {
		t.Errorf("error %v", last)
	}
}
