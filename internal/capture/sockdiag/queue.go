package sockdiag

import "github.com/portreporter/portreporter/internal/activity"

// queue holds what has been found and not yet read, in order. Its length is
// bounded by what one scan and one batch of notifications can find.
type queue struct {
	items  []activity.Observation
	head   int
	pushed uint64 // in all
}

// popped is how many observations have been read in all.
func (q *queue) popped() uint64 { return q.pushed - uint64(q.len()) }

func (q *queue) len() int { return len(q.items) - q.head }

// push adds a zero observation and returns it to be filled in; the pointer is
// good until the next push.
func (q *queue) push() *activity.Observation {
	q.pushed++
	q.items = append(q.items, activity.Observation{UID: activity.NoID})
	return &q.items[len(q.items)-1]
}

// pop moves the oldest observation to o and reports whether there was one.
func (q *queue) pop(o *activity.Observation) bool {
	if q.len() == 0 {
		return false
	}
	*o = q.items[q.head]
	q.items[q.head] = activity.Observation{} // lets go of its Process
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return true
}
