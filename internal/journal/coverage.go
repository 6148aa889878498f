package journal

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// State is what an Interval says.
type State string

// The states.
const (
	StateRecorded   State = "recorded"    // a recorder ran; gaps within it are intervals of their own
	StateGap        State = "gap"         // and said that it missed something
	StateNotRunning State = "not-running" // none ran, after one that stopped in good order
	StateCrashed    State = "crashed"     // none ran, after one that ended without saying so
)

// Interval is what is known of how well a stretch of time was recorded.
type Interval struct {
	From, To int64 // UTC ns
	Epoch    uint64
	State    State
	Reason   string          // for people
	Event    *activity.Event // the recorder-start or gap that tells it; nil where it is implied
}

// Coverage tells how well the time from from to to (UTC ns; 0 open) was
// recorded, run by run: the run, the gaps in it, and the time until the next
// run. A run that said no recorder-stop, perhaps because it is still running,
// counts as recorded up to its last event. Parts of the record that cannot be
// read are joined in the error, beside what the others tell.
func (r *Reader) Coverage(ctx context.Context, from, to int64) ([]Interval, error) {
	runs, errs := r.runs(ctx)
	q := Query{Hints: filter.Hints{Kinds: coverageKinds}}
	told := make(map[uint64][]*activity.Event)
	r.walk(ctx, q, func(at pos, e *activity.Event, err error) bool {
		if err != nil {
			errs = append(errs, err)
		} else {
			told[at.epoch] = append(told[at.epoch], e)
		}
		return true
	})
	var out []Interval
	var before *Interval // the run before
	for _, run := range runs {
		is, stopped := intervals(run, told[run.Epoch])
		if before != nil {
			out = append(out, Interval{From: before.To, To: is[0].From, Epoch: run.Epoch, State: before.State, Reason: before.Reason})
		}
		out = append(out, is...)
		before = &Interval{To: is[0].To, State: StateCrashed, Reason: "the recorder ended without stopping"}
		if stopped {
			before.State, before.Reason = StateNotRunning, "the recorder was not running"
		}
	}
	out = slices.DeleteFunc(out, func(i Interval) bool { return to != 0 && i.From >= to || i.To < from })
	return out, errors.Join(errs...)
}

// intervals tells of one run: the run itself first, then its gaps.
func intervals(run span64, told []*activity.Event) (is []Interval, stopped bool) {
	i := Interval{From: run.From, To: run.To, Epoch: run.Epoch, State: StateRecorded}
	is = append(is, i)
	for _, e := range told {
		switch e.Kind {
		case activity.KindRecorderStart:
			is[0].From, is[0].Event = e.Time, e
		case activity.KindRecorderStop:
			is[0].To, stopped = e.Time, true
		case activity.KindGap:
			g := Interval{From: e.Time, To: e.Time, Epoch: run.Epoch, State: StateGap, Event: e}
			if c := e.Coverage; c != nil {
				g.From, g.To, g.Reason = c.From, c.To, c.Reason
			}
			is = append(is, g)
		}
	}
	return is, stopped
}

// runs lists the epochs with the times of their first and last events.
func (r *Reader) runs(ctx context.Context) (runs []span64, errs []error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, []error{err}
	}
	for _, p := range l.pieces {
		if ctx.Err() != nil {
			return runs, append(errs, ctx.Err())
		}
		rs, err := r.ranges(p)
		if err := r.fault(p, err); errors.Is(err, errGone) {
			return r.runs(ctx)
		} else if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = joinRanges(runs, rs)
	}
	return runs, errs
}

// ranges returns what a piece holds of which epochs.
func (r *Reader) ranges(p piece) ([]span64, error) {
	path := filepath.Join(r.dir, p.name)
	if p.live {
		l, err := readLive(path)
		if err != nil {
			return nil, err
		}
		return l.ranges(), nil
	}
	s, err := openSegment(path)
	if err != nil {
		return nil, err
	}
	return s.ranges, s.close()
}
