package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // --timezone, on systems that have no zones of their own

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/foreign"
	"github.com/portreporter/portreporter/internal/journal"
)

// importOptions are the flags of import.
type importOptions struct {
	dir, format, timezone, host string
	local                       []string
	json                        bool
	zone                        *time.Location // nil: the log's, else the machine's
	nets                        []netip.Prefix
}

func newImportCommand() *cobra.Command {
	o := importOptions{format: "auto"}
	cmd := &cobra.Command{
		Use:   "import --dir DEST FILE|DIR ...",
		Short: "Make a record of other programs' logs: Port Reporter 1.01, Sysmon, Zeek",
		Long: `Read logs of other programs into a record of their own, which every command reads
with --dir DEST: the three logs of Microsoft's Port Reporter (PR-INITIAL, PR-PORTS,
PR-PIDS), Sysmon's event 3 as XML (wevtutil qe Microsoft-Windows-Sysmon/Operational
/f:xml), and Zeek's conn.log as TSV or JSON; each also compressed (gzip, zstd) or
in UTF-16. "-" is standard input. In a directory the logs are found by their names.

What a log does not say is recorded as unknown. The same log is never taken twice.
A line that cannot be read is told with its file and number, and the exit code is
then 3. docs/EXCHANGE.md tells field by field what becomes of what.`,
		Example: `  portreporter import --dir ~/case7 /mnt/evidence/PortReporter
  portreporter import --dir ~/case7 --timezone America/New_York PR-PORTS-05-07-6-13-44-4.log
  portreporter import --dir ~/zeek --local 10.0.0.5 /opt/zeek/logs/2026-01-01
  portreporter report --dir ~/case7`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			im := &importer{o: o, stdin: cmd.InOrStdin(), stderr: cmd.ErrOrStderr(), progress: newProgress(cmd.ErrOrStderr(), "read")}
			defer im.cleanUp()
			err := im.run(cmd.Context(), args)
			im.progress.done()
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			return im.summary(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "directory of the record to make, or to add to")
	f.Var(&choiceValue{&o.format, []string{"auto", "pr", "sysmon", "zeek"}}, "format", "what the logs are: auto, pr, sysmon, zeek")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"auto", "pr", "sysmon", "zeek"}, cobra.ShellCompDirectiveNoFileComp)) // fails for no flag only
	f.StringVar(&o.timezone, "timezone", "", "zone of the classic logs' times, such as Europe/Berlin; else what the log says, else this machine's")
	f.StringVar(&o.host, "host", "", "host whose logs these are; logs that say another are left out")
	f.StringSliceVar(&o.local, "local", nil, "Zeek: addresses of the host, such as 10.0.0.5,fd00::/64; connections of others are left out")
	f.BoolVar(&o.json, "json", false, "print what was imported as JSON Lines")
	return cmd
}

