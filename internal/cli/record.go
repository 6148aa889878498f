package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/enrich"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/prlog"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/recorder"
	"github.com/portreporter/portreporter/internal/svc"
)

func newRecordCommand() *cobra.Command {
	var show, asJSON bool
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record every port event of this machine",
		Long: `Record every port event of this machine, in the foreground, until interrupted.

As root, or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_PTRACE and
CAP_DAC_READ_SEARCH, it sees everything. Without, it polls what this user may
see, and says so. The record goes to --dir; other commands read it there, and
ask the running recorder over --control-path.`,
		Example: `  portreporter record --print             record, and show events as they happen
  portreporter record --dir /data/ports   keep the record elsewhere`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && !show {
				return usagef("record: --json says how --print shows events: give both")
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			var print func(*activity.Event)
			if show {
				print = eventPrinter(cmd.OutOrStdout(), asJSON)
			}
			defer context.AfterFunc(cmd.Context(), endAtOnce)()
			return svc.Run(cmd.Context(), func(ctx context.Context, n *svc.Notifier) error {
				return record(ctx, cfg, cmd.ErrOrStderr(), print, n)
			})
		},
	}
	addConfigFlags(cmd)
	cmd.Flags().BoolVar(&show, "print", false, "show each event on stdout as it happens")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --print: as JSON Lines")
	return cmd
}

// endAtOnce is called when the recorder was told to stop: a second signal then
// ends it as if it had no hand for signals. Sealing takes a moment, and a person
// who will not wait loses nothing: the next recorder seals what this one left.
// Signals that come together are one wish: timeout(1) sends two.
func endAtOnce() {
	time.AfterFunc(time.Second, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
}

// The memory that the recorder tries to keep its heap within: so much, and so
// much for each open socket. It is a goal for the garbage collector, not a
// limit, and must leave it room: collecting without end, it took half of the
// time of a `list` of 50,000 sockets.
const (
	heapGoal   = 28 << 20
	heapSocket = 640
	heapGC     = 50
)

// recording is a recorder and all that is around it.
type recording struct {
	cfg      Config
	log      *slog.Logger
	journal  *journal.Writer
	resolver *enrich.Resolver
	rec      *recorder.Recorder
	control  *control.Server
	classic  *prlog.Writer
	classicQ *recorder.Queue
	watch    *watch                 // nil: interest.enabled is false
	first    chan []activity.Socket // the table that the classic logs begin with
	print    func(*activity.Event)
	notify   *svc.Notifier
	args     enrich.ArgsMode
	group    int // that may use the control socket; -1 none
	boot     string
	host     string

	found    found // what is known of processes beyond their events
	troubles troubles
}

// record runs the recorder until ctx is done.
func record(ctx context.Context, cfg Config, stderr io.Writer, print func(*activity.Event), n *svc.Notifier) error {
	debug.SetGCPercent(heapGC)
	debug.SetMemoryLimit(heapGoal)
	easeTimers()
	r, err := newRecording(cfg, stderr, print, n)
	if err != nil {
		return err
	}
	fs := proc.FS{}
	if r.boot, err = fs.BootID(); err != nil && !errors.Is(err, proc.ErrUnsupported) {
		return fmt.Errorf("record: %w", err)
	}
	// The socket comes first: a second recorder is refused before it has
	// touched anything.
	if err := r.listen(); err != nil {
		return err
	}
	defer r.control.Close()
	source, err := capture.Open(capture.Config{Tier: cfg.CaptureTier, RingBytes: cfg.CaptureRingBytes})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer source.Close()
	if err := r.open(fs); err != nil {
		return err
	}
	defer r.resolver.Close()
	return r.run(ctx, source, fs)
}

// newRecording checks what of the configuration only this machine can tell.
func newRecording(cfg Config, stderr io.Writer, print func(*activity.Event), n *svc.Notifier) (*recording, error) {
	r := &recording{cfg: cfg, print: print, notify: n, group: -1,
		log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))}
	r.host, _ = os.Hostname()
	var err error
	if r.args, err = enrich.ParseArgsMode(cfg.ProcessArgs); err != nil {
		return nil, usagef("process.args: %w", err)
	}
	if cfg.ControlGroup != "" {
		if r.group, err = groupID(cfg.ControlGroup); err != nil {
			return nil, usagef("control.group: %w", err)
		}
	}
	return r, nil
}

// groupID finds a group by its name or number.
func groupID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q", name)
	}
	n, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0, fmt.Errorf("group %q has no number: %q", name, g.Gid)
	}
	return n, nil
}

