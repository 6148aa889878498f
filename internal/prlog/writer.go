package prlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Config says where and how the logs are written. Only Dir has no default.
type Config struct {
	Dir string // made with mode 0750 if it is not there

	// MaxBytes begins a new set once PR-PORTS and PR-PIDS together are larger;
	// 0 never. A new set begins at each midnight in any case.
	MaxBytes int64
	// MaxAge and MaxTotal remove whole sets, the oldest first, when a set is
	// begun: those last written longer ago, and those that make all the logs in
	// Dir exceed so many bytes. 0 keeps them. Only sets of this program's own
	// version are removed, never logs of the original that were copied there.
	MaxAge   time.Duration
	MaxTotal int64

	Host    string // computer name
	OS      string // operating system and release, one line
	Modules string // "changed" (default) or "every": see the package comment
	Ports   string // "all" (default) or "listeners": see the package comment

	Location *time.Location   // of all times; default time.Local
	Now      func() time.Time // default time.Now

	// Snapshot returns every socket now, with its process, for the PR-INITIAL
	// of a set begun later. Without it that file names the one it continues. It
	// is called by Event and Flush, whose caller waits for it.
	Snapshot func() []activity.Socket
	// ModuleSet resolves module sets for PR-INITIAL; nil, or a nil answer, is
	// "could not access".
	ModuleSet func(activity.ModuleSetID) *activity.ModuleSet

	create func(string) (io.WriteCloser, error) // tests: a disk that fills up
}

const (
	flushBytes   = 64 << 10         // pending bytes at which Event writes by itself
	maxPending   = 1 << 20          // pending bytes at which a full disk loses entries
	maxSeen      = 1 << 15          // processes remembered within a set
	snapshotLife = 10 * time.Minute // how long a PR-INITIAL serves the sets that follow by size
	retryAfter   = time.Second      // between attempts of what failed
	manyRows     = 8                // a table up to this size is written every second
)

// Writer writes the three logs. No error is final: what could not be written is
// kept up to a bound, counted beyond it, and written when the disk allows. Its
// methods may be called from several goroutines; the callbacks given to it must
// not call it back.
type Writer struct {
	cfg Config

	mu      sync.Mutex // guards all that follows
	started bool       // Start was called: Flush may begin sets
	set     *set       // nil until one could be made
	scratch []byte     // the text being put together

	midnight  time.Time // when the set ends
	retry     time.Time // begin no set before this, after a failure
	full      time.Time // write nothing before this while too much is pending
	tableSet  string    // suffix of the set whose PR-INITIAL has the last table
	tableTime time.Time

	number    uint64 // of the last entry of the set
	seen      map[activity.ProcessID]*seen
	moduleLog map[activity.ModuleSetID]uint64 // entry that lists it

	lost, lostNow uint64 // in all, and since the last entry that was written

	lines PortLines
}

// seen is what the set says already of a process.
type seen struct {
	modules  activity.ModuleSetID
	table    uint64 // entry with its last table; 0 none
	second   int64  // of that entry's time
	rows     int    // in that table
	sections int    // since
}

