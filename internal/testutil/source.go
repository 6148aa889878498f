package testutil

import (
	"os"
	"sync"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Source is a capture source that plays what a test gives it. It has the
// methods that a recorder wants of one; its fields are set before its first
// use. Feed may be called from any goroutine, the rest from one.
type Source struct {
	Open      []activity.Socket // what Sockets yields
	AsOf      uint64            // when, CLOCK_BOOTTIME ns
	OpenErr   error             // what Sockets fails with, after Open
	Described activity.SourceInfo
	Done      bool // when all that was fed is read, Read returns os.ErrClosed

	deadline time.Time
	wake     chan struct{} // holds a token when there is news

	mu     sync.Mutex
	queue  []activity.Observation
	lost   [activity.NumKinds]uint64
	err    error // of the next Read, once
	closed bool
}

// NewSource returns a source that has script to tell.
func NewSource(script ...activity.Observation) *Source {
	s := &Source{wake: make(chan struct{}, 1)}
	s.Feed(script...)
	return s
}

// Feed adds observations to what is told.
func (s *Source) Feed(script ...activity.Observation) {
	s.mu.Lock()
	s.queue = append(s.queue, script...)
	s.mu.Unlock()
	s.news()
}

// Lose counts n events of a kind as lost.
func (s *Source) Lose(k activity.Kind, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[k] += n
}

// Fail lets the next Read fail once, after what was fed before.
func (s *Source) Fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.news()
}

func (s *Source) news() {
	select {
	case s.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Read overwrites o with the next observation. It waits for one until the
// deadline (os.ErrDeadlineExceeded) or Close (os.ErrClosed).
func (s *Source) Read(o *activity.Observation) error {
	var expired <-chan time.Time
	if !s.deadline.IsZero() {
		t := time.NewTimer(time.Until(s.deadline))
		defer t.Stop()
		expired = t.C
	}
	for {
		if ok, err := s.take(o); ok || err != nil {
			return err
		}
		select {
		case <-s.wake:
		case <-expired:
			return os.ErrDeadlineExceeded
		}
	}
}

func (s *Source) take(o *activity.Observation) (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false, os.ErrClosed
	case len(s.queue) > 0:
		*o = s.queue[0]
		s.queue = s.queue[1:]
		return true, nil
	case s.err != nil:
		err, s.err = s.err, nil
		return false, err
	case s.Done:
		return false, os.ErrClosed
	}
	return false, nil
}

// SetDeadline bounds the reads that follow; the zero time is no bound.
func (s *Source) SetDeadline(t time.Time) { s.deadline = t }

// Sockets yields Open.
func (s *Source) Sockets(yield func(*activity.Socket) bool) (asOf uint64, err error) {
	for i := range s.Open {
		if !yield(&s.Open[i]) {
			break
		}
	}
	return s.AsOf, s.OpenErr
}

// Lost returns what Lose counted.
func (s *Source) Lost() ([activity.NumKinds]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost, nil
}

// Info returns Described.
func (s *Source) Info() activity.SourceInfo { return s.Described }

// Close ends the reads. It may be called from another goroutine than Read's.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.news()
	return nil
}
