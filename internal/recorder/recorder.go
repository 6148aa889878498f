// Package recorder is the pipeline: it reads what a capture source reports,
// keeps the table of open sockets and of the processes that own them, gives
// each event its owner, counts what is lost, and hands the events to the record.
//
// One goroutine owns all of it. What is slow (facts that need files read) runs
// on a worker beside it and comes back as a message; what others ask for (the
// table, the state) is answered by it between two batches.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Source is what the recorder records from. One goroutine uses it.
type Source interface {
	// Read overwrites o with the next observation. It waits until one comes or
	// the deadline passes (os.ErrDeadlineExceeded); os.ErrClosed after Close.
	Read(o *activity.Observation) error
	SetDeadline(t time.Time)
	// Sockets yields every socket open now, holders included; asOf is the
	// CLOCK_BOOTTIME ns at which the scan began.
	Sockets(yield func(*activity.Socket) bool) (asOf uint64, err error)
	// Lost returns how many events of each kind are known lost since it was opened.
	Lost() ([activity.NumKinds]uint64, error)
	Info() activity.SourceInfo
}

// liveScanner is a Source that can tell what is alive for less than Sockets costs.
type liveScanner interface {
	Live(yield func(*activity.Socket) bool) (asOf uint64, err error)
}

// waker is a Source whose Read can be cut short from another goroutine.
type waker interface{ Wake() }

// counters is a Source that counts things of its own, for the status.
type counters interface{ Counters() map[string]uint64 }

// Resolver finds out about processes.
type Resolver interface {
	// Quick completes a process in microseconds, without waiting for disks.
	Quick(p *activity.Process) *activity.Process
	// Read tells what can be known of a process that no source announced; nil
	// when it is gone.
	Read(key activity.ProcessKey) *activity.Process
	// Deep completes a process that lives on; it may read and hash files. It is
	// called on another goroutine.
	Deep(ctx context.Context, p *activity.Process) (*activity.Process, *activity.ModuleSet, error)
}

// Journal is the record. Append sets the event's Seq and never fails; Flush
// makes what was appended survive the end of this process.
type Journal interface {
	Append(e *activity.Event)
	Process(p *activity.Process)
	Modules(s *activity.ModuleSet)
	Flush() error
}

// Config is what a Recorder is made of. Source, Resolver and Journal are
// required.
type Config struct {
	Source   Source
	Resolver Resolver
	Journal  Journal
	// Publish is given each event once the journal has it, with the batch it
	// came in complete; the event is valid during the call only.
	Publish func(e *activity.Event)
	// Start is given the first table, after recording has begun.
	Start func(table []activity.Socket)
	Log   *slog.Logger

	Poll      time.Duration // longest time an event waits in the ring; 0 is 100 ms
	Reconcile time.Duration // between two passes over the kernel's sockets; 0 is 5 s
	Version   string        // of the program, for the coverage record
	Now       func() time.Time
}

// After so long without an event the machine is taken for quiet, and the ring
// is looked at less often. A backlog wakes the reader in any case.
const quietAfter = 2 * time.Second

// The most observations between two flushes: what a crash can cost, and how
// long a question waits.
const batch = 512

// Recorder records. It is made by New and run once.
type Recorder struct {
	cfg   Config
	live  func(yield func(*activity.Socket) bool) (uint64, error) // nil: the source reconciles by itself
	table table
	procs processes
	cover coverage
	pass  pass // the reconciliation under way

	pending []activity.Event // appended, not yet published
	obs     activity.Observation
	counts  [activity.NumKinds]uint64
	started time.Time
	busy    time.Time // when something was last observed
	heard   bool      // in this turn

	ask     chan func()
	stopped chan struct{} // closed when Run has ended
	deep    worker
	// When the next of each is due.
	nextTick, nextPass, nextHolders time.Time
	holdersWanted                   bool
	passCost                        time.Duration
	mending                         int // passes that may cost more, after a loss
	lastErr                         string
	open                            atomic.Int64 // what Open returns
}

// New returns a recorder that is ready to run.
func New(cfg Config) *Recorder {
	if cfg.Poll == 0 {
		cfg.Poll = 100 * time.Millisecond
	}
	if cfg.Reconcile == 0 {
		cfg.Reconcile = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{cfg: cfg, ask: make(chan func(), 64), stopped: make(chan struct{})}
	if l, ok := cfg.Source.(liveScanner); ok {
		r.live = l.Live
	}
	r.table = newTable()
	r.procs = newProcesses()
	r.deep = newWorker(cfg.Resolver)
	r.pending = make([]activity.Event, 0, batch+64)
	return r
}

// Run records until ctx is done, then writes the end of coverage and returns.
// It returns an error only when it cannot go on.
func (r *Recorder) Run(ctx context.Context) error {
	workerCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); r.deep.run(workerCtx) }()
	defer func() { stop(); <-done }()
	defer close(r.stopped)

	r.started = r.cfg.Now()
	r.begin()
	for ctx.Err() == nil {
		if err := r.turn(ctx); err != nil {
			r.end("capture failed: " + err.Error())
			return fmt.Errorf("read events: %w", err)
		}
	}
	r.drain()
	r.reconcileNow()
	r.end("stopped")
	return nil
}

