package recorder

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Queue carries events to a sink that may be slow, on a goroutine of its own.
// It is bounded: what does not fit is dropped and counted. The recorder does not
// wait, but for a snapshot, whose events come all at once, a little.
type Queue struct {
	in       chan activity.Event
	dropped  atomic.Uint64
	patience time.Duration // what is left of it for this snapshot
}

// snapshotPatience is how long the sink may have the recorder wait in one
// snapshot: enough for 100,000 sockets, and for a ring to hold what happens
// meanwhile.
const snapshotPatience = time.Second

// NewQueue returns a queue for size events.
func NewQueue(size int) *Queue {
	return &Queue{in: make(chan activity.Event, size), patience: snapshotPatience}
}

// Put copies e into the queue, or counts it as dropped. One goroutine calls it.
func (q *Queue) Put(e *activity.Event) {
	snapshot := e.Kind == activity.KindSnapshot
	if !snapshot {
		q.patience = snapshotPatience
	}
	select {
	case q.in <- *e:
	default:
		if !snapshot || !q.wait(e) {
			q.dropped.Add(1)
		}
	}
}

// wait puts e when there is room, or reports that there was none in time.
func (q *Queue) wait(e *activity.Event) bool {
	start, timer := time.Now(), time.NewTimer(q.patience)
	defer func() {
		timer.Stop()
		q.patience = max(0, q.patience-time.Since(start))
	}()
	select {
	case q.in <- *e:
		return true
	case <-timer.C:
		return false
	}
}

// Dropped returns how many events did not fit so far.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Run hands each event to sink, and calls idle whenever the queue is empty,
// until ctx is done and the queue is empty. It is called once.
func (q *Queue) Run(ctx context.Context, sink func(*activity.Event), idle func()) {
	for {
		select {
		case e := <-q.in:
			sink(&e)
			continue
		default:
		}
		idle()
		select {
		case e := <-q.in:
			sink(&e)
		case <-ctx.Done():
			for {
				select {
				case e := <-q.in:
					sink(&e)
				default:
					idle()
					return
				}
			}
		}
	}
}
