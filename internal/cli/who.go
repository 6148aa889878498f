package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/render"
)

func newWhoCommand() *cobra.Command {
	w := who{top: 10}
	cmd := &cobra.Command{
		Use:   "who THING [FILTER ...]",
		Short: "Tell the story of one port, process, address or name",
		Long: `Tell the story of THING from the record: who had the port, from opened to closed;
who talked to it, counted; what failed, which binds conflicted, who knocked; and
the times that are not on record, in their place.

THING is a term of the filter (docs/FILTER.md), and more terms may follow:

  8080, ssh       that port, at either end; a service's name may be a process's too
  70000, pid:811  that process; numbers up to 65535 are ports
  10.0.0.7        that address, or 10.0.0.0/8, at either end
  nginx           that process, unit, container or user
  port:8080 unit:nginx.service container:web    are explicit

With --require-complete the exit code is 3 where the record has a gap in the time
asked for. With --all, every event is printed instead, as "events" does.`,
		Example: `  portreporter who 8080
  portreporter who 3389 since:yesterday until:today
  portreporter who unit:nginx.service -remote:private
  portreporter who 203.0.113.7 --all`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseAsked("who", args, cfg)
			if err != nil {
				return err
			}
			w.stdout, w.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return w.tell(cmd.Context(), cfg, x, args)
		},
	}
	addConfigFlags(cmd, "dir", "control.path")
	cmd.Flags().BoolVar(&w.all, "all", false, "every event instead of the counts")
	cmd.Flags().VarPF(&numberValue{&w.top, 0, 1 << 30}, "top", "", "the `N` busiest peers of a port, and ten times as much of the rest; 0 for all").DefValue = ""
	cmd.Flags().BoolVar(&w.complete, "require-complete", false, "exit with 3 where the record has a gap in that time")
	cmd.Flags().BoolVar(&w.json, "json", false, "print JSON Lines")
	return cmd
}

// who is the command with its flags.
type who struct {
	all, complete, json bool
	top                 int
	stdout, stderr      io.Writer
}

func (w *who) tell(ctx context.Context, cfg Config, x *filter.Expr, args []string) error {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("who: %w", err)
	}
	defer boundPast()()
	past := newPast(ctx, "who", cfg, r, w.stderr)
	q := query(x)
	if q.From > past.now {
		return usagef("who: %s is in the future", stamp(q.From))
	}
	q.Match = func(e *activity.Event) bool { return x.Match(e) || matchHolder(x, e) }
	open, err := past.openBefore(ctx, q, x)
	if err != nil {
		return err
	}
	gaps := past.gaps(q.From, q.To)
	if w.all {
		err = w.events(ctx, past, q)
	} else {
		err = w.timeline(ctx, past, q, open, gaps, args)
	}
	if err != nil {
		return err
	}
	return holes("who", len(gaps), past.unreadable, w.complete)
}

// matchHolder reports whether a bind that failed met who is asked about.
func matchHolder(x *filter.Expr, e *activity.Event) bool {
	if e.Kind != activity.KindBindFailed || e.Holder == nil {
		return false
	}
	met := *e
	met.Owner, met.Process = e.Holder.Key, e.Holder
	return x.Match(&met)
}