// check makes of the flags' texts what they mean.
func (o *importOptions) check() (err error) {
	if o.dir == "" {
		return usagef("import: name the directory of the record to make with --dir")
	}
	if o.timezone != "" {
		if o.zone, err = time.LoadLocation(o.timezone); err != nil {
			return usagef("import: --timezone: unknown zone %q: one such as UTC or Europe/Berlin", o.timezone)
		}
	}
	for _, s := range o.local {
		p, err := netip.ParsePrefix(s)
		if a, addrErr := netip.ParseAddr(s); addrErr == nil {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil {
			return usagef("import: --local: %q is no address or network", s)
		}
		o.nets = append(o.nets, p.Masked())
	}
	return nil
}

// importer is one import, into one record of one host.
type importer struct {
	o      importOptions
	stdin  io.Reader
	stderr io.Writer
	ledger *ledger
	jobs   []*job
	host   string
	spools []string // files that stand for pipes
	told   int      // lines told on stderr
	unread int      // files found that could not be opened

	progress *progress
	w        *journal.Writer
}

func (im *importer) cleanUp() {
	for _, path := range im.spools {
		os.Remove(path)
	}
}

// note tells on stderr what is no result and no failure.
func (im *importer) note(format string, args ...any) {
	im.progress.done()
	fmt.Fprintf(im.stderr, "portreporter: import: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// maxTold bounds the lines that are told one by one.
const maxTold = 20

// tell says what is wrong with a line of a file, and counts it.
func (im *importer) tell(j *job, file string, err error) {
	j.Errors++
	if im.told++; im.told <= maxTold {
		im.note("%s: %v", file, err)
	}
}

// run finds the logs, sees which of them are new, and writes their events.
func (im *importer) run(ctx context.Context, args []string) (err error) {
	if im.ledger, err = openLedger(im.o.dir); err != nil {
		return err
	}
	sources, err := im.find(ctx, args)
	if err != nil {
		return err
	}
	if im.jobs, err = im.group(sources); err != nil {
		return err
	}
	if len(im.jobs) == 0 {
		return nil
	}
	// How far the record went so far, to tell if these logs belong before that.
	before, err := journal.Stat(im.o.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	im.w, err = journal.Open(journal.Config{Dir: im.o.dir, HostName: im.host})
	if err != nil {
		return err
	}
	if err := im.write(ctx); err != nil {
		return fmt.Errorf("%w: %s holds a part of it: remove it before you import again", err, im.o.dir)
	}
	for _, j := range im.jobs {
		if j.first != 0 && j.first < before.Newest {
			im.note("%s begins before %s, where the record ended: its events stand after those, so import logs that belong together at once", j.name(), stamp(before.Newest))
			break
		}
	}
	return nil
}

// write puts the events of all jobs into the journal, in the order of time.
func (im *importer) write(ctx context.Context) error {
	// The ledger knows of the import before the record has anything of it, so that
	// a crash at any time leaves either nothing or a begun import.
	if err := im.ledger.begin(im.w.Epoch(), im.jobs); err != nil {
		return errors.Join(err, im.w.Close())
	}
	var last int64
	for e, err := range foreign.InOrder(im.events(ctx), im.o.dir) {
		if err == nil {
			err = im.w.Err()
		}
		// Sorting reads all logs first: what they miss, and when they begin, is known
		// by the first event.
		if err == nil && last == 0 {
			im.w.Append(im.coverage(activity.KindRecorderStart, e.Time))
		}
		if err == nil {
			last = e.Time
			im.w.Append(e)
			err = im.seal(ctx)
		}
		if err != nil {
			return errors.Join(err, im.w.Close())
		}
	}
	if err := ctx.Err(); err != nil { // reading stops early then, without an error
		return errors.Join(err, im.w.Close())
	}
	if last != 0 {
		im.w.Append(im.coverage(activity.KindRecorderStop, last))
	}
	if err := im.w.Finish(ctx); err != nil {
		return err
	}
	// Append does not fail: a full disk shows in what was dropped.
	for _, n := range im.w.Dropped() {
		if n > 0 {
			return errors.New("events could not be written")
		}
	}
	return im.ledger.end(im.w.Epoch(), im.jobs)
}

// seal makes segments as live logs fill up, and larger ones of those.
func (im *importer) seal(ctx context.Context) error {
	for im.w.Sealable() {
		if err := im.w.Seal(ctx); err != nil {
			return err
		}
		for more := true; more; {
			var err error
			if more, err = im.w.Merge(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// coverage is the event that begins or ends the import in the record. It names
// the files by the sum over theirs, so that the chain vouches for the list.
func (im *importer) coverage(kind activity.Kind, at int64) *activity.Event {
	c := &activity.Coverage{From: at, To: at, Reason: "imported from " + im.sourceWords()}
	if kind == activity.KindRecorderStart {
		c.Missing = im.missing()
		c.Detail = "sha256 of the imported logs' sums: " + sumOf(im.jobs)
	}
	return &activity.Event{Kind: kind, Time: at, Tier: activity.TierImport, Coverage: c}
}

// sourceWords says in a few words what was imported.
func (im *importer) sourceWords() string {
	files := 0
	for _, j := range im.jobs {
		files += len(j.files)
	}
	first := im.jobs[0].files[0]
	s := first.base()
	switch {
	case first.name == "-":
		s = "standard input"
	case first.path != first.name: // a pipe
		s = first.name
	}
	if files > 1 {
		s += fmt.Sprintf(" and %d more", files-1)
	}
	return s
}

// missing lists the kinds that none of the logs can tell of.
func (im *importer) missing() []activity.Kind {
	out := im.jobs[0].format.Missing()
	for _, j := range im.jobs[1:] {
		can := j.format.Missing()
		out = slices.DeleteFunc(out, func(k activity.Kind) bool { return !slices.Contains(can, k) })
	}
	return out
}

// events reads job after job. Errors of one are told, and the next is read.
func (im *importer) events(ctx context.Context) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		var before *job
		for _, j := range im.jobs {
			if g := gapBetween(before, j); g != nil && !yield(g, nil) {
				return
			}
			for e := range im.read(j) {
				if ctx.Err() != nil {
					return
				}
				j.count(e)
				im.progress.step()
				if !yield(e, nil) {
					return
				}
			}
			before = j
		}
	}
}

// gapBetween is what lies between two sets of classic logs of a host: they do not
// tell when their recorder stopped.
func gapBetween(a, b *job) *activity.Event {
	if a == nil || a.format != foreign.Classic || b.format != foreign.Classic || a.last == 0 || b.began <= a.last || b.continues != nil {
		return nil
	}
	return &activity.Event{Kind: activity.KindGap, Time: b.began, Tier: activity.TierImport, Provenance: activity.Inferred,
		Coverage: &activity.Coverage{From: a.last, To: b.began, Reason: "the logs do not say whether Port Reporter ran then"}}
}

// summary prints what was imported, and returns the error that bad lines are.
func (im *importer) summary(w io.Writer) error {
	if im.told > maxTold {
		im.note("and %d more lines", im.told-maxTold)
	}
	if len(im.jobs) == 0 && !im.o.json {
		return errors.Join(writeAll(w, []byte("nothing new to import\n")), im.partial(0))
	}
	var b []byte
	var events, bad uint64
	for _, j := range im.jobs {
		events, bad = events+j.Events, bad+j.Errors
		if im.o.json {
			b = j.appendJSON(b)
			continue
		}
		b = fmt.Appendf(b, "%-6s  %s: %s", j.format, oneLine(j.name()), count(j.Events, "event"))
		if j.Events > 0 {
			b = fmt.Appendf(b, ", %s to %s", stamp(j.first), stamp(j.last))
		}
		b = append(b, j.leftOut()...)
		b = append(b, '\n')
	}
	if !im.o.json {
		of := ""
		if im.host != "" {
			of = " of " + oneLine(im.host)
		}
		b = fmt.Appendf(b, "imported %s%s into %s\n", count(events, "event"), of, oneLine(im.o.dir))
	}
	if err := writeAll(w, b); err != nil {
		return err
	}
	return im.partial(bad)
}

// partial is the error of an import that could not read all of it.
func (im *importer) partial(lines uint64) error {
	switch {
	case im.unread > 0 && lines > 0:
		return fmt.Errorf("import: %w: %s and %s could not be read", errPartial, count(im.unread, "file"), count(lines, "line"))
	case im.unread > 0:
		return fmt.Errorf("import: %w: %s could not be read", errPartial, count(im.unread, "file"))
	case lines > 0:
		return fmt.Errorf("import: %w: %s could not be read", errPartial, count(lines, "line"))
	}
	return nil
}

// leftOut says what of a log is no event of this host.
func (j *job) leftOut() string {
	var s strings.Builder
	for _, v := range []struct {
		n    uint64
		what string
	}{{j.Other, "about other things"}, {j.Foreign, "of other hosts"}} {
		if v.n > 0 {
			fmt.Fprintf(&s, "; %s %s left out", count(v.n, "record"), v.what)
		}
	}
	if j.Errors > 0 {
		fmt.Fprintf(&s, "; %s unreadable", count(j.Errors, "line"))
	}
	return s.String()
}
