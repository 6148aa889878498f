package recorder

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// errStopped is what a question gets that comes too late.
var errStopped = errors.New("the recorder is stopping")

// answer serves the questions that wait.
func (r *Recorder) answer() {
	for {
		select {
		case f := <-r.ask:
			f()
		default:
			return
		}
	}
}

// do runs f on the recorder's goroutine and waits for it. f does not run, now
// or later, when do returns an error.
func (r *Recorder) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.ask <- func() { f(); close(done) }:
	case <-ctx.Done():
		return errStopped
	case <-r.stopped:
		return errStopped
	}
	if w, ok := r.cfg.Source.(waker); ok {
		w.Wake()
	}
	select {
	case <-done:
		return nil
	case <-r.stopped:
		return errStopped
	}
}

// socketsAtOnce is how many sockets are copied from the table between two
// batches of events: some 2 ms of the recorder's time. Smaller parts cost a turn
// of the recorder each.
const socketsAtOnce = 8192

// Sockets yields the sockets that are open, in parts: who asks works on one
// part while the recorder records on, and neither holds the whole table twice.
// Each is as the table had it when its part was taken; sockets that open
// meanwhile are not among them, nor those that close before their turn. They
// are valid until the next. It may be called from any goroutine while Run runs;
// ctx bounds the wait, and an error is the last thing that is yielded.
func (r *Recorder) Sockets(ctx context.Context) iter.Seq2[*activity.Socket, error] {
	return func(yield func(*activity.Socket, error) bool) {
		var cookies []uint64
		err := r.do(ctx, func() { cookies = r.cookies() })
		part := make([]activity.Socket, 0, min(len(cookies), socketsAtOnce))
		for err == nil && len(cookies) > 0 {
			n := min(len(cookies), socketsAtOnce)
			err = r.do(ctx, func() { part = r.sockets(part[:0], cookies[:n]) })
			cookies = cookies[n:]
			for i := range part {
				if err == nil && !yield(&part[i], nil) {
					return
				}
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (r *Recorder) cookies() []uint64 { return slices.Collect(maps.Keys(r.table.byCookie)) }

// sockets appends those of cookies that are open still.
func (r *Recorder) sockets(to []activity.Socket, cookies []uint64) []activity.Socket {
	for _, c := range cookies {
		if s := r.table.byCookie[c]; s != nil {
			k := s.describe()
			k.Others = r.others(s, s.owner)
			to = append(to, k)
		}
	}
	return to
}

// Open returns how many sockets were open at the last full second. It does not
// wake the recorder.
func (r *Recorder) Open() int { return int(r.open.Load()) }

// Of returns the sockets that one process owns. It may be called from any
// goroutine while Run runs; ctx bounds the wait.
func (r *Recorder) Of(ctx context.Context, pid uint32) (socks []activity.Socket, err error) {
	err = r.do(ctx, func() {
		for _, at := range r.procs.byKey {
			if at.key.PID != pid {
				continue
			}
			for s := at.sockets; s != nil; s = s.next {
				socks = append(socks, s.describe())
			}
		}
	})
	return socks, err
}

// Status is the recorder's state, for doctor.
type Status struct {
	Started   time.Time
	Source    activity.SourceInfo
	Events    map[string]uint64 // recorded since the start, by kind
	Lost      map[string]uint64 // known lost since the start, by kind; "" of unknown kind
	Sockets   int               // open now
	Processes int               // remembered
	Counters  map[string]uint64 // the source's own
	Error     string            // why the journal cannot be written at present, "" it can
}

// Status returns the recorder's state. It may be called from any goroutine
// while Run runs; ctx bounds the wait.
func (r *Recorder) Status(ctx context.Context) (st Status, err error) {
	err = r.do(ctx, func() {
		st = Status{Started: r.started, Source: r.cfg.Source.Info(), Events: byWord(r.counts), Lost: byWord(r.cover.lost),
			Sockets: len(r.table.byCookie), Processes: len(r.procs.byKey), Error: r.lastErr}
		if c, ok := r.cfg.Source.(counters); ok {
			st.Counters = c.Counters()
		}
	})
	return st, err
}

func byWord(n [activity.NumKinds]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for k, v := range n {
		if v > 0 {
			m[activity.Kind(k).String()] = v
		}
	}
	return m
}
