package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/render"
)

func newEventsCommand() *cobra.Command {
	var f format
	var follow, complete bool
	var only severityFlag
	last := -1
	cmd := &cobra.Command{
		Use:   "events [FILTER ...]",
		Short: "Print events from the record",
		Long: `Print the events of the record that FILTER asks for, oldest first; with --follow
what comes, until interrupted. docs/FILTER.md is the reference of the filter.

Where the record has a gap in the time asked for, that is said on stderr; with
--require-complete the exit code is then 3. With --follow, gaps are shown among
the events, whatever FILTER asks for.

With --interest, only events that a rule of interest is about are shown, each
with why (docs/INTEREST.md).`,
		Example: `  portreporter events since:1h port:22
  portreporter events --follow kind:connect-failed
  portreporter events --interest=high since:yesterday
  portreporter events --json since:today exe:*/curl | jq .remote.ip`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("events"); err != nil {
				return err
			}
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseAsked("events", args, cfg)
			if err != nil {
				return err
			}
			if follow && complete {
				return usagef("events: --require-complete is about what is past: leave out --follow")
			}
			p := newEventStream(cmd.OutOrStdout(), f, hostOf(cfg.Dir))
			if only.on() {
				if err := p.onlyInterest(cmd.Context(), cfg, x, follow, only.least, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if follow {
				ctx, stop := whileRead(cmd.Context(), cmd.OutOrStdout())
				defer stop()
				return followEvents(ctx, cfg, x, max(last, 0), p, cmd.ErrOrStderr())
			}
			return pastEvents(cmd.Context(), cfg, x, last, complete, p, cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir", "control.path")...)
	addInterestFlag(cmd, &only, "events")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print events as they happen")
	cmd.Flags().VarPF(&numberValue{&last, 0, 1 << 30}, "last", "n", "only the newest `N`; with --follow, those first").DefValue = ""
	cmd.Flags().BoolVar(&complete, "require-complete", false, "exit with 3 where the record has a gap in that time")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON Lines")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "print CSV")
	return cmd
}

// eventStream prints events through a buffer.
type eventStream struct {
	w      *bufio.Writer
	opt    render.Options
	text   *render.Text
	csv    *render.CSV[*activity.Event]
	json   bool
	header bool
	b      []byte

	interest *findings          // nil: every event is shown
	found    []activity.Finding // of the event that is printed
}

func newEventStream(w io.Writer, f format, host string) *eventStream {
	opt := renderOptions(w)
	opt.Host = host
	s := &eventStream{w: bufio.NewWriterSize(w, 64<<10), opt: opt, text: render.NewText(opt), json: f.json}
	if f.csv {
		s.csv = render.EventCSV(opt)
	}
	return s
}

// hostOf is the host that a record is of, this one where it does not say: an
// imported record is of another.
func hostOf(dir string) string {
	if r, err := journal.OpenReader(dir); err == nil && r.Host() != "" {
		return r.Host()
	}
	host, _ := os.Hostname()
	return host
}

// onlyInterest leaves out the events that no rule is about.
func (s *eventStream) onlyInterest(ctx context.Context, cfg Config, x *filter.Expr, follow bool, least activity.Severity, stderr io.Writer) (err error) {
	var loaded *rules
	if s.interest, loaded, err = newFindings(ctx, "events", cfg, least, stderr); err != nil {
		return err
	}
	if r, err := journal.OpenReader(cfg.Dir); err == nil && !follow {
		s.interest.over(r, loaded.set, x)
	}
	if s.csv != nil {
		s.csv.Interest(func(*activity.Event) []activity.Finding { return s.found })
	}
	return nil
}

// event prints e if it is of interest, or that was not asked. Events are to come
// in their order.
func (s *eventStream) event(e *activity.Event) error {
	if s.interest == nil {
		return s.print(e, nil)
	}
	found := s.interest.of(e)
	if len(found) == 0 {
		return nil
	}
	return s.print(e, found)
}

func (s *eventStream) print(e *activity.Event, found []activity.Finding) error {
	s.b, s.found = s.b[:0], found
	switch {
	case s.json:
		s.b = render.AppendFindingsJSON(render.AppendJSON(s.b, e, s.opt), found)
	case s.csv != nil:
		if !s.header {
			s.header = true
			s.b = s.csv.AppendHeader(s.b)
		}
		s.b = s.csv.Append(s.b, e)
	default:
		s.b = s.text.AppendFindings(s.text.Append(s.b, e), found)
	}
	_, err := s.w.Write(s.b)
	return err
}

func pastEvents(ctx context.Context, cfg Config, x *filter.Expr, last int, complete bool, p *eventStream, stderr io.Writer) error {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	q := query(x)
	unreadable := 0
	switch {
	case last >= 0 && p.interest != nil:
		if err := p.interest.newest(readable("events", r.Events(ctx, q), &unreadable, stderr), last, p.print); err != nil {
			return quietPipe(err)
		}
	case last >= 0:
		events, err := r.Tail(ctx, q, last)
		for _, e := range events {
			if err := p.event(e); err != nil {
				return quietPipe(err)
			}
		}
		if err != nil {
			fmt.Fprintf(stderr, "portreporter: events: %s\n", oneLine(err.Error()))
			unreadable++
		}
	default:
		for e, err := range readable("events", r.Events(ctx, q), &unreadable, stderr) {
			if err != nil {
				return errors.Join(quietPipe(p.w.Flush()), err)
			}
			if err := p.event(e); err != nil {
				return quietPipe(err)
			}
		}
	}
	if err := p.w.Flush(); err != nil {
		return quietPipe(err)
	}
	return tellGaps(ctx, "events", cfg, r, q.From, q.To, unreadable, complete, stderr)
}

// query makes of a filter what the journal can skip by.
func query(x *filter.Expr) journal.Query {
	if x == nil {
		return journal.Query{}
	}
	return journal.Query{Hints: x.Hints(), Match: x.Match}
}

// openRecord opens the record for reading. Its errors say what to do.
func openRecord(cfg Config) (*journal.Reader, error) {
	r, err := journal.OpenReader(cfg.Dir)
	if _, statErr := os.Stat(cfg.Dir); err == nil && statErr == nil && !mayRead(cfg.Dir) {
		err = &os.PathError{Op: "read", Path: cfg.Dir, Err: os.ErrPermission}
	}
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && !journal.Exists(cfg.Dir):
		return nil, fmt.Errorf("there is no record in %s: start one with `portreporter record`, or name another directory with --dir%s",
			cfg.Dir, hintMachine(cfg, machinePaths()))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: run as root, or as a member of the group that may read it", err)
	}
	return r, err
}

// quietPipe makes nothing of a reader that has seen enough, such as head(1).
func quietPipe(err error) error {
	if isBrokenPipe(err) {
		return nil
	}
	return err
}
