package control

import (
	"slices"
	"sync"

	"github.com/portreporter/portreporter/internal/activity"
)

// queueLength is how many events wait for one follower before it loses some:
// about 1.5 MB of events, or a tenth of a second at the fastest rate measured.
const queueLength = 4096

// follower is the queue between the recorder's goroutine, which puts, and the
// goroutine of one client, which takes.
type follower struct {
	wake chan struct{} // holds one token while there is something to take

	mu    sync.Mutex
	queue []*activity.Event // shared with other followers, read-only
	spare []*activity.Event // the queue before, to be used again
	gap   *activity.Event   // what came after queue filled up; nil nothing
}

func newFollower() *follower { return &follower{wake: make(chan struct{}, 1)} }

// put queues e, or counts it in the gap that follows the queue. It never waits
// for the client.
func (f *follower) put(e *activity.Event) {
	f.mu.Lock()
	switch {
	case f.gap != nil:
		f.extendGap(e)
	case len(f.queue) >= queueLength:
		f.gap = &activity.Event{Kind: activity.KindGap, Time: e.Time, Boot: e.Boot, Tier: e.Tier, Provenance: activity.Inferred,
			Coverage: &activity.Coverage{From: e.Time, Reason: "this follower read too slowly; the journal has these events"}}
		f.extendGap(e)
	default:
		f.queue = append(f.queue, e)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) extendGap(e *activity.Event) {
	c := f.gap.Coverage
	c.To = e.Time
	if int(e.Kind) < len(c.Lost) {
		c.Lost[e.Kind]++
	}
}

// take returns all that waits, in order. The slice is valid until the next
// call.
func (f *follower) take() []*activity.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queue
	if f.gap != nil {
		q = append(q, f.gap)
	}
	f.queue, f.spare, f.gap = f.spare[:0], q, nil
	return q
}

// copyEvent makes the copy that followers share. Processes are immutable; the
// two fields that the recorder may use again are copied.
func copyEvent(e *activity.Event) *activity.Event {
	c := *e
	c.Holders = slices.Clone(e.Holders)
	if e.Coverage != nil {
		v := *e.Coverage
		v.Missing = slices.Clone(v.Missing)
		c.Coverage = &v
	}
	return &c
}

// overlap drops from live events those that a follower was already given as
// recent ones: it began to queue before the recent ones were asked for. Events
// have one order in both, so the first that is new ends the search.
type overlap map[overlapKey]struct{}

type overlapKey struct {
	seq  uint64
	time int64
}

func newOverlap(recent []activity.Event) overlap {
	o := make(overlap, len(recent))
	for i := range recent {
		o[overlapKey{recent[i].Seq, recent[i].Time}] = struct{}{}
	}
	return o
}

func (o overlap) trim(live []*activity.Event) []*activity.Event {
	for i, e := range live {
		if _, ok := o[overlapKey{e.Seq, e.Time}]; !ok {
			clear(o)
			return live[i:]
		}
	}
	return nil
}