// listen opens the control socket, where there is one on this system.
func (r *recording) listen() (err error) {
	r.control, err = control.Listen(r.cfg.ControlPath)
	switch {
	case errors.Is(err, control.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("record: %w", err)
	case r.group < 0:
		return nil
	}
	if err := r.control.Admit(r.group); err != nil {
		// Those who ask can wait for this to be mended, ports can't.
		r.log.Warn("only root can ask this recorder", "err", err)
	}
	return nil
}

// open opens the record. On an error what was opened is closed.
func (r *recording) open(fs proc.FS) (err error) {
	days := time.Duration(r.cfg.RetentionDays) * 24 * time.Hour
	r.journal, err = journal.Open(journal.Config{Dir: r.cfg.Dir, HostName: r.host, BootID: r.boot, SegmentRows: r.cfg.SegmentRows,
		MaxAge: days, MaxBytes: r.cfg.RetentionBytes})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if r.cfg.ClassicEnabled {
		if err := r.openClassic(days); err != nil {
			return errors.Join(fmt.Errorf("record: %w", err), r.journal.Close())
		}
	}
	if r.cfg.InterestEnabled {
		if err := r.openInterest(); err != nil {
			return errors.Join(err, r.closeClassic(), r.journal.Close())
		}
	}
	r.resolver = enrich.New(enrich.Config{Proc: fs, Args: r.args, Commands: true})
	return nil
}

// run records, with its helpers beside it, and puts everything away in order:
// first the recorder, then those that it feeds, then the record.
func (r *recording) run(ctx context.Context, source capture.Source, fs proc.FS) error {
	info := source.Info()
	version := "portreporter " + buildVersion()
	r.rec = recorder.New(recorder.Config{Source: source, Resolver: resolver{r, fs}, Journal: r.journal, Publish: r.publish,
		Start: r.start, Log: r.log, Version: version})
	side, stopSide := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	if r.control != nil {
		wg.Go(func() {
			if err := r.control.Serve(side, answers{r}); err != nil {
				r.log.Error("control socket", "err", err)
			}
		})
	}
	if r.classicQ != nil {
		wg.Go(func() { r.runClassic(side) })
	}
	if r.watch != nil {
		wg.Go(func() { r.watch.run(side) })
	}
	wg.Go(func() { r.keep(side) })
	if info.Hint != "" {
		r.log.Warn(info.Hint)
	}
	err := r.rec.Run(ctx)
	_ = r.notify.Stopping()
	stopSide()
	wg.Wait()
	return errors.Join(err, r.putAway())
}

// putAway seals what was recorded.
func (r *recording) putAway() error {
	errs := []error{r.closeClassic()}
	if err := r.journal.Finish(context.Background()); err != nil {
		errs = append(errs, fmt.Errorf("record: %w", err))
	}
	r.log.Info("stopped")
	return errors.Join(errs...)
}

func (r *recording) closeClassic() error {
	if r.classic == nil {
		return nil
	}
	return r.classic.Close()
}

// start is called once recording has begun, with what is open already.
func (r *recording) start(table []activity.Socket) {
	r.log.Info("recording", "dir", r.cfg.Dir, "sockets", len(table))
	if r.classic != nil {
		r.first <- table
	}
	if err := r.notify.Ready(); err != nil {
		r.log.Warn("service manager", "err", err)
	}
	_ = r.notify.Status(fmt.Sprintf("recording, %s open", count(len(table), "socket")))
}

// publish hands an event that is on record to those who follow.
func (r *recording) publish(e *activity.Event) {
	if r.control != nil {
		r.control.Publish(e)
	}
	if r.classicQ != nil && r.classic.Wants(e) {
		r.classicQ.Put(e)
	}
	if r.watch != nil {
		r.watch.queue.Put(e)
	}
	if r.print != nil {
		r.print(e)
	}
}

// keep does what is due beside recording: putting the record on the disk,
// sealing, merging, retention, the watchdog and the status line.
func (r *recording) keep(ctx context.Context) {
	sync := time.NewTicker(max(r.cfg.Sync, 10*time.Millisecond))
	defer sync.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sync.C:
			r.check("sync the record", r.journal.Sync())
			_ = r.notify.Alive()
			debug.SetMemoryLimit(heapGoal + heapSocket*int64(r.rec.Open()))
			for r.journal.Sealable() && ctx.Err() == nil {
				if err := r.journal.Seal(ctx); err != nil {
					r.check("seal", err)
					break
				}
			}
		case <-minute.C:
			_, err := r.journal.Merge(ctx) // one a minute is idle enough
			r.check("merge segments", err)
			_, err = r.journal.Retain(time.Now())
			r.check("retention", err)
			r.tell(ctx)
		}
	}
}

// check logs an error once for as long as it stays the same, and its end: a full
// disk fails each second.
func (r *recording) check(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	switch before, now := r.troubles.change(what, err); {
	case now == before:
	case now == "":
		r.log.Info(what + ": works again")
	default:
		r.log.Error(what, "err", err)
	}
}

// troubles are the errors that last, by what failed. It may be used by any
// goroutine.
type troubles struct {
	mu   sync.Mutex
	last map[string]string // guarded by mu
}

// change takes the present error of what, nil for none, and returns the text of
// the one before and of this.
func (t *troubles) change(what string, err error) (before, now string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = t.last[what]
	if err == nil {
		delete(t.last, what)
		return before, ""
	}
	if t.last == nil {
		t.last = map[string]string{}
	}
	t.last[what] = err.Error()
	return before, err.Error()
}

// tell writes the status line.
func (r *recording) tell(ctx context.Context) {
	st, err := r.rec.Status(ctx)
	if err != nil {
		return
	}
	var events, lost uint64
	for _, n := range st.Events {
		events += n
	}
	for _, n := range st.Lost {
		lost += n
	}
	r.log.Info("status", "events", events, "lost", lost, "sockets", st.Sockets, "processes", st.Processes)
	_ = r.notify.Status(fmt.Sprintf("%s, %d lost, %s open", count(events, "event"), lost, count(st.Sockets, "socket")))
}
