package recorder

import (
	"context"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestQueueSnapshot: a snapshot of many sockets comes through a small queue
// whole, and an event that comes too fast is dropped and counted.
func TestQueueSnapshot(t *testing.T) {
	const sockets = 50_000
	q := NewQueue(16)
	ctx, stop := context.WithCancel(t.Context())
	got, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		q.Run(ctx, func(*activity.Event) { got++ }, func() {})
	}()
	q.patience = time.Hour
	for range sockets {
		q.Put(&activity.Event{Kind: activity.KindSnapshot})
	}
	stop()
	<-done
	if got != sockets || q.Dropped() != 0 {
		t.Errorf("%d of %d looked at, %d dropped", got, sockets, q.Dropped())
	}
}

// TestQueueStuck: a sink that takes nothing has the recorder wait once a
// snapshot, and then no more.
func TestQueueStuck(t *testing.T) {
	q := NewQueue(3)
	put := func(kind activity.Kind, n int) {
		for range n {
			q.Put(&activity.Event{Kind: kind})
		}
	}
	put(activity.KindConnect, 5)
	if q.Dropped() != 2 || q.patience != snapshotPatience {
		t.Errorf("%d dropped, patience %v", q.Dropped(), q.patience)
	}
	q.patience = time.Millisecond
	put(activity.KindSnapshot, 100_000)
	if q.Dropped() != 100_002 || q.patience != 0 {
		t.Errorf("%d dropped, patience %v", q.Dropped(), q.patience)
	}
	put(activity.KindConnect, 1)
	if q.patience != snapshotPatience {
		t.Error("the next snapshot gets no patience")
	}
}
