package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
)

// past is the record of one directory, for questions about moments.
type past struct {
	command    string
	cfg        Config
	journal    *journal.Reader
	spans      []journal.Interval // all of its coverage
	started    int64              // UTC ns at which the recorder began that runs now; 0 none runs
	now        int64              // UTC ns
	unreadable int
	stderr     io.Writer
}

// pastHeap is the memory beyond which a question about the past collects its
// garbage at once instead of letting it double.
const pastHeap = 176 << 20

// boundPast keeps the memory of what follows near what it needs, until the
// function that it returns is called.
func boundPast() func() {
	before := debug.SetMemoryLimit(pastHeap)
	return func() { debug.SetMemoryLimit(before) }
}

func newPast(ctx context.Context, command string, cfg Config, r *journal.Reader, stderr io.Writer) *past {
	p := &past{command: command, cfg: cfg, journal: r, stderr: stderr, now: time.Now().UnixNano(), started: runningSince(ctx, cfg)}
	var err error
	if p.spans, err = r.Coverage(ctx, 0, 0); err != nil {
		p.unreadable++ // which parts, those who read them say
	}
	return p
}

// begins is where the record begins (UTC ns), 0 when it is empty.
func (p *past) begins() (first int64) {
	for _, s := range p.spans {
		if first == 0 || s.From < first {
			first = s.From
		}
	}
	return first
}

// run returns the run of the recorder that a moment belongs to, and the
// earliest time of an event in it: the clock may have been set back.
func (p *past) run(at int64) (run journal.Interval, earliest int64, ok bool) {
	for _, s := range p.spans {
		if s.State == journal.StateRecorded && s.From <= at && (!ok || s.From >= run.From) {
			run, ok = s, true
		}
	}
	earliest = run.From
	for _, s := range p.spans {
		if s.State == journal.StateGap && s.Epoch == run.Epoch {
			earliest = min(earliest, s.From)
		}
	}
	return run, earliest, ok
}

// stateAt rebuilds what was open at a moment, of what q's hints let through.
func (p *past) stateAt(ctx context.Context, at int64, q journal.Query) (analyse.State, error) {
	run, earliest, ok := p.run(at)
	if !ok {
		if first := p.begins(); first != 0 {
			return analyse.State{}, fmt.Errorf("%s: the record begins at %s: of %s nothing is known", p.command, stamp(first), stamp(at))
		}
		return analyse.State{}, fmt.Errorf("%s: the record is empty", p.command)
	}
	cut := run.Event == nil // its beginning was removed
	if q.Match = nil; q.Kinds == 0 {
		q.Kinds = portKinds | connectionKinds
	}
	q.From, q.To = earliest, at+int64(analyse.Settle)
	if cut {
		q.To = 0
	}
	state, err := p.replay(ctx, q, at)
	if err != nil {
		return state, err
	}
	if cut && !p.addLive(ctx, &state, at) {
		fmt.Fprintf(p.stderr, "portreporter: %s: the recorder's run then began before the record, which begins at %s: what was opened before and never closed is missing\n",
			p.command, stamp(run.From))
	}
	if run.From > p.begins() {
		return state, p.recall(ctx, &state, q, at)
	}
	return state, nil
}

// The kinds of events that say what is open.
const (
	portKinds = filter.KindSet(1<<activity.KindListen | 1<<activity.KindUnlisten | 1<<activity.KindBind | 1<<activity.KindUnbind |
		1<<activity.KindSnapshot | 1<<activity.KindRecorderStart)
	connectionKinds = filter.KindSet(1<<activity.KindConnect | 1<<activity.KindAccept | 1<<activity.KindClose)
)

func (p *past) replay(ctx context.Context, q journal.Query, at int64) (analyse.State, error) {
	return analyse.OpenAt(p.inRuns(q, p.journal.Open(ctx, q, at)), at)
}

// events yields the events that q asks for, in their runs.
func (p *past) events(ctx context.Context, q journal.Query) iter.Seq2[*activity.Event, error] {
	return p.inRuns(q, p.journal.Events(ctx, q))
}

// inRuns yields events that q asks for, and the recorder-start of each run
// before those of the run, which q's ports and addresses would leave out.
func (p *past) inRuns(q journal.Query, events iter.Seq2[*activity.Event, error]) iter.Seq2[*activity.Event, error] {
	var runs []journal.Interval
	for _, s := range p.spans {
		if s.State == journal.StateRecorded && (q.To == 0 || s.From < q.To) {
			runs = append(runs, s)
		}
	}
	return withStarts(readable(p.command, events, &p.unreadable, p.stderr), runs, q.From)
}