// openBefore returns what of the thing was open when the time asked for begins.
func (p *past) openBefore(ctx context.Context, q journal.Query, x *filter.Expr) ([]*activity.Socket, error) {
	var state analyse.State
	_, _, ok := p.run(q.From)
	switch {
	case q.Never:
	case q.From == 0: // all of the record, of which retention may have removed the beginning
		if first, _, ok := p.run(p.begins()); ok && first.Event == nil {
			p.addLive(ctx, &state, first.From)
		}
	case ok:
		q.Kinds = 0
		var err error
		if state, err = p.stateAt(ctx, q.From-1, q); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(state.Sockets, func(s *activity.Socket) bool {
		within := *s
		within.Since = max(q.From, p.begins()) // it is about the thing if only it had opened in that time
		return !x.MatchSocket(&within)
	}), nil
}

// known is the last moment not after from of which it is known what was open; 0
// none.
func (p *past) known(from int64) int64 {
	if from == 0 {
		if first, _, ok := p.run(p.begins()); ok && first.Event == nil {
			return first.From // retention has removed what was before
		}
		return 0
	}
	run, _, ok := p.run(from)
	switch {
	case !ok:
		return 0
	case run.From <= p.started && p.started != 0:
		return from // that run goes on
	}
	return min(from, run.To)
}

// timeline prints the story. Gaps outside of it are told on stderr.
func (w *who) timeline(ctx context.Context, p *past, q journal.Query, open []*activity.Socket, gaps []journal.Interval, args []string) error {
	t := analyse.NewTimeline(open, p.known(q.From))
	for e, err := range p.events(ctx, q) {
		if err != nil {
			return err
		}
		t.Add(e)
	}
	if err := mend(ctx, p, q, t); err != nil {
		return err
	}
	entries := t.Entries()
	if len(entries) == 0 {
		nameGaps("who", gaps, w.stderr)
		fmt.Fprintf(w.stderr, "portreporter: who: nothing is on record of that%s\n", w.otherMeaning(ctx, p, q, args))
		return nil
	}
	entries, outside := p.withGaps(entries, gaps, q)
	nameGaps("who", outside, w.stderr)
	opt := renderOptions(w.stdout)
	opt.Host = hostOf(p.cfg.Dir)
	var b []byte
	if w.json {
		for _, e := range entries {
			b = render.AppendEntryJSON(b, e, opt)
		}
	} else {
		b = render.Timeline{Options: opt, Top: w.top, End: cmp.Or(q.To, p.ends())}.Append(b, entries)
	}
	return quietPipe(writeAll(w.stdout, b))
}

// mend looks for the ends of ports that q does not ask for: that another
// process took one over, or that the filter is about other kinds of events.
func mend(ctx context.Context, p *past, q journal.Query, t *analyse.Timeline) error {
	asked := q.Kinds
	var mayEnd func(*activity.Event) bool
	if mayEnd, q.Sockets = t.Unended(); mayEnd == nil {
		return nil
	}
	q.Kinds, q.Match = 1<<activity.KindSnapshot, mayEnd
	if asked != 0 {
		q.Kinds |= 1<<activity.KindUnlisten | 1<<activity.KindUnbind
	}
	for e, err := range p.events(ctx, q) {
		if err != nil {
			return err
		}
		t.Mend(e)
	}
	return nil
}

// otherMeaning ends the answer to a number that is no port on record, but the
// number of a process.
func (w *who) otherMeaning(ctx context.Context, p *past, q journal.Query, args []string) string {
	n, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return ""
	}
	q.Ports = nil
	q.Match = func(e *activity.Event) bool { return uint64(e.Owner.PID) == n }
	for _, err := range p.journal.Events(ctx, q) {
		if err == nil {
			return fmt.Sprintf(" port, but of that process: portreporter who pid:%s", strings.Join(args, " "))
		}
	}
	return ""
}

// withGaps puts the times that are not on record among the entries, as far as
// they touch them; those of gaps that don't are given back.
func (p *past) withGaps(entries []*analyse.Entry, gaps []journal.Interval, q journal.Query) (all []*analyse.Entry, outside []journal.Interval) {
	first, last := entries[0].From.At, int64(0)
	for _, e := range entries {
		if last = max(last, e.To.At); e.To.IsZero() {
			last = math.MaxInt64
		}
	}
	touches := func(g journal.Interval) bool {
		return g.To >= max(first, q.From) && g.From <= last && (q.To == 0 || g.From < q.To)
	}
	for _, g := range gaps {
		if !touches(g) {
			outside = append(outside, g)
		}
	}
	all = entries
	told := map[int64]bool{}
	for _, g := range slices.Concat(gaps, p.spans) { // also when no recorder ran between two runs, which is no gap to all questions
		if g.State != journal.StateRecorded && touches(g) && !told[g.From] {
			told[g.From] = true
			all = append(all, &analyse.Entry{Kind: activity.KindGap, From: analyse.Instant{At: g.From, Exact: true}, To: analyse.Instant{At: g.To, Exact: true}, Why: g.Reason})
		}
	}
	slices.SortStableFunc(all, func(a, b *analyse.Entry) int { return cmp.Compare(a.From.At, b.From.At) })
	return all, outside
}

// events prints every event about the thing, and where coverage begins and
// breaks off.
func (w *who) events(ctx context.Context, p *past, q journal.Query) error {
	s := newEventStream(w.stdout, format{json: w.json}, hostOf(p.cfg.Dir))
	var gaps []*activity.Event
	for _, g := range p.spans {
		if g.State == journal.StateGap && g.Event != nil && g.To >= q.From && (q.To == 0 || g.From < q.To) {
			gaps = append(gaps, g.Event)
		}
	}
	for e, err := range p.events(ctx, q) {
		if err != nil {
			return errors.Join(quietPipe(s.w.Flush()), err)
		}
		for len(gaps) > 0 && gaps[0].Time <= e.Time {
			if err := s.event(gaps[0]); err != nil {
				return quietPipe(err)
			}
			gaps = gaps[1:]
		}
		if e.Kind == activity.KindRecorderStop {
			continue
		}
		if err := s.event(e); err != nil {
			return quietPipe(err)
		}
	}
	for _, g := range gaps {
		if err := s.event(g); err != nil {
			return quietPipe(err)
		}
	}
	return quietPipe(s.w.Flush())
}
