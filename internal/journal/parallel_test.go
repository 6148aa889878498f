package journal

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestInOrder(t *testing.T) {
	odd := errors.New("odd")
	for _, n := range []int{0, 1, 2, 7, 100} {
		var got []int
		inOrder(context.Background(), n, func(_ context.Context, g *groupReader, i int) (int, error) {
			if g == nil {
				t.Error("no reader")
			}
			if i%2 == 1 {
				return i, odd
			}
			return i, nil
		}, func(i, v int, err error) bool {
			if v != i || (err != nil) != (i%2 == 1) {
				t.Errorf("%d: %d, %v", i, v, err)
			}
			got = append(got, i)
			return true
		})
		if len(got) != n || !slices.IsSorted(got) {
			t.Errorf("%d: taken in the order %v", n, got)
		}
	}
}

// TestInOrderEnds: when take has enough, no more is done than a little ahead,
// and nothing runs on.
func TestInOrderEnds(t *testing.T) {
	var begun, running atomic.Int32
	taken := 0
	inOrder(context.Background(), 1000, func(context.Context, *groupReader, int) (struct{}, error) {
		begun.Add(1)
		running.Add(1)
		defer running.Add(-1)
		return struct{}{}, nil
	}, func(int, struct{}, error) bool { taken++; return taken < 5 })
	if taken != 5 || begun.Load() > 5+maxWorkers || running.Load() != 0 {
		t.Errorf("%d taken, %d begun, %d still running", taken, begun.Load(), running.Load())
	}
}

func TestInOrderCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	inOrder(ctx, 3, func(context.Context, *groupReader, int) (int, error) {
		t.Error("work was done for nobody")
		return 1, nil
	}, func(_, v int, err error) bool {
		if !errors.Is(err, context.Canceled) || v != 0 {
			t.Errorf("%d, %v", v, err)
		}
		return true
	})
}
