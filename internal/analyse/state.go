package analyse

import (
	"iter"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Settle is how long the snapshots of a run, or the second look after a loss,
// may come after what they tell of. Who asks for a moment reads as much beyond
// it.
const Settle = 10 * time.Second

// State is what was open at a moment.
type State struct {
	Sockets []*activity.Socket // in no order; Since is 0 where it is not on record
	Started int64              // UTC ns at which the recorder's run began; 0 when the record does not reach back to it
}

// OpenAt replays events, in the order of the record, and returns what was open
// at the instant at (UTC ns). The events should reach from the beginning of the
// run that at is in, or before, to Settle after at; more do no harm.
//
// A moment belongs to the run with the latest start not after it, and what that
// run recorded up to it counts, in the order of the record: if the clock was
// set back, the later of two moments of one name. The snapshots that a run
// begins with are true from its start on. Where the run's start is not among
// the events, because retention removed it, endings after the moment tell of
// sockets that were open at it. An error of events ends it.
func OpenAt(events iter.Seq2[*activity.Event, error], at int64) (State, error) {
	r := replay{at: at, tracker: newTracker()}
	for e, err := range events {
		if err != nil {
			return State{}, err
		}
		r.take(e)
	}
	return r.state(), nil
}

// replay rebuilds the state at a moment.
type replay struct {
	*tracker
	at    int64
	start int64 // of the run that at belongs to as far as is known; 0 not on record
	other bool  // the present run is not it
}

func (r *replay) take(e *activity.Event) {
	if e.Kind == activity.KindRecorderStart {
		if r.other = e.Time > r.at || e.Time < r.start; r.other {
			return
		}
		r.start = e.Time
	}
	switch {
	case r.other:
	case e.Time <= r.at:
		r.apply(e)
	case e.Kind == activity.KindSnapshot && e.Provenance == activity.Snapshotted:
		r.apply(e)
	case r.start == 0:
		r.late(e)
	}
}

// late takes an ending after the moment, in a run whose start is not on record.
func (r *replay) late(e *activity.Event) {
	switch e.Kind {
	case activity.KindUnlisten, activity.KindUnbind, activity.KindClose:
	default:
		return
	}
	known := e.Duration > 0 && e.Unknown&activity.FactDuration == 0 && e.Flags&activity.FlagNotAccepted == 0
	if known && e.Time-e.Duration <= r.at && !r.knows(e) {
		r.conclude(e)
	}
}

func (r *replay) state() State {
	s := State{Started: r.start}
	for _, h := range r.open {
		s.Sockets = append(s.Sockets, &h.sock)
	}
	return s
}
