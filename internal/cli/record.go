package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
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

// The memory that the recorder tries to keep its heap within. It is a goal for
// the garbage collector, not a limit: the tables grow with what is open.
const (
	heapGoal = 24 << 20
	heapGC   = 50
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
	first    chan []activity.Socket // the table that the classic logs begin with
	print    func(*activity.Event)
	notify   *svc.Notifier
	boot     string
	host     string

	mu      sync.Mutex
	modules map[activity.ModuleSetID]*activity.ModuleSet // guarded by mu; what Deep found
}

// record runs the recorder until ctx is done.
func record(ctx context.Context, cfg Config, stderr io.Writer, print func(*activity.Event), n *svc.Notifier) error {
	debug.SetGCPercent(heapGC)
	debug.SetMemoryLimit(heapGoal)
	r := &recording{cfg: cfg, print: print, notify: n, modules: map[activity.ModuleSetID]*activity.ModuleSet{},
		log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))}
	r.host, _ = os.Hostname()
	fs := proc.FS{}
	var err error
	if r.boot, err = fs.BootID(); err != nil && !errors.Is(err, proc.ErrUnsupported) {
		return fmt.Errorf("record: %w", err)
	}
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

// open opens everything but the source. On an error what was opened is closed.
func (r *recording) open(fs proc.FS) (err error) {
	args, err := enrich.ParseArgsMode(r.cfg.ProcessArgs)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	days := time.Duration(r.cfg.RetentionDays) * 24 * time.Hour
	r.journal, err = journal.Open(journal.Config{Dir: r.cfg.Dir, HostName: r.host, BootID: r.boot, SegmentRows: r.cfg.SegmentRows,
		MaxAge: days, MaxBytes: r.cfg.RetentionBytes})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if r.control, err = control.Listen(r.cfg.ControlPath); err != nil && !errors.Is(err, control.ErrUnsupported) {
		return errors.Join(fmt.Errorf("record: %w", err), r.journal.Close())
	}
	if r.cfg.ClassicEnabled {
		dir := r.cfg.ClassicDir
		if dir == "" {
			dir = filepath.Join(r.cfg.Dir, "classic")
		}
		r.classic, err = prlog.New(prlog.Config{Dir: dir, MaxBytes: r.cfg.ClassicMaxBytes, MaxAge: days, MaxTotal: r.cfg.RetentionBytes / 8,
			Host: r.host, OS: osName(), Modules: r.cfg.ClassicModules, Ports: r.cfg.ClassicPorts, ModuleSet: r.moduleSet, Snapshot: r.sockets})
		if err != nil {
			return errors.Join(fmt.Errorf("record: %w", err), r.control.Close(), r.journal.Close())
		}
		r.classicQ, r.first = recorder.NewQueue(8192), make(chan []activity.Socket, 1)
	}
	r.resolver = enrich.New(enrich.Config{Proc: fs, Args: args, Commands: true})
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
	var errs []error
	if r.classic != nil {
		errs = append(errs, r.classic.Close())
	}
	if err := r.journal.Finish(context.Background()); err != nil {
		errs = append(errs, fmt.Errorf("record: %w", err))
	}
	r.log.Info("stopped")
	return errors.Join(errs...)
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
}

// publish hands an event that is on record to those who follow.
func (r *recording) publish(e *activity.Event) {
	if r.control != nil {
		r.control.Publish(e)
	}
	if r.classicQ != nil && r.classic.Wants(e) {
		r.classicQ.Put(e)
	}
	if r.print != nil {
		r.print(e)
	}
}

// runClassic writes the classic logs, on a goroutine of its own: for a
// section's table it asks the recorder, which must never wait for it.
func (r *recording) runClassic(ctx context.Context) {
	select {
	case table := <-r.first:
		r.check("classic logs", r.classic.Start(table))
	case <-ctx.Done():
		return
	}
	r.classicQ.Run(ctx, r.writeClassic, r.flushClassic)
}

// sockets is the recorder's table; nil while it is stopping.
func (r *recording) sockets() []activity.Socket {
	socks, _ := r.rec.Sockets(context.Background())
	return socks
}

func (r *recording) writeClassic(e *activity.Event) {
	table := func(pid uint32) []activity.Socket {
		socks, _ := r.rec.Of(context.Background(), pid) // on shutdown the section goes without
		return socks
	}
	if err := r.classic.Event(e, table, r.moduleSet); err != nil {
		r.log.Error("classic logs", "err", err)
	}
}

func (r *recording) flushClassic() {
	if err := r.classic.Flush(); err != nil {
		r.log.Error("classic logs", "err", err)
	}
}

func (r *recording) moduleSet(id activity.ModuleSetID) *activity.ModuleSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.modules[id]
}

// The most module sets that are kept for the classic logs and for questions.
const maxModuleSets = 1024

func (r *recording) keepModules(s *activity.ModuleSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.modules) >= maxModuleSets {
		clear(r.modules)
	}
	r.modules[s.ID] = s
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

func (r *recording) check(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Error(what, "err", err)
	}
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
	_ = r.notify.Status(fmt.Sprintf("%d events, %d lost, %d sockets open", events, lost, st.Sockets))
}

func osName() string {
	if runtime.GOOS == "linux" {
		if name := linuxName("/etc/os-release"); name != "" {
			return name
		}
	}
	return runtime.GOOS
}
