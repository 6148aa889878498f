package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/render"
)

func newDiffCommand() *cobra.Command {
	d := differ{top: 20}
	cmd := &cobra.Command{
		Use:   "diff T1|DIR1 [T2|DIR2] [FILTER ...]",
		Short: "Tell what is different between two moments, or two hosts",
		Long: `Tell what is different between two moments T1 and T2 (now, if it is left out) of
the record: listeners and UDP ports that are gone (-), new (+) or changed (~) in
their address, program, executable, unit, user or container; and where programs
connected to in between that they never had before on record.

With two directories, compare the records of two hosts, each at its end, or at
the time of --at. A process is told by what it is, not by its number: a restart
is no difference (docs/TIMETRAVEL.md).

Times are as in the filter: 2h (ago), "yesterday 14:00", 2026-11-24; a day means
its beginning. Gaps of the record are said on stderr; with --require-complete the
exit code is then 3.`,
		Example: `  portreporter diff yesterday
  portreporter diff --since "2026-11-23 08:00" -user:root
  portreporter diff 2026-11-23 2026-11-24 port:0-1023
  portreporter diff /backup/web1 /backup/web2`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeMoments,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			d.stdout, d.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context(), cfg, args)
		},
	}
	addConfigFlags(cmd, "dir", "control.path")
	cmd.Flags().StringVar(&d.since, "since", "", "compare `T1` with now; all arguments are then the filter")
	cmd.Flags().StringVar(&d.at, "at", "", "with two directories, compare what was open at `TIME`")
	cmd.Flags().VarPF(&numberValue{&d.top, 0, 1 << 30}, "top", "", "the first `N` new destinations of each program; 0 for all").DefValue = ""
	cmd.Flags().BoolVar(&d.complete, "require-complete", false, "exit with 3 where the record has a gap then or in between")
	cmd.Flags().BoolVar(&d.json, "json", false, "print JSON Lines")
	return cmd
}

// differ is the command with its flags.
type differ struct {
	since, at      string
	top            int
	complete, json bool
	stdout, stderr io.Writer
}

// moment is one side of a comparison.
type moment struct {
	past  *past
	at    int64 // UTC ns
	state []*activity.Socket

	filter *filter.Expr // nil: all
}

