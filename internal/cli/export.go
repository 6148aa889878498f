package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/prlog"
	"github.com/portreporter/portreporter/internal/render"
)

// exportOptions are the flags of export.
type exportOptions struct {
	format, output, timezone string
	complete                 bool
	zone                     *time.Location
}

func exportFormats() []string {
	return []string{"pr-ports", "jsonl", "ecs", "ocsf", "zeek", "parquet"}
}

func newExportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export --format FORMAT [FILTER ...] [-o FILE|DIR]",
		Short: "Write the record in another program's format: PR-PORTS, JSON, ECS, OCSF, Zeek, Parquet",
		Long: `Write the events that FILTER asks for, oldest first, to standard output or FILE:

  pr-ports  the log of Port Reporter 1.01; with -o DIR all three classic logs
  jsonl     JSON Lines, as of events --json
  ecs       Elastic Common Schema, JSON Lines
  ocsf      Open Cybersecurity Schema Framework, class Network Activity, JSON Lines
  zeek      Zeek's conn.log: a row for each connection
  parquet   one Parquet file, with each event's process in its row

What a format has no place for is counted on stderr. docs/EXCHANGE.md tells field
by field what becomes of what, docs/FILTER.md is the reference of the filter.`,
		Example: `  portreporter export --format ecs since:1h | curl -T- http://logs.example/ingest
  portreporter export --format parquet -o week.parquet since:7d
  portreporter export --format zeek 'port:443' | zeek-cut id.resp_h process`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.OutOrStdout()); err != nil {
				return err
			}
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			x, err := parseFilter("export", args)
			if err != nil {
				return err
			}
			return export(cmd.Context(), cfg, o, x, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlags(cmd, "dir", "control.path")
	f := cmd.Flags()
	f.Var(&choiceValue{&o.format, exportFormats()}, "format", "what to write: "+strings.Join(exportFormats(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exportFormats(), cobra.ShellCompDirectiveNoFileComp)) // fails for no flag only
	f.StringVarP(&o.output, "output", "o", "", "file to write; pr-ports: or a directory, for all three logs")
	f.StringVar(&o.timezone, "timezone", "", "pr-ports: zone of the times, such as UTC; else this machine's")
	f.BoolVar(&o.complete, "require-complete", false, "exit with 3 where the record has a gap in that time")
	return cmd
}

func (o *exportOptions) check(stdout io.Writer) (err error) {
	o.zone = time.Local
	switch {
	case o.format == "":
		return usagef("export: say what to write with --format: %s", strings.Join(exportFormats(), ", "))
	case o.timezone != "" && o.format != "pr-ports":
		return usagef("export: --timezone is for --format pr-ports: all others have times in UTC")
	case o.format == "parquet" && o.output == "" && terminal(stdout) > 0:
		return usagef("export: parquet is not for a terminal: name a file with -o")
	case o.isDir() && o.format != "pr-ports":
		return usagef("export: %s is a directory: name a file", o.output)
	}
	if o.timezone != "" {
		if o.zone, err = time.LoadLocation(o.timezone); err != nil {
			return usagef("export: --timezone: unknown zone %q: one such as UTC or Europe/Berlin", o.timezone)
		}
	}
	return nil
}

func (o *exportOptions) isDir() bool {
	if strings.HasSuffix(o.output, "/") || strings.HasSuffix(o.output, string(filepath.Separator)) {
		return true
	}
	st, err := os.Stat(o.output)
	return err == nil && st.IsDir()
}

// sink takes events in a format. close ends the format, and leaves what it was
// given to its caller.
type sink struct {
	write func(*activity.Event) (bool, error) // false: no place for it
	close func() error
}

func export(ctx context.Context, cfg Config, o exportOptions, x *filter.Expr, stdout, stderr io.Writer) (err error) {
	r, err := openRecord(cfg)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	unreadable, left := 0, uint64(0)
	events := readable("export", r.Events(ctx, query(x)), &unreadable, stderr)
	if o.output != "" {
		p := newProgress(stderr, "wrote")
		events = watched(events, p)
		defer p.done()
	}
	if o.isDir() {
		left, err = exportSet(o, r, cfg, events)
	} else {
		err = toFile(o.output, stdout, func(w io.Writer) error {
			left, err = drain(newSink(o, w, hostOf(cfg.Dir)), events)
			return err
		})
	}
	if isBrokenPipe(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if left > 0 {
		fmt.Fprintf(stderr, "portreporter: export: %s left out: %s has no place for them\n", count(left, "event"), o.format)
	}
	// The events are out: what is missing of them is told last.
	q := query(x)
	return tellGaps(ctx, "export", cfg, r, q.From, q.To, unreadable, o.complete, stderr)
}

// watched tells p of each event.
func watched(events iter.Seq2[*activity.Event, error], p *progress) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		for e, err := range events {
			if p.step(); !yield(e, err) {
				return
			}
		}
	}
}

