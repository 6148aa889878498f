package journal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Config says where and how a journal is written. Zero fields take the defaults
// given here.
type Config struct {
	Dir      string
	HostName string // written into each live log; the host's own identity is a random number in the directory
	BootID   string // differs at each boot of the machine

	SegmentRows int           // events in a live log and so in a new segment; 65,536
	SegmentAge  time.Duration // after which a live log with any event is sealed anyway; 1 h
	MergeRows   int           // events in a merged segment; 262,144
	MaxAge      time.Duration // segments whose newest event is older are removed by Retain; 0 keeps
	MaxBytes    int64         // of the whole directory, over which Retain removes the oldest segments; 0 keeps

	Now func() time.Time // time.Now
}

const (
	defaultSegmentRows = 1 << 16
	defaultMergeRows   = 1 << 18
	flushBytes         = 64 << 10 // buffered frames that Append hands to the kernel by itself
	bufferBytes        = 1 << 20  // frames kept while writing fails
	maxKnown           = 1 << 14  // processes remembered as written; then they are written again
	maxSets            = 1 << 12  // module sets remembered for the next live log
)

func (c *Config) setDefaults() error {
	if c.Dir == "" {
		return errors.New("open journal: no directory given")
	}
	if c.SegmentRows <= 0 {
		c.SegmentRows = defaultSegmentRows
	}
	if c.SegmentAge <= 0 {
		c.SegmentAge = time.Hour
	}
	if c.MergeRows <= 0 {
		c.MergeRows = defaultMergeRows
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// Writer appends to a journal. Append, Process, Modules, Flush, Close and Finish
// belong to one goroutine; Sync, Seal, Merge and Retain may be called from
// others; Sealable, Dropped and Err from any.
type Writer struct {
	cfg   Config
	lock  *os.File
	chain *chain
	head  header // of the next live log
	last  pos    // position of the newest event
	crc   *crc32.Table

	files   sync.Mutex // guards f, named and unsaved against Sync; held for moments
	f       *os.File   // the live log; nil until there is something to write
	size    int64      // bytes of f that are in the kernel's hands, perhaps ending inside a frame
	buf     []byte     // what follows them
	rows    int        // events in f and buf
	named   bool       // the name of f is on the disk
	started time.Time
	unsaved []*os.File // rotated live logs that are not yet on the disk

	known map[activity.ProcessID]uint32                // revisions that f and buf hold
	inLog map[activity.ModuleSetID]bool                // module sets that f and buf hold
	sets  map[activity.ModuleSetID]*activity.ModuleSet // to write again in the next live log

	loss    loss
	err     atomic.Pointer[error]
	dropped [activity.NumKinds]atomic.Uint64

	mu      sync.Mutex
	rotated []string // guarded by mu: names of live logs to seal, oldest first

	sealing sync.Mutex    // one of Seal, Merge, Retain at a time; guards sealer
	sealer  *sealer       // of the latest segment, if the next is to follow soon
	syncing sync.Mutex    // one Sync at a time; guards synced
	written atomic.Uint64 // bytes given to the kernel in all
	synced  uint64        // of them on the disk
}

// Open takes the journal in cfg.Dir for writing, creating it if need be, and
// makes good what a crash left: torn tails are cut, unfinished files removed,
// and left-over live logs are Sealable. It returns *LockedError when another
// recorder has it.
func Open(cfg Config) (*Writer, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	l, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{cfg: cfg, lock: l, crc: castagnoli(), buf: make([]byte, 0, 2*flushBytes)}
	w.forget()
	w.sets = make(map[activity.ModuleSetID]*activity.ModuleSet)
	if err := w.recover(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return w, nil
}

// Epoch returns the number of this run of the recorder, from 1.
func (w *Writer) Epoch() uint64 { return w.last.epoch }

// HostID returns the random number that names this journal's host.
func (w *Writer) HostID() [16]byte { return w.head.host }

// Append takes an event into the record and sets its Seq. It doesn't fail: while
// the disk does, events are buffered, and beyond that counted as lost (see
// Dropped), with 0 for their Seq. The event and its processes are not kept.
func (w *Writer) Append(e *activity.Event) {
	if w.loss.active || len(w.buf) >= bufferBytes {
		w.drop(e)
		return
	}
	w.last.seq++
	e.Seq = w.last.seq
	w.intern(e.Process)
	w.intern(e.Holder)
	for _, p := range e.Holders {
		w.intern(p)
	}
	w.frame(e)
	w.relieve()
}

// relieve flushes a full buffer, or live log, unless the disk is known to fail:
// then only the recorder's own Flush tries again.
func (w *Writer) relieve() {
	if (len(w.buf) >= flushBytes || w.rows >= w.cfg.SegmentRows) && w.err.Load() == nil {
		_ = w.Flush() // Err keeps it
	}
}

func (w *Writer) frame(e *activity.Event) {
	if w.rows == 0 {
		w.head.first = w.last
	}
	start := len(w.buf)
	w.buf = activity.AppendEvent(beginFrame(w.buf, frameEvent), e)
	endFrame(w.buf, start, w.crc)
	w.rows++
}

// intern writes a process, and its modules, before the first event of this live
// log that names it.
func (w *Writer) intern(p *activity.Process) {
	if p == nil || p.ID == 0 {
		return
	}
	if rev, ok := w.known[p.ID]; ok && rev >= p.Rev {
		return
	}
	if len(w.known) >= maxKnown {
		clear(w.known)
	}
	w.known[p.ID] = p.Rev
	if s := w.sets[p.Modules]; s != nil {
		w.writeSet(s)
	}
	start := len(w.buf)
	w.buf = activity.AppendProcess(beginFrame(w.buf, frameProcess), p)
	w.endRecord(start)
}

// Modules takes a module set into the record, before or after the processes
// that have it. The set is kept, to be written into later live logs too.
func (w *Writer) Modules(s *activity.ModuleSet) {
	if s == nil || s.ID == 0 {
		return
	}
	if w.sets[s.ID] == nil {
		if len(w.sets) >= maxSets {
			clear(w.sets)
		}
		w.sets[s.ID] = s
	}
	if !w.loss.active && len(w.buf) < bufferBytes {
		w.writeSet(s)
		w.relieve()
	}
}

func (w *Writer) writeSet(s *activity.ModuleSet) {
	if w.inLog[s.ID] {
		return
	}
	if len(w.inLog) >= maxSets {
		clear(w.inLog)
	}
	w.inLog[s.ID] = true
	start := len(w.buf)
	w.buf = activity.AppendModuleSet(beginFrame(w.buf, frameModules), s)
	w.endRecord(start)
}

// endRecord ends a frame of a size that others choose: one that no reader would
// take is left out, and the events that refer to it keep the bare number.
func (w *Writer) endRecord(start int) {
	if len(w.buf)-start-frameHead > maxFrame {
		w.buf = w.buf[:start]
		return
	}
	endFrame(w.buf, start, w.crc)
}

// forget begins a live log's interning anew.
func (w *Writer) forget() {
	w.known = make(map[activity.ProcessID]uint32)
	w.inLog = make(map[activity.ModuleSetID]bool)
}

// Flush hands what is buffered to the kernel, so that it survives the end of
// this process, and rotates a live log that is full or old. After a failure it
// is to be called again: nothing is written twice or torn.
func (w *Writer) Flush() error {
	if err := w.flush(); err != nil {
		w.failed(err)
		return err
	}
	return w.recovered()
}

func (w *Writer) flush() error {
	if len(w.buf) > 0 {
		if err := w.begin(); err != nil {
			return err
		}
		if err := w.write(); err != nil {
			return fmt.Errorf("write live log: %w", err)
		}
	}
	if w.rows >= w.cfg.SegmentRows || w.rows > 0 && w.cfg.Now().Sub(w.started) >= w.cfg.SegmentAge {
		return w.rotate()
	}
	return nil
}

// write continues at the exact byte: a frame that a full disk cut in two is
// completed by the next try.
func (w *Writer) write() error {
	n, err := w.f.WriteAt(w.buf, w.size)
	w.size += int64(n)
	w.written.Add(uint64(n))
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	if len(w.buf) == 0 && cap(w.buf) > 4*flushBytes {
		w.buf = make([]byte, 0, 2*flushBytes) // give back what a failing disk made it hold
	}
	return err
}

// begin creates the live log for what is buffered, whose first frames are of
// position head.first.
func (w *Writer) begin() error {
	if w.f != nil {
		return nil
	}
	if w.rows == 0 { // processes alone wait for an event
		w.head.first = w.last.next()
	}
	name := liveName(w.head.first)
	path := filepath.Join(w.cfg.Dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("create live log: %w", err)
	}
	h := appendHeader(nil, &w.head)
	if _, err = f.WriteAt(h, 0); err == nil {
		err = w.chain.append(record{Time: w.cfg.Now().UnixNano(), Op: opOpen, Host: fmt.Sprintf("%x", w.head.host), Live: name}, false)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create live log: %w", err), f.Close(), os.Remove(path))
	}
	w.files.Lock()
	w.f, w.named = f, false
	w.files.Unlock()
	w.size, w.started = int64(len(h)), w.cfg.Now()
	return nil
}

// rotate ends the live log and makes it Sealable. All of it is written.
func (w *Writer) rotate() error {
	w.mu.Lock()
	w.rotated = append(w.rotated, filepath.Base(w.f.Name()))
	w.mu.Unlock()
	w.files.Lock()
	w.unsaved = append(w.unsaved, w.f)
	w.f = nil
	n := len(w.unsaved)
	w.files.Unlock()
	w.size, w.rows = 0, 0
	w.forget()
	if n > maxUnsaved {
		return w.Sync()
	}
	return nil
}

// maxUnsaved bounds the open files where nobody calls Sync.
const maxUnsaved = 32

// Sync puts what Flush has written on the disk. It may run beside Append and
// Flush, on another goroutine: a slow disk then holds nobody up.
func (w *Writer) Sync() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	written := w.written.Load()
	w.files.Lock()
	f, named, unsaved := w.f, w.named, slices.Clone(w.unsaved)
	w.files.Unlock()
	if written == w.synced && len(unsaved) == 0 && (named || f == nil) {
		return nil // an idle machine's disk sleeps on
	}
	err := w.syncFiles(f, unsaved)
	if err == nil && !named {
		if err = syncDir(w.cfg.Dir); err != nil {
			err = fmt.Errorf("sync journal: %w", err)
		}
		w.files.Lock()
		w.named = w.named || err == nil && w.f == f
		w.files.Unlock()
	}
	if err != nil {
		w.err.Store(&err)
	} else {
		w.synced = written
	}
	return err
}

// syncFiles syncs f and the rotated logs before it, and closes those. f may be
// rotated meanwhile, but only Sync closes what was.
func (w *Writer) syncFiles(f *os.File, unsaved []*os.File) error {
	for _, u := range unsaved {
		if err := syncData(u); err != nil {
			return fmt.Errorf("sync live log: %w", err)
		}
		w.files.Lock()
		w.unsaved = w.unsaved[1:]
		w.files.Unlock()
		if err := u.Close(); err != nil {
			return fmt.Errorf("close live log: %w", err)
		}
	}
	if f == nil {
		return nil
	}
	if err := syncData(f); err != nil {
		return fmt.Errorf("sync live log: %w", err)
	}
	return nil
}

// Process takes a process, or a later revision of one, into the record without
// an event that names it.
func (w *Writer) Process(p *activity.Process) {
	if !w.loss.active && len(w.buf) < bufferBytes {
		w.intern(p)
		w.relieve()
	}
}

// Finish ends the record in good order: all of it is written, sealed into
// segments and on the disk. The Writer is closed, also on an error; what could
// not be sealed is by the next Open.
func (w *Writer) Finish(ctx context.Context) error {
	err := w.Flush()
	if err == nil && w.f != nil && w.rows > 0 {
		err = w.rotate()
	}
	for err == nil && w.Sealable() {
		err = w.Seal(ctx)
	}
	return errors.Join(err, w.Close())
}

// Close writes and syncs what is left and gives the journal free. The live log
// stays: the next Open seals it. Events that still could not be written are
// lost, and the error says so.
func (w *Writer) Close() error {
	w.sealing.Lock()
	defer w.sealing.Unlock()
	err := errors.Join(w.Flush(), w.Sync())
	if w.f != nil {
		err = errors.Join(err, w.f.Close())
	}
	for _, f := range w.unsaved {
		err = errors.Join(err, f.Close())
	}
	w.f, w.unsaved = nil, nil
	return errors.Join(err, w.chain.close(), w.lock.Close())
}