// New checks cfg and makes the directory. No file is made before Start.
func New(cfg Config) (*Writer, error) {
	cfg.Modules, cfg.Ports = defaulted(cfg.Modules, "changed"), defaulted(cfg.Ports, "all")
	switch {
	case cfg.Dir == "":
		return nil, errors.New("classic logs: no directory")
	case cfg.Modules != "changed" && cfg.Modules != "every":
		return nil, fmt.Errorf("classic logs: modules %q: want changed or every", cfg.Modules)
	case cfg.Ports != "all" && cfg.Ports != "listeners":
		return nil, fmt.Errorf("classic logs: ports %q: want all or listeners", cfg.Ports)
	case cfg.MaxBytes < 0 || cfg.MaxTotal < 0 || cfg.MaxAge < 0:
		return nil, errors.New("classic logs: a limit is negative")
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.create == nil {
		cfg.create = createFile
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("classic logs: %w", err)
	}
	return &Writer{cfg: cfg, lines: PortLines{Location: cfg.Location}}, nil
}

func defaulted(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// Start begins the first set with the sockets that are open now. On an error
// the set is begun later, by Event or Flush.
func (w *Writer) Start(sockets []activity.Socket) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = true
	now := w.now()
	if err := w.begin(now, sockets, true); err != nil {
		w.retry = now.Add(retryAfter)
		return err
	}
	return w.flush()
}

// Lost returns how many entries could not be written so far.
func (w *Writer) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// now carries the zone along, so that everything made of it is local.
func (w *Writer) now() time.Time { return w.cfg.Now().In(w.cfg.Location) }

// begin makes a new set and ends the one before. With table false PR-INITIAL
// refers to the set that has one.
func (w *Writer) begin(now time.Time, sockets []activity.Socket, table bool) error {
	next, err := createSet(w.cfg.Dir, nameSuffix(now), w.cfg.create)
	if err != nil {
		return fmt.Errorf("classic logs: begin a set: %w", err)
	}
	if w.set != nil {
		err = w.set.close()
		w.lost += w.unwritten()
	}
	w.set, w.number = next, 0
	w.seen, w.moduleLog = map[activity.ProcessID]*seen{}, map[activity.ModuleSetID]uint64{}
	y, m, d := now.Date()
	w.midnight = time.Date(y, m, d+1, 0, 0, 0, 0, w.cfg.Location)
	if table {
		w.tableSet, w.tableTime = next.suffix, now
	}
	w.set.initial.add(w.initial(now, sockets, table))
	w.set.pids.add(append(w.head(nil, titlePIDs, now), '\n'))
	w.set.ports.add(fmt.Appendf(nil, "%s%s\n\nCheck %s for corresponding process data\n\nLog format:\n%s\n\n",
		versionLine, titlePorts, next.name(LogPIDs), columnLine))
	if err != nil {
		err = fmt.Errorf("classic logs: end a set: %w", err)
	}
	return errors.Join(err, w.retain(now))
}

// unwritten counts the entries that were pending in a set that is given up.
// Where its head is pending too, that is all of them.
func (w *Writer) unwritten() uint64 {
	return min(w.number, uint64(bytes.Count(w.set.ports.pending, []byte("\n"))))
}

// head appends what PR-INITIAL and PR-PIDS begin with.
func (w *Writer) head(b []byte, title string, now time.Time) []byte {
	b = fmt.Appendf(b, "%s\n\n%s\n\n%s%s\n\n\n%s\n\n ", versionLine, title, lineDate, now.Format(ctime), lineComputer)
	b = appendText(b, w.cfg.Host, false)
	b = appendText(append(b, "\n\n"+lineOS...), w.cfg.OS, false)
	return append(b, "\n"+lineZone+now.Format("MST (UTC-07:00)")+"\n"...)
}

// initial is the text of PR-INITIAL.
func (w *Writer) initial(now time.Time, sockets []activity.Socket, table bool) []byte {
	b := append(w.head(nil, titleInitial, now), '\n')
	if !table {
		s := &set{suffix: w.tableSet}
		if w.tableSet == "" {
			return b
		}
		return append(b, lineContinue+s.name(LogInitial)+"\n"...)
	}
	sockets = slices.Clone(sockets)
	b = AppendMappings(b, lineMappings, sockets)
	for len(sockets) > 0 {
		n := 1
		for n < len(sockets) && sockets[n].Owner.PID == sockets[0].Owner.PID {
			n++
		}
		b = w.initialProcess(b, sockets[:n])
		sockets = sockets[n:]
	}
	return b
}

// initialProcess appends the details of the process that owns socks. Sockets
// whose owner is not known have nothing to be said of.
func (w *Writer) initialProcess(b []byte, socks []activity.Socket) []byte {
	owner, p := socks[0].Owner, socks[0].Process
	if owner.IsZero() {
		return b
	}
	b = appendProcess(append(b, rule+"\n\n"...), owner.PID, true, p)
	b = appendTable(b, owner.PID, socks)
	var modules *activity.ModuleSet
	if p != nil && p.Modules != 0 && w.cfg.ModuleSet != nil {
		modules = w.cfg.ModuleSet(p.Modules)
	}
	return append(appendModules(b, p, modules), '\n')
}

// Event writes the entry of a new TCP listener, TCP connection or UDP socket;
// other events are none of the classic logs'. table returns the sockets of one
// process, modules resolves a set; both are called only where their answer is
// written, and may be nil. The entry reaches the files by Flush, or by itself
// when enough have gathered. While files cannot be written Event tries, and
// says so with the number of entries lost, once a second.
func (w *Writer) Event(e *activity.Event, table func(pid uint32) []activity.Socket, modules func(activity.ModuleSetID) *activity.ModuleSet) error {
	if !w.Wants(e) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := errors.Join(w.rotate(), w.makeRoom())
	if w.set == nil || w.set.pendingBytes() >= maxPending {
		w.lost++
		w.lostNow++
		if err != nil {
			err = fmt.Errorf("%w; %d entries lost", err, w.lost)
		}
		return err
	}
	w.number++
	// A table or a module list may go beyond maxPending; both are bounded, and
	// the next entry waits.
	w.set.pids.add(w.section(e, table, modules))
	w.set.ports.add(w.record(e))
	w.lostNow = 0
	return err
}

// makeRoom writes once enough is pending, and on a full disk once a second.
func (w *Writer) makeRoom() error {
	if w.set == nil || w.set.pendingBytes() < flushBytes || w.waits(w.full) {
		return nil
	}
	err := w.flush()
	if err != nil {
		w.full = w.now().Add(retryAfter)
	}
	return err
}

// waits reports whether until is still to come. One that lies further ahead
// than it was ever put is of a clock that was set back.
func (w *Writer) waits(until time.Time) bool {
	now := w.now()
	return now.Before(until) && !now.Add(retryAfter).Before(until)
}

// Wants reports whether Event has an entry for e, so that others need not be
// queued for it. It may be called from any goroutine, and waits for none.
func (w *Writer) Wants(e *activity.Event) bool {
	switch e.Kind {
	case activity.KindListen:
		return true
	case activity.KindBind: // every DNS client has a port that the kernel chose
		return w.cfg.Ports == "all" || e.Flags&activity.FlagAutoBind == 0
	case activity.KindAccept, activity.KindConnect:
		return e.Proto == activity.TCP && w.cfg.Ports == "all"
	}
	return false
}

// rotate begins a new set where it is time for one. While that fails the old
// set goes on.
func (w *Writer) rotate() error {
	now := w.now()
	large := w.set != nil && w.cfg.MaxBytes > 0 && w.set.ports.size+w.set.pids.size > w.cfg.MaxBytes
	if w.set != nil && !large && now.Before(w.midnight) || w.waits(w.retry) {
		return nil
	}
	// Busy sets follow each other quickly; they share one table of sockets.
	fresh := large && now.Before(w.midnight) && w.tableSet != "" && now.Before(w.tableTime.Add(snapshotLife))
	var sockets []activity.Socket
	table := !fresh && w.cfg.Snapshot != nil
	if table {
		sockets = w.cfg.Snapshot()
	}
	before := w.set
	err := w.begin(now, sockets, table)
	if w.set == before {
		w.retry = now.Add(retryAfter)
	}
	return err
}

// Flush begins a new set if it is due, and hands all that is pending to the
// operating system. It is to be called every second or so, and does nothing
// before Start.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.started {
		return nil
	}
	return errors.Join(w.rotate(), w.flush())
}

func (w *Writer) flush() error {
	if w.set == nil {
		return nil
	}
	if err := w.set.flush(); err != nil {
		return fmt.Errorf("classic logs: %w", err)
	}
	return nil
}

// Close writes what is pending and closes the files. Nothing is to be called
// after it but Lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = false
	if w.set == nil {
		return nil
	}
	err := w.set.close()
	w.lost += w.unwritten()
	w.set = nil
	if err != nil {
		return fmt.Errorf("classic logs: close: %w", err)
	}
	return nil
}