// drain writes all events, and counts those that the format has no place for.
func drain(s sink, events iter.Seq2[*activity.Event, error]) (left uint64, err error) {
	for e, err := range events {
		if err != nil {
			return left, errors.Join(err, s.close())
		}
		placed, err := s.write(e)
		if err != nil {
			return left, err
		}
		if !placed {
			left++
		}
	}
	return left, s.close()
}

// newSink returns the sink of a format that is one stream.
func newSink(o exportOptions, w io.Writer, host string) sink {
	opt := render.Options{Host: host}
	if o.format == "parquet" {
		p := render.NewParquet(w, opt)
		return sink{func(e *activity.Event) (bool, error) { return true, p.Write(e) }, p.Close}
	}
	var b []byte
	if o.format == "pr-ports" {
		lines := prlog.PortLines{Location: o.zone}
		b = lines.AppendHead(b)
		return textSink(w, b, lines.Append, nil)
	}
	x := render.NewExport(o.format, opt)
	return textSink(w, x.AppendHeader(b), x.Append, x.AppendFooter)
}

// textSink writes what add appends for each event. A format that writes a
// connection when it ends has a place for its beginning too: with a footer, what
// appends nothing is not counted as left out.
func textSink(w io.Writer, head []byte, add func([]byte, *activity.Event) []byte, footer func([]byte) []byte) sink {
	b := head
	return sink{func(e *activity.Event) (bool, error) {
		n := len(b)
		b = add(b, e)
		placed := len(b) > n || footer != nil && e.Remote.IsValid()
		if len(b) < 32<<10 { // few writes, and little memory
			return placed, nil
		}
		_, err := w.Write(b)
		b = b[:0]
		return placed, err
	}, func() error {
		if footer != nil {
			b = footer(b)
		}
		_, err := w.Write(b)
		return err
	}}
}

// toFile calls write with standard output, or with a file that takes its name
// only when all of it is written. A device or a pipe is written to as it is.
func toFile(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		w := bufio.NewWriterSize(stdout, 64<<10)
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what a link points to is replaced, not the link
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	// Beside its place, so that it is renamed within one file system. It is made with
	// mode 0600, and readable to others only as a whole.
	f, err := os.CreateTemp(filepath.Dir(path), ".portreporter-export-*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o640)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// maxFirst bounds the sockets of PR-INITIAL.
const maxFirst = 1 << 16

// exportSet writes the three classic logs, as the recorder would have: what was
// found at the start to PR-INITIAL, then each port with its section.
func exportSet(o exportOptions, r *journal.Reader, cfg Config, events iter.Seq2[*activity.Event, error]) (left uint64, err error) {
	var now time.Time // of the event that is written: sets begin at midnight by this clock
	modules := func(id activity.ModuleSetID) *activity.ModuleSet {
		set, err := r.Modules(id)
		if err != nil {
			return nil // told as "could not access": the section stands without
		}
		return set
	}
	w, err := prlog.New(prlog.Config{Dir: o.output, Host: hostOf(cfg.Dir), Ports: "all", Location: o.zone, Now: func() time.Time { return now }, ModuleSet: modules})
	if err != nil {
		return 0, err
	}
	var first []activity.Socket
	var began time.Time
	started := false
	start := func() error {
		if started {
			return nil
		}
		started = true
		at := now // the set is named by when the record began, not by its first port
		defer func() { now = at }()
		now = began
		return w.Start(first)
	}
	s := sink{func(e *activity.Event) (bool, error) {
		now = time.Unix(0, e.Time)
		if began.IsZero() {
			began = now
		}
		if e.Kind == activity.KindSnapshot && !started && len(first) < maxFirst {
			first = append(first, socketOf(e))
			return true, nil
		}
		if !w.Wants(e) {
			return false, nil
		}
		return true, errors.Join(start(), w.Event(e, nil, modules))
	}, func() error { return errors.Join(start(), w.Close()) }}
	return drain(s, events)
}

// socketOf is the socket that a snapshot told of.
func socketOf(e *activity.Event) activity.Socket {
	s := activity.Socket{Proto: e.Proto, State: activity.StateEstablished, Local: e.Local, Remote: e.Remote, Owner: e.Owner, Process: e.Process, UID: activity.NoID}
	switch {
	case e.Proto == activity.UDP:
		s.State = activity.StateBound
	case !e.Remote.IsValid() || e.Remote.Port() == 0:
		s.State = activity.StateListen
	}
	return s
}
