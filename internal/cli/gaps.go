package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/journal"
)

// noRecorder is why nothing is on record until now.
const noRecorder = "no recorder runs, or none that answers here"

// The most gaps that are named one by one.
const maxGapsTold = 10

// tellGaps names the gaps in the time asked for (UTC ns; 0 open), and gives the
// error that an answer with holes is. command is whose answer it is.
func tellGaps(ctx context.Context, command string, cfg Config, r *journal.Reader, from, to int64, unreadable int, complete bool, stderr io.Writer) error {
	gaps, err := gapsIn(ctx, cfg, r, from, to)
	if err != nil {
		unreadable++
	}
	nameGaps(command, gaps, stderr)
	return holes(command, len(gaps), unreadable, complete)
}

// gapsIn lists the gaps in a time, as findGaps does. What of the record could
// not be read is joined in the error.
func gapsIn(ctx context.Context, cfg Config, r *journal.Reader, from, to int64) ([]journal.Interval, error) {
	now := time.Now().UnixNano()
	spans, err := spansIn(ctx, cfg, r, from, to, now)
	return findGaps(spans, from, to, now), err
}

// spansIn tells how well a time is recorded (UTC ns; 0 open): what the record
// says, and that a recorder which runs has recorded until now.
func spansIn(ctx context.Context, cfg Config, r *journal.Reader, from, to, now int64) ([]journal.Interval, error) {
	spans, err := r.Coverage(ctx, from, to)
	if from != 0 {
		if started := runningSince(ctx, cfg); started != 0 {
			spans = append(spans, journal.Interval{From: started, To: now, State: journal.StateRecorded})
		}
	}
	return spans, err
}

// nameGaps tells of gaps, the first ones each.
func nameGaps(command string, gaps []journal.Interval, stderr io.Writer) {
	for i, g := range gaps {
		if i == maxGapsTold {
			fmt.Fprintf(stderr, "portreporter: %s: and %s more\n", command, count(len(gaps)-i, "gap"))
			break
		}
		fmt.Fprintf(stderr, "portreporter: %s: the record has a gap: %s to %s: %s\n", command, stamp(g.From), stamp(g.To), oneLine(g.Reason))
	}
}

// holes is the error that an answer with gaps or with unreadable parts is: nil
// when it is whole, or when gaps are all that it lacks and they are allowed.
func holes(command string, gaps, unreadable int, complete bool) error {
	switch {
	case unreadable > 0:
		return fmt.Errorf("%s: %w: %s of the record could not be read", command, errPartial, count(unreadable, "part"))
	case gaps > 0 && complete:
		return fmt.Errorf("%s: %w: the record has %s in that time", command, errPartial, count(gaps, "gap"))
	}
	return nil
}

// readable yields the events of a stream. Each part of the record that cannot
// be read is told on stderr and counted in unreadable; any other error ends the
// stream, as its last.
func readable(command string, events iter.Seq2[*activity.Event, error], unreadable *int, stderr io.Writer) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		for e, err := range events {
			var corrupt *journal.CorruptError
			if errors.As(err, &corrupt) {
				*unreadable++
				fmt.Fprintf(stderr, "portreporter: %s: %s\n", command, oneLine(err.Error()))
				continue
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", command, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// findGaps lists what of the time from from to to (UTC ns; 0 open) is not on
// record. A question that is open at its beginning is about what was recorded:
// the time while nobody asked for a recorder is no gap in its answer. One with a
// beginning is about all of the time since, until now if it has no end.
func findGaps(spans []journal.Interval, from, to, now int64) (gaps []journal.Interval) {
	if to == 0 || to > now {
		to = now
	}
	first, last := to, from // of what is told of at all
	for _, s := range spans {
		first, last = min(first, s.From), max(last, s.To)
		if s.State != journal.StateRecorded && (s.State != journal.StateNotRunning || from != 0) {
			gaps = append(gaps, s)
		}
	}
	if from == 0 {
		return gaps
	}
	if first > from {
		gaps = append([]journal.Interval{{From: from, To: first, State: journal.StateNotRunning, Reason: "nothing is on record from then"}}, gaps...)
	}
	if last < to && first < to {
		gaps = append(gaps, journal.Interval{From: last, To: to, State: journal.StateNotRunning, Reason: noRecorder})
	}
	return gaps
}

// runningSince asks the recorder that writes this record, if one does, when it
// began: until now it has recorded, though perhaps nothing happened. It is UTC
// ns, 0 when there is none.
func runningSince(ctx context.Context, cfg Config) int64 {
	c, err := control.Dial(ctx, cfg.ControlPath)
	if err != nil {
		return 0
	}
	defer c.Close()
	st, err := runOf(ctx, c)
	if err != nil || !sameDir(st.Dir, cfg.Dir) {
		return 0
	}
	return st.State.Started.UnixNano()
}

// run is what is asked of a recorder to know what it has covered.
type run struct {
	Dir   string
	State struct{ Started time.Time }
}

func runOf(ctx context.Context, c *control.Client) (st run, err error) {
	err = c.Status(ctx, &st)
	return st, err
}

func sameDir(a, b string) bool {
	ai, err := os.Stat(a)
	if err != nil {
		return false
	}
	bi, err := os.Stat(b)
	return err == nil && os.SameFile(ai, bi)
}