// reconcileNow makes the table true at the end: what ended unseen is told
// before coverage ends.
func (r *Recorder) reconcileNow() {
	if r.live == nil {
		return
	}
	for range 2 { // as pass wants it
		r.checkLoss(r.cfg.Now())
		r.scan(false)
		r.cfg.Source.SetDeadline(r.cfg.Now().Add(r.cfg.Poll))
		if empty, err := r.readBatch(); err == nil && !empty {
			r.drain()
		}
		r.settle()
		r.flush()
	}
}

// begin opens coverage, then takes over what is open already.
func (r *Recorder) begin() {
	info := r.cfg.Source.Info()
	r.cover.begin(r.cfg.Now())
	r.append(r.cover.start(info, r.cfg.Version))
	r.scan(true)
	r.drain()
	r.settle()
	r.flush()
	if r.cfg.Start != nil {
		r.cfg.Start(r.sockets(nil, r.cookies()))
	}
	now := r.cfg.Now()
	r.nextTick, r.nextPass = now.Add(time.Second), now.Add(r.cfg.Reconcile)
}

// turn reads one batch and does what is due.
func (r *Recorder) turn(ctx context.Context) error {
	now := r.cfg.Now()
	wait := r.cfg.Poll
	if now.Sub(r.busy) > quietAfter {
		wait *= 3
	}
	r.cfg.Source.SetDeadline(now.Add(wait))
	empty, err := r.readBatch()
	if err != nil {
		return err
	}
	if r.heard {
		r.busy, r.heard = now, false
	}
	r.flush()
	r.answer()
	if empty {
		r.settle()
	}
	if now = r.cfg.Now(); !now.Before(r.nextTick) {
		r.nextTick = now.Add(time.Second)
		r.tick(now)
	}
	r.flush()
	return nil
}

// readBatch reads until the deadline or the batch is full; empty means that
// nothing is left to read at present.
func (r *Recorder) readBatch() (empty bool, err error) {
	bad := 0
	for range batch {
		switch err := r.cfg.Source.Read(&r.obs); {
		case err == nil:
			r.heard = true
			r.observe(&r.obs)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return true, nil
		case errors.Is(err, os.ErrClosed):
			return true, err
		default: // one observation that cannot be understood is a loss, not an end
			if bad++; bad > 16 {
				return true, err
			}
			r.complain("unreadable observation", err)
			r.cover.unreadable++
		}
	}
	return false, nil
}

// drain reads what is there now.
func (r *Recorder) drain() {
	r.cfg.Source.SetDeadline(r.cfg.Now())
	for range 1 << 14 {
		empty, err := r.readBatch()
		r.flush()
		if empty || err != nil {
			return
		}
	}
}

// tick does once a second what is due: losses, the clock, reconciliation, the
// search for holders, and facts that came back.
func (r *Recorder) tick(now time.Time) {
	r.open.Store(int64(len(r.table.byCookie)))
	r.checkLoss(now)
	if e := r.cover.clock(now); e != nil {
		r.append(e)
	}
	r.collect()
	r.procs.expire(now)
	r.deep.feed(now, &r.procs)
	if r.live != nil && !now.Before(r.nextPass) && !r.pass.active {
		r.scan(false)
		// a pass over very many sockets must not become the load
		r.nextPass = now.Add(max(r.cfg.Reconcile, 50*r.passCost))
	}
	if r.holdersWanted && !now.Before(r.nextHolders) {
		r.findHolders(now)
	}
}

func (r *Recorder) checkLoss(now time.Time) {
	lost, err := r.cfg.Source.Lost()
	if err != nil {
		r.complain("loss counters", err)
		return
	}
	if e := r.cover.loss(now, lost); e != nil {
		r.append(e)
		r.cfg.Log.Warn("events lost", "count", e.Coverage.LostTotal(), "reason", e.Coverage.Reason)
		r.nextPass, r.mending = now, 2 // the table is no longer true
	}
}

// end closes coverage.
func (r *Recorder) end(why string) {
	now := r.cfg.Now()
	r.checkLoss(now)
	r.append(r.cover.stop(now, why))
	r.flush()
}

// append gives an event to the journal and keeps it for publication.
func (r *Recorder) append(e *activity.Event) {
	r.cfg.Journal.Append(e)
	if e.Kind < activity.NumKinds {
		r.counts[e.Kind]++
	}
	if r.cfg.Publish != nil {
		r.pending = append(r.pending, *e)
	}
}

func (r *Recorder) flush() {
	if err := r.cfg.Journal.Flush(); err != nil {
		r.complain("journal", err)
	} else if r.lastErr != "" {
		r.cfg.Log.Info("the journal can be written again")
		r.lastErr = ""
	}
	for i := range r.pending {
		r.cfg.Publish(&r.pending[i])
	}
	clear(r.pending)
	r.pending = r.pending[:0]
}

// complain logs an error once for as long as it stays the same.
func (r *Recorder) complain(what string, err error) {
	if s := what + err.Error(); s != r.lastErr {
		r.lastErr = s
		r.cfg.Log.Error(what, "err", err)
	}
}