// withStarts yields the events of several runs of the recorder, those of each
// run between its recorder-start and an inferred recorder-stop at its last event.
// Where one run's events end is told by their sequence numbers, which begin
// anew, or by their times. What is before the time from is left out.
func withStarts(events iter.Seq2[*activity.Event, error], runs []journal.Interval, from int64) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		next := 0
		begin := func() bool {
			next++
			start := runs[next-1].Event
			if start == nil || start.Time < from {
				return true
			}
			if next > 1 && !yield(&activity.Event{Kind: activity.KindRecorderStop, Time: runs[next-2].To, Provenance: activity.Inferred}, nil) {
				return false
			}
			return yield(start, nil)
		}
		var seq uint64
		for e, err := range events {
			if err != nil {
				yield(nil, err)
				return
			}
			for anew := e.Seq <= seq; next < len(runs) && (next == 0 || anew || e.Time > runs[next-1].To && e.Time >= runs[next].From); anew = false {
				if !begin() {
					return
				}
			}
			seq = e.Seq
			if e.Kind != activity.KindRecorderStart && !yield(e, nil) {
				return
			}
		}
		for next < len(runs) {
			if !begin() {
				return
			}
		}
	}
}

// The most sockets whose beginning is looked for in the runs before.
const maxRecalled = 256

// recall finds in earlier runs since when sockets were open that the run's
// snapshots found.
func (p *past) recall(ctx context.Context, state *analyse.State, q journal.Query, at int64) error {
	unknown := map[uint64]*activity.Socket{}
	q.Sockets = map[uint64]bool{}
	kinds := portKinds
	for _, s := range state.Sockets {
		if s.Since != 0 || s.Cookie == 0 || len(unknown) >= maxRecalled {
			continue
		}
		if !holdsPort(s) {
			kinds |= connectionKinds
		}
		unknown[s.Cookie], q.Sockets[s.Cookie] = s, true
	}
	if len(unknown) == 0 {
		return nil
	}
	q.From, q.Kinds = 0, kinds
	q.Ports = nil
	for _, s := range unknown {
		q.Ports = append(q.Ports, filter.PortRange{Lo: s.Local.Port(), Hi: s.Local.Port()})
	}
	before, err := p.replay(ctx, q, at)
	for _, b := range before.Sockets {
		if s := unknown[b.Cookie]; s != nil && s.Owner.PID == b.Owner.PID && s.Local == b.Local {
			s.Since, s.SinceBoot = b.Since, b.SinceBoot
		}
	}
	return err
}

// addLive adds to a state what the recorder has known to be open since before
// the record begins. It reports whether the recorder of that run could be asked.
func (p *past) addLive(ctx context.Context, state *analyse.State, at int64) bool {
	if p.started == 0 || p.started > at {
		return false
	}
	c, err := control.Dial(ctx, p.cfg.ControlPath)
	if err != nil {
		return false
	}
	socks, err := recorderSockets(ctx, c)
	if err != nil {
		return false
	}
	there := map[uint64]bool{}
	for _, s := range state.Sockets {
		there[s.Cookie] = true
	}
	for _, s := range socks {
		if s.Since <= at && !there[s.Cookie] {
			state.Sockets = append(state.Sockets, s)
		}
	}
	return true
}

// ends is where the record ends (UTC ns), 0 while a recorder runs.
func (p *past) ends() (last int64) {
	if p.started != 0 {
		return 0
	}
	for _, s := range p.spans {
		last = max(last, s.To)
	}
	return last
}

// untilNow is the coverage with the time from the end of the record until now.
func (p *past) untilNow() []journal.Interval {
	last := p.ends()
	if last == 0 || last >= p.now {
		return p.spans
	}
	return append(slices.Clone(p.spans), journal.Interval{From: last, To: p.now, State: journal.StateNotRunning, Reason: noRecorder})
}

// gaps lists the gaps in a time (UTC ns; 0 open).
func (p *past) gaps(from, to int64) []journal.Interval {
	within := slices.DeleteFunc(slices.Clone(p.spans), func(s journal.Interval) bool { return to != 0 && s.From >= to || s.To < from })
	if p.started != 0 {
		within = append(within, journal.Interval{From: p.started, To: p.now, State: journal.StateRecorded})
	}
	return findGaps(within, from, to, p.now)
}

// holesAt names what makes the state at a moment doubtful, and counts it: that
// nothing was recorded then, or that something was lost so shortly before that
// the recorder had not yet looked again.
func (p *past) holesAt(at int64) int {
	var gaps []journal.Interval
	for _, s := range p.untilNow() {
		lost := s.State == journal.StateGap && s.From <= at && s.To >= at-int64(analyse.Settle)
		if lost || s.State != journal.StateGap && s.State != journal.StateRecorded && s.From < at && at < s.To {
			gaps = append(gaps, s)
		}
	}
	nameGaps(p.command, gaps, p.stderr)
	if i := slices.IndexFunc(gaps, func(g journal.Interval) bool { return g.State != journal.StateGap }); i >= 0 {
		fmt.Fprintf(p.stderr, "portreporter: %s: what is shown was open at %s, the last that is on record\n", p.command, stamp(gaps[i].From))
	}
	return len(gaps)
}
