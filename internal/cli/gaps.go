package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/journal"
)

// The most gaps that are named one by one.
const maxGapsTold = 10

// tellGaps names the gaps in the time asked for, and gives the error that an
// answer with holes is.
func tellGaps(ctx context.Context, cfg Config, r *journal.Reader, q journal.Query, unreadable int, complete bool, stderr io.Writer) error {
	spans, err := r.Coverage(ctx, q.From, q.To)
	if err != nil {
		unreadable++
	}
	now := time.Now().UnixNano()
	if q.From != 0 {
		if started := runningSince(ctx, cfg); started != 0 {
			spans = append(spans, journal.Interval{From: started, To: now, State: journal.StateRecorded})
		}
	}
	gaps := findGaps(spans, q.From, q.To, now)
	for i, g := range gaps {
		if i == maxGapsTold {
			fmt.Fprintf(stderr, "portreporter: events: and %s more\n", count(len(gaps)-i, "gap"))
			break
		}
		fmt.Fprintf(stderr, "portreporter: events: the record has a gap: %s to %s: %s\n", stamp(g.From), stamp(g.To), oneLine(g.Reason))
	}
	switch {
	case unreadable > 0:
		return fmt.Errorf("events: %w: %s of the record could not be read", errPartial, count(unreadable, "part"))
	case len(gaps) > 0 && complete:
		return fmt.Errorf("events: %w: the record has %s in that time", errPartial, count(len(gaps), "gap"))
	}
	return nil
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
		gaps = append(gaps, journal.Interval{From: last, To: to, State: journal.StateNotRunning, Reason: "no recorder runs, or none that answers here"})
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
