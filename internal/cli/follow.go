package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
)

// followEvents prints events as they come, after the newest recent ones of
// those that x asks for.
func followEvents(ctx context.Context, cfg Config, x *filter.Expr, recent int, p *eventStream, stderr io.Writer) error {
	c, err := control.Dial(ctx, cfg.ControlPath)
	if err != nil {
		return fmt.Errorf("events: %w%s", err, hintMachine(cfg, machinePaths()))
	}
	defer c.Close()
	past, ask := &tail{}, recent
	if x != nil && recent > 0 {
		// The recorder gives the newest of all events; the newest of some must be
		// looked for in the record, once the recorder has begun to queue for us.
		if past, err = findTail(ctx, c, x, recent); err != nil {
			fmt.Fprintf(stderr, "portreporter: events: of the past, only what is among the newest %d events is shown: %s\n", recent, oneLine(err.Error()))
			past, ask = &tail{}, recent
		} else {
			ask = 1
		}
	}
	for e, err := range c.Follow(ctx, ask) {
		if ctx.Err() != nil {
			return quietPipe(p.w.Flush())
		}
		if err != nil {
			return errors.Join(quietPipe(p.w.Flush()), fmt.Errorf("events: %w", err))
		}
		if err := past.print(ctx, p); err != nil {
			return quietPipe(err)
		}
		switch {
		case past.has(e):
			continue
		case e.Kind == activity.KindGap:
			err = p.print(e, nil)
		case x != nil && !x.Match(e):
			continue
		default:
			err = p.event(e)
		}
		if err != nil {
			return quietPipe(err)
		}
		if err := p.w.Flush(); err != nil {
			return quietPipe(err)
		}
	}
	return nil
}

// tail is the newest matching part of a record that is still being written. It
// is read when the first live event comes, since from then on the recorder
// queues what is newer, and knows where it ends, since what is queued overlaps.
type tail struct {
	journal *journal.Reader // nil: there is nothing to print
	query   journal.Query
	n       int
	started int64  // UTC ns at which this run of the recorder began
	until   uint64 // the last sequence number of this run that was read
}

// findTail asks the recorder where its record is, and since when it runs.
func findTail(ctx context.Context, c *control.Client, x *filter.Expr, n int) (*tail, error) {
	st, err := runOf(ctx, c)
	if err != nil {
		return nil, err
	}
	r, err := journal.OpenReader(st.Dir)
	if err != nil {
		return nil, err
	}
	return &tail{journal: r, query: query(x), n: n, started: st.State.Started.UnixNano()}, nil
}

// print prints the tail, once.
func (t *tail) print(ctx context.Context, p *eventStream) error {
	if t.journal == nil {
		return nil
	}
	events, err := t.journal.Tail(ctx, t.query, t.n)
	t.journal = nil
	if len(events) == 0 && err != nil {
		return fmt.Errorf("events: %w", err)
	}
	for _, e := range events {
		if err := p.event(e); err != nil {
			return err
		}
		if e.Time >= t.started {
			t.until = e.Seq
		}
	}
	return p.w.Flush()
}

// has reports whether the tail, or what is older than it, holds a live event.
func (t *tail) has(e *activity.Event) bool { return e.Seq != 0 && e.Seq <= t.until }
