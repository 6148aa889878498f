package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/render"
)

// reportFlags are what report is asked beside its arguments.
type reportFlags struct {
	format
	html     string // file; "" none
	top      int    // -1 not said
	resolve  bool
	complete bool
}

func newReportCommand() *cobra.Command {
	f := reportFlags{top: -1}
	list := false
	cmd := &cobra.Command{
		Use:   "report [NAME ...] [FILTER ...]",
		Short: "Sum the record up: ports, processes, addresses, users, hours and more",
		Long: `Sum up what the record holds. NAME is one report or several, all of them when
none is named:

` + reportNames() + `
FILTER narrows what is summed up, as in events. After "modules" alone, words are
texts that a module's path, package or build id has to have: "report modules
liblzma 5.6" tells the ports that are served with it. docs/REPORTS.md shows each.

The head says how much of the time is on record; where it has gaps they are
named, and with --require-complete the exit code is then 3.`,
		Example: `  portreporter report since:yesterday
  portreporter report addresses failures user:www-data since:7d
  portreporter report modules liblzma
  portreporter report --html week.html since:7d
  portreporter report ports --json | jq 'select(.share == 1)'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeReports,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listReports(cmd.OutOrStdout())
			}
			q, err := f.parse(args)
			if err != nil {
				return err
			}
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			return report(cmd.Context(), cfg, q, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd, append(interestKeys(), "dir", "control.path")...)
	cmd.Flags().BoolVar(&list, "list", false, "list the reports")
	cmd.Flags().VarPF(&numberValue{&f.top, 0, 1 << 20}, "top", "n", "rows of each report at most, `N`; 0 all (20 for people, 50 in HTML, else all)").DefValue = ""
	cmd.Flags().BoolVar(&f.resolve, "resolve", false, "ask the name server for the names of the addresses that are shown")
	cmd.Flags().BoolVar(&f.complete, "require-complete", false, "exit with 3 where the record has a gap in that time")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON Lines")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "print CSV (one report)")
	cmd.Flags().StringVar(&f.html, "html", "", "write one page that needs nothing else to `FILE`; - is standard output")
	return cmd
}

// reportNames lists the reports for the help text.
func reportNames() string {
	var b strings.Builder
	for _, i := range analyse.ReportList() {
		fmt.Fprintf(&b, "  %-12s %s\n", i.Name, i.Help)
	}
	return b.String()
}

func listReports(w io.Writer) error { return writeAll(w, []byte(reportNames())) }

// completeReports completes the names of reports, as long as only names came
// before, and the terms of the filter.
func completeReports(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	words, directive := completeTerm(cmd, args, typed)
	known := reportWords()
	if slices.ContainsFunc(args, func(a string) bool { return !slices.Contains(known, a) }) {
		return words, directive
	}
	var names []string
	for _, i := range analyse.ReportList() {
		if strings.HasPrefix(i.Name, typed) && !slices.Contains(args, i.Name) {
			names = append(names, i.Name+"\t"+i.Help)
		}
	}
	return append(names, words...), directive
}

// question is a command line of report, taken apart.
type question struct {
	names  []string // reports; none: all
	wanted []string // modules
	filter []string
}

func (f *reportFlags) parse(args []string) (q question, err error) {
	if err := f.check("report"); err != nil {
		return q, err
	}
	if f.html != "" && (f.json || f.csv) {
		return q, usagef("report: --html is a form of its own: leave out --json and --csv")
	}
	known := reportWords()
	for len(args) > 0 && slices.Contains(known, strings.ToLower(args[0])) {
		if name := strings.ToLower(args[0]); !slices.Contains(q.names, name) {
			q.names = append(q.names, name)
		}
		args = args[1:]
	}
	if len(q.names) == 1 && q.names[0] == "modules" {
		for len(args) > 0 && isPlainWord(args[0]) {
			q.wanted = append(q.wanted, args[0])
			args = args[1:]
		}
	}
	if len(args) > 0 && isPlainWord(args[0]) {
		if near := nearest(args[0], known); near != "" {
			return q, usagef("report: there is no report %q; did you mean %q? A process of that name is process:%s", args[0], near, args[0])
		}
	}
	if f.csv && len(q.names) != 1 {
		return q, usagef("report: --csv is a table: name one report")
	}
	q.filter = args
	return q, nil
}

func reportWords() (names []string) {
	for _, i := range analyse.ReportList() {
		names = append(names, i.Name)
	}
	return names
}

// isPlainWord reports whether a word of the command line is neither a term with
// a field nor one that combines terms.
func isPlainWord(s string) bool {
	switch strings.ToLower(s) {
	case "", "and", "or", "not":
		return false
	}
	return !strings.ContainsAny(s, ":=<>!()\"&| ") && s[0] != '-'
}

// rows is how many rows a table has at most.
func (f *reportFlags) rows() int {
	switch {
	case f.top >= 0:
		return f.top
	case f.html != "":
		return 50
	case f.json || f.csv:
		return 0
	}
	return 20
}

func report(ctx context.Context, cfg Config, q question, f reportFlags, stdout, stderr io.Writer) error {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	modules := recordModules(cfg.Dir)
	x, err := parseRecordFilter("report", q.filter, modules)
	if err != nil {
		return err
	}
	// The tables are what memory is for: what reading leaves behind is collected
	// before it makes the program larger than this.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20))
	s := reporting{ctx: ctx, r: r, x: x, stderr: stderr}
	gaps, err := s.cover(cfg)
	if err != nil {
		return err
	}
	opt := analyse.ReportOptions{Names: q.names, From: s.head.From, To: s.head.To, Covered: s.covered, Runs: s.runs, Location: time.Local, Top: f.rows(),
		Service: func(port uint16, _ activity.Proto) string { return filter.ServiceName(port) }, Modules: modules, Wanted: q.wanted}
	if kinds := query(x).Kinds; kinds != 0 {
		opt.NoEnds = !kinds.Has(activity.KindClose) || !kinds.Has(activity.KindFlowEnd)
	}
	if opt.Findings, err = q.findings(ctx, cfg, r, x, stderr); err != nil {
		return err
	}
	if f.resolve {
		opt.HostOf = func(addrs []netip.Addr) []string { return hostNames(ctx, addrs) }
	}
	reports, err := s.counted(opt)
	if err != nil {
		return err
	}
	s.head.Events, s.head.Damaged = reports.Events(), s.unreadable
	if x != nil {
		s.head.Filter = x.String()
	}
	if err := f.print(hostOf(cfg.Dir), &s.head, reports.Tables(), stdout); err != nil {
		return quietPipe(err)
	}
	if f.json || f.csv {
		nameGaps("report", gaps, stderr)
	}
	return holes("report", len(gaps), s.unreadable, f.complete)
}

// findings gives what the rules of interest say of each event. Rules that cannot
// be loaded are an error where somebody asked for them, and else a word on
// stderr: the other reports have their own to tell.
func (q *question) findings(ctx context.Context, cfg Config, r *journal.Reader, x *filter.Expr, stderr io.Writer) (func(*activity.Event, []activity.Finding) []activity.Finding, error) {
	if len(q.names) > 0 && !slices.Contains(q.names, "interest") {
		return nil, nil
	}
	f, rules, err := newFindings(ctx, "report", cfg, activity.SeverityInfo, stderr)
	switch {
	case err != nil && len(q.names) > 0:
		return nil, err
	case err != nil:
		fmt.Fprintf(stderr, "portreporter: report: %s\n", oneLine(err.Error()))
		return nil, nil
	}
	f.over(r, rules.set, x)
	return func(e *activity.Event, found []activity.Finding) []activity.Finding { return append(found, f.of(e)...) }, nil
}

// reporting reads the record for reports.
type reporting struct {
	ctx        context.Context
	r          *journal.Reader
	x          *filter.Expr // nil everything
	stderr     io.Writer
	damage     int // parts that could not be read before counting
	unreadable int
	head       render.ReportHead
	covered    []analyse.Span
	runs       []int64 // UTC ns at which each began
	runStart   int64   // of the run that the time begins in, or the first; UTC ns
}

// cover finds out what time is asked for, and what of it is on record.
func (s *reporting) cover(cfg Config) (gaps []journal.Interval, err error) {
	q := query(s.x)
	now := time.Now().UnixNano()
	spans, err := spansIn(s.ctx, cfg, s.r, q.From, q.To, now)
	if err != nil {
		s.damage++
		fmt.Fprintf(s.stderr, "portreporter: report: %s\n", oneLine(err.Error()))
	}
	s.head.From, s.head.To = asked(spans, q.From, q.To, now)
	gaps = findGaps(spans, q.From, q.To, now)
	for _, g := range gaps {
		s.head.Gaps = append(s.head.Gaps, render.Gap{From: max(g.From, s.head.From), To: min(g.To, s.head.To), Reason: g.Reason})
		if g.Event != nil {
			s.head.Lost += g.Event.Coverage.LostTotal()
		}
	}
	if q.From == 0 { // else they are gaps
		for _, i := range spans {
			if i.State == journal.StateNotRunning {
				s.head.Gaps = append(s.head.Gaps, render.Gap{From: i.From, To: i.To, Reason: i.Reason, Idle: true})
			}
		}
		slices.SortStableFunc(s.head.Gaps, func(a, b render.Gap) int { return cmp.Compare(a.From, b.From) })
	}
	s.covered = recorded(spans)
	for _, c := range s.covered {
		s.head.Recorded += max(min(c.To, s.head.To)-max(c.From, s.head.From), 0)
	}
	s.runStart = math.MaxInt64
	for _, i := range spans {
		if i.State == journal.StateRecorded && i.Event != nil {
			s.runs = append(s.runs, i.From)
		}
		if i.State == journal.StateRecorded && (i.From <= s.head.From || s.runStart == math.MaxInt64) {
			s.runStart = i.From
		}
	}
	return gaps, nil
}

// asked is the time that an answer is about: what the filter says, or else what
// is on record.
func asked(spans []journal.Interval, from, to, now int64) (int64, int64) {
	first, last := int64(math.MaxInt64), from
	for _, i := range spans {
		first, last = min(first, i.From), max(last, i.To+1) // the last event is within
	}
	if from == 0 {
		from = first
	}
	if to == 0 || to > now {
		to = min(last, now)
	}
	return min(from, to), to
}

// recorded lists the times that are on record, in order, without the gaps.
func recorded(spans []journal.Interval) []analyse.Span {
	var on, off []analyse.Span
	for _, i := range spans {
		switch i.State {
		case journal.StateRecorded:
			on = append(on, analyse.Span{From: i.From, To: i.To + 1})
		case journal.StateGap:
			off = append(off, analyse.Span{From: i.From, To: i.To})
		}
	}
	return subtract(union(on), union(off))
}

func union(spans []analyse.Span) (out []analyse.Span) {
	slices.SortFunc(spans, func(a, b analyse.Span) int { return int(min(max(a.From-b.From, -1), 1)) })
	for _, s := range spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// subtract takes the spans off from those of on; both are in order and apart.
func subtract(on, off []analyse.Span) (out []analyse.Span) {
	for _, s := range on {
		for _, o := range off {
			if o.To <= s.From || o.From >= s.To {
				continue
			}
			if o.From > s.From {
				out = append(out, analyse.Span{From: s.From, To: o.From})
			}
			s.From = o.To
		}
		if s.From < s.To {
			out = append(out, s)
		}
	}
	return out
}

// counted reports what the record holds, from the start again where the record
// was rearranged meanwhile.
func (s *reporting) counted(opt analyse.ReportOptions) (*analyse.Reports, error) {
	for try := 1; ; try++ {
		reports, err := analyse.NewReports(opt)
		if err != nil {
			return nil, err
		}
		s.unreadable = s.damage
		if err = s.count(reports); !errors.Is(err, journal.ErrChanged) || try == 3 {
			return reports, err
		}
	}
}

// count tells the reports what the record holds.
func (s *reporting) count(reports *analyse.Reports) error {
	if reports.Holds() {
		if err := s.hold(reports); err != nil {
			return err
		}
	}
	reports.Held()
	kinds, ok := reports.Kinds()
	if ok && (s.x == nil || s.x.TimeOnly()) && wholeHours(time.Local, s.head.From, s.head.To) {
		return s.countHours(reports, kinds)
	}
	return s.each(query(s.x), reports.Event)
}

// each calls do for every event that q asks for.
func (s *reporting) each(q journal.Query, do func(*activity.Event)) error {
	for e, err := range readable("report", s.r.Events(s.ctx, q), &s.unreadable, s.stderr) {
		if err != nil {
			return err
		}
		do(e)
	}
	return nil
}

// hold tells who held which port, from the beginning of the run that the time
// asked for begins in. An event before that time counts as if it happened at
// its beginning.
func (s *reporting) hold(reports *analyse.Reports) error {
	from := s.runStart
	if from == math.MaxInt64 {
		from = s.head.From
	}
	q := journal.Query{Hints: filter.Hints{From: from, To: s.head.To, Kinds: analyse.HoldKinds()}}
	return s.each(q, func(e *activity.Event) {
		wanted := true
		if s.x != nil {
			late := *e
			late.Time = max(late.Time, s.head.From)
			wanted = s.x.Match(&late)
		}
		reports.Hold(e, wanted)
	})
}

// countHours sums whole hours up from the roll-ups, and reads the events at
// both ends and those that are needed one by one.
func (s *reporting) countHours(reports *analyse.Reports, kinds filter.KindSet) error {
	const hour = int64(time.Hour)
	from, to := s.head.From, s.head.To
	first, last := (from+hour-1)/hour*hour, to/hour*hour
	if first >= last {
		return s.each(query(s.x), reports.Event)
	}
	err := s.r.Rollups(s.ctx, first, last, func(r *journal.Rollup, p *activity.Process) { reports.Count(toCount(r, p)) })
	if errors.Is(err, journal.ErrChanged) || s.ctx.Err() != nil {
		return fmt.Errorf("report: %w", err)
	}
	ends := journal.Query{Hints: filter.Hints{From: from, To: first}}
	if err := errors.Join(s.damaged(err), s.each(ends, reports.Event)); err != nil {
		return err
	}
	ends.From, ends.To = last, to
	if err := s.each(ends, reports.Event); err != nil || kinds == 0 {
		return err
	}
	return s.each(journal.Query{Hints: filter.Hints{From: first, To: last, Kinds: kinds}}, reports.Detail)
}

// damaged tells of parts that cannot be read, and makes nothing of the error.
func (s *reporting) damaged(err error) error {
	if err != nil {
		s.unreadable++
		fmt.Fprintf(s.stderr, "portreporter: report: %s\n", oneLine(err.Error()))
	}
	return nil
}

func toCount(r *journal.Rollup, p *activity.Process) *analyse.Count {
	kind, _ := activity.ParseKind(r.Kind) // a later version's is no kind of ours, but counts
	return &analyse.Count{Kind: kind, Process: p, Events: r.Events, Rx: r.Rx, Tx: r.Tx, First: r.First, Last: r.Last}
}

// wholeHours reports whether hours begin in a zone when they begin in UTC.
func wholeHours(zone *time.Location, times ...int64) bool {
	for _, t := range times {
		if _, offset := time.Unix(0, t).In(zone).Zone(); offset%3600 != 0 {
			return false
		}
	}
	return true
}

func (f *reportFlags) print(host string, head *render.ReportHead, tables []*analyse.Table, stdout io.Writer) error {
	opt := renderOptions(stdout)
	opt.Host = host
	switch {
	case f.html == "-":
		return writeAll(stdout, render.AppendReportHTML(nil, head, tables, opt))
	case f.html != "":
		if err := os.WriteFile(f.html, render.AppendReportHTML(nil, head, tables, opt), 0o640); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		return nil
	case f.json || f.csv:
		return f.printRows(head, slices.DeleteFunc(tables, func(t *analyse.Table) bool { return t.Derived }), stdout, opt)
	}
	b := render.AppendReportHead(nil, head, opt)
	for _, t := range tables {
		b = render.AppendReport(b, t, opt)
	}
	return writeAll(stdout, b)
}

// printRows prints JSON Lines or CSV, one row after the other: there may be many.
func (f *reportFlags) printRows(head *render.ReportHead, tables []*analyse.Table, stdout io.Writer, opt render.Options) error {
	w := bufio.NewWriterSize(stdout, 64<<10)
	var b []byte
	if f.json {
		b = render.AppendReportHeadJSON(b, head, opt)
	}
	for i, t := range tables {
		if f.csv && i == 0 {
			b = render.AppendReportHeaderCSV(b, t)
		}
		for row := range t.Rows {
			if f.json {
				b = render.AppendReportRowJSON(b, t, row, opt)
			} else {
				b = render.AppendReportRowCSV(b, t, row)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		if f.json {
			b = render.AppendReportRestJSON(b, t, opt)
		}
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Flush()
}
