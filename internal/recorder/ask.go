package recorder

import (
	"context"
	"errors"
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

// Sockets returns the table of open sockets. It may be called from any
// goroutine while Run runs; ctx bounds the wait.
func (r *Recorder) Sockets(ctx context.Context) (socks []activity.Socket, err error) {
	err = r.do(ctx, func() { socks = r.sockets() })
	return socks, err
}

func (r *Recorder) sockets() []activity.Socket {
	socks := make([]activity.Socket, 0, len(r.table.byCookie))
	for _, s := range r.table.byCookie {
		k := s.describe()
		k.Others = r.others(s, s.owner)
		socks = append(socks, k)
	}
	return socks
}

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