func (d *differ) run(ctx context.Context, cfg Config, args []string) error {
	now := time.Now().UnixNano()
	if len(args) >= 2 && isDir(args[0]) && isDir(args[1]) {
		return d.hosts(ctx, cfg, args)
	}
	if d.at != "" {
		return usagef("diff: --at is for two directories: name two times instead")
	}
	first, rest := d.since, args
	if first == "" {
		if len(args) == 0 {
			return usagef("diff: name a time to compare with, such as: portreporter diff yesterday")
		}
		first, rest = args[0], args[1:]
	}
	t1, err := pastMoment("diff", first)
	if err != nil {
		return err
	}
	t2 := now
	if d.since == "" && len(rest) > 0 && isTime(rest[0]) {
		if t2, err = pastMoment("diff", rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	if t2 < t1 {
		return usagef("diff: %s is after %s: name the earlier one first", stamp(t1), stamp(t2))
	}
	x, err := parseAsked("diff", rest, cfg)
	if err != nil {
		return err
	}
	p, err := d.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer boundPast()()
	return d.compare(ctx, moment{past: p, at: t1, filter: x}, moment{past: p, at: t2, filter: x})
}

// hosts compares two records.
func (d *differ) hosts(ctx context.Context, cfg Config, args []string) error {
	if d.since != "" {
		return usagef("diff: --since is for one record: use --at")
	}
	var sides [2]moment
	var err error
	for i := range sides {
		cfg.Dir = args[i]
		if sides[i].filter, err = parseAsked("diff", args[2:], cfg); err != nil {
			return err
		}
		if sides[i].past, err = d.open(ctx, cfg); err != nil {
			return err
		}
		if d.at != "" {
			sides[i].at, err = pastMoment("diff: --at", d.at)
		} else if sides[i].at = sides[i].past.ends(); sides[i].at == 0 {
			sides[i].at = sides[i].past.now
		}
		if err != nil {
			return err
		}
	}
	defer boundPast()()
	return d.compare(ctx, sides[0], sides[1])
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// isTime reports whether an argument is a time, and not the first of a filter.
func isTime(s string) bool {
	_, _, err := filter.ParseTime(s, filter.Options{Now: time.Now(), Location: time.Local})
	return err == nil
}

func (d *differ) open(ctx context.Context, cfg Config) (*past, error) {
	r, err := openRecord(cfg)
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	return newPast(ctx, "diff", cfg, r, d.stderr), nil
}

// compare prints the differences, and says what is not known of them.
func (d *differ) compare(ctx context.Context, a, b moment) error {
	for _, m := range []*moment{&a, &b} {
		state, err := m.past.stateAt(ctx, m.at, portsOnly(m.filter))
		if err != nil {
			return err
		}
		m.state = slices.DeleteFunc(state.Sockets, func(s *activity.Socket) bool { return m.filter != nil && !m.filter.MatchSocket(s) })
	}
	dests, err := destinations(ctx, a, b)
	if err != nil {
		return err
	}
	if err := d.print(analyse.Diff(a.state, b.state), dests, b.past.cfg.Dir); err != nil {
		return quietPipe(err)
	}
	unreadable := a.past.unreadable
	gaps := a.past.holesAt(a.at)
	if b.past == a.past {
		gaps += b.past.holesAt(b.at) + d.between(a, b)
	} else {
		gaps, unreadable = gaps+b.past.holesAt(b.at), unreadable+b.past.unreadable
	}
	return holes("diff", gaps, unreadable, d.complete)
}

// between names the gaps between two moments that touch neither.
func (d *differ) between(a, b moment) int {
	gaps := slices.DeleteFunc(a.past.gaps(a.at, b.at), func(g journal.Interval) bool { return g.From <= a.at || g.To >= b.at })
	nameGaps("diff", gaps, d.stderr)
	return len(gaps)
}

// portsOnly is a query for what holds a port, as narrow as a filter's ports allow.
func portsOnly(x *filter.Expr) journal.Query {
	q := journal.Query{}
	if x != nil {
		q.Ports = x.Hints().Ports
	}
	q.Kinds = portKinds
	return q
}

// destinations finds where programs of the second moment's record connected to
// that those of the first one's had not: in the time between the two, if it is
// one record.
func destinations(ctx context.Context, a, b moment) (*analyse.Destinations, error) {
	var ds analyse.Destinations
	read := func(m moment, take func(*activity.Event)) error {
		q := query(m.filter)
		q.Kinds = 1<<activity.KindConnect | 1<<activity.KindFlow
		q.To = m.at
		for e, err := range readable("diff", m.past.journal.Events(ctx, q), &m.past.unreadable, m.past.stderr) {
			if err != nil {
				return err
			}
			take(e)
		}
		return nil
	}
	if a.past == b.past {
		return &ds, read(b, func(e *activity.Event) {
			if e.Time < a.at {
				ds.Learn(e)
			} else {
				ds.Watch(e)
			}
		})
	}
	if err := read(a, ds.Learn); err != nil {
		return nil, err
	}
	return &ds, read(b, ds.Watch)
}

func (d *differ) print(changes []analyse.Change, ds *analyse.Destinations, dir string) error {
	opt := renderOptions(d.stdout)
	opt.Host = hostOf(dir)
	dests, whole := ds.New()
	if !whole {
		fmt.Fprintf(d.stderr, "portreporter: diff: there are more destinations than can be compared: some may be missing, or not new; narrow it with a filter\n")
	}
	var b []byte
	if !d.json {
		b = render.AppendDiff(b, changes, opt)
		return writeAll(d.stdout, render.AppendDestinations(b, dests, d.top, opt))
	}
	for i := range changes {
		b = render.AppendChangeJSON(b, &changes[i], opt)
	}
	for i := range dests {
		b = render.AppendDestinationJSON(b, &dests[i], opt)
	}
	return writeAll(d.stdout, b)
}
