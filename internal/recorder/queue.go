package recorder

import (
	"context"
	"sync/atomic"

	"github.com/portreporter/portreporter/internal/activity"
)

// Queue carries events to a sink that may be slow, on a goroutine of its own.
// It is bounded: what does not fit is dropped and counted, and the recorder
// never waits.
type Queue struct {
	in      chan activity.Event
	dropped atomic.Uint64
}

// NewQueue returns a queue for size events.
func NewQueue(size int) *Queue { return &Queue{in: make(chan activity.Event, size)} }

// Put copies e into the queue, or counts it as dropped.
func (q *Queue) Put(e *activity.Event) {
	select {
	case q.in <- *e:
	default:
		q.dropped.Add(1)
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
