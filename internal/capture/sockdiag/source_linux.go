package sockdiag

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

const (
	// maxQueued is where notifications are left with the kernel until some of
	// the queue has been read; it counts what it must drop meanwhile.
	maxQueued = 1 << 15

	// drainBatch is how many notifications are taken from one subscription in
	// a row.
	drainBatch = 1024

	// fullEvery is how often, in scans with new sockets, every process is
	// looked into although the known ones explain all of them.
	fullEvery = time.Second
)

// Source is the polling tier as a source of observations. One goroutine uses
// it; only SetDeadline and Close may be called from another.
type Source struct {
	cfg      Config
	caps     capabilities
	uid      uint32
	deadline atomic.Int64 // UTC ns; 0 none
	closed   atomic.Bool
	wake     int // eventfd that interrupts the wait

	mu     sync.Mutex // held by whoever uses what follows, so that Close waits
	walk   *walker
	spaces *spaces
	people *people
	table  *table
	queue  queue
	rows   []row // of the last scan; kept for its memory
	lost   [activity.NumKinds]uint64

	fds      []unix.PollFd
	heard    []*watch      // those of fds[1:]
	pause    time.Duration // before the next scan
	cost     time.Duration // processor time of the last scan
	next     uint64        // CLOCK_BOOTTIME ns at which it is due; 0 at once
	lastFull uint64        // CLOCK_BOOTTIME ns of the last look into every process
	failed   map[uint32]error
}

// Open makes a Source. Its first scan, at the first call of Sockets or Read, is
// the base line: what is open then is in Sockets and is not reported by Read.
func Open(c Config) (*Source, error) {
	s := &Source{cfg: c.withDefaults(), caps: effective(), uid: uint32(os.Geteuid()), wake: -1}
	s.pause = s.cfg.MinInterval
	s.table = newTable(&s.queue)
	s.table.stubOf, s.table.watched = s.stubOf, s.watched
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("open sock_diag source: %w", err)
	}
	if s.walk, err = newWalker(s.cfg.Root); err != nil {
		s.release()
		return nil, fmt.Errorf("open sock_diag source: %w", err)
	}
	s.people = newPeople(s.walk)
	s.table.meet, s.table.process = s.people.meet, s.people.get
	if s.spaces, err = openSpaces(s.cfg, s.walk); err != nil {
		s.release()
		return nil, fmt.Errorf("open sock_diag source: %w", err)
	}
	return s, nil
}

// Read overwrites o with the next observation. It waits until one comes, or
// the deadline passes (os.ErrDeadlineExceeded), or Close (os.ErrClosed). Any
// other error is that of one scan or notification: the next Read goes on.
func (s *Source) Read(o *activity.Observation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed.Load() {
			return os.ErrClosed
		}
		if s.queue.pop(o) {
			return nil
		}
		s.table.forget()
		at := now()
		if at.boot >= s.next {
			if err := s.scan(false); err != nil {
				return err
			}
			continue
		}
		limit := time.Duration(s.next - at.boot)
		if d := s.deadline.Load(); d != 0 {
			if d <= at.utc {
				return os.ErrDeadlineExceeded
			}
			limit = min(limit, time.Duration(d-at.utc))
		}
		if !s.cfg.OwnNamespaceOnly {
			limit = min(limit, s.cfg.MinInterval)
		}
		if err := s.wait(limit); err != nil {
			return err
		}
		found, err := s.spaces.glance(now())
		if err != nil {
			return err
		}
		if found {
			s.next = 0
		}
	}
}

// SetDeadline makes Read return at t at the latest; the zero time is never. A
// Read that waits takes notice.
func (s *Source) SetDeadline(t time.Time) {
	d := int64(0)
	if !t.IsZero() {
		d = t.UnixNano()
	}
	s.deadline.Store(d)
	s.interrupt()
}

// Sockets yields every TCP and UDP socket open now in the namespaces in sight,
// holders included; asOf is the CLOCK_BOOTTIME instant, in ns, at which the scan
// began. The Socket is the callee's but for its Holders. What Read has still to
// report is left out: a socket whose beginning is in the queue is not yielded
// yet, one whose end is in the queue still is. SYN-SENT sockets are yielded by
// the first call only, TIME-WAIT stubs never.
func (s *Source) Sockets(yield func(*activity.Socket) bool) (asOf uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return 0, os.ErrClosed
	}
	if err := s.scan(true); err != nil {
		return 0, err
	}
	s.table.sockets(yield)
	return s.table.at.boot, nil
}

// Lost returns how many destroy notifications the kernel has dropped since
// Open, as closes (TCP) and unbinds (UDP). The ends themselves are reported
// nevertheless for sockets that a scan had seen, as inferred; what lived and
// died between two scans is lost.
func (s *Source) Lost() ([activity.NumKinds]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost, nil
}

// Close gives back everything; a Read that waits returns os.ErrClosed.
func (s *Source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.interrupt()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	return nil
}

func (s *Source) release() {
	if s.spaces != nil {
		s.spaces.close()
	}
	if s.walk != nil {
		s.walk.close()
	}
	unix.Close(s.wake)
}

func (s *Source) interrupt() {
	// The counter can't overflow: each write adds one and a wait empties it.
	_, _ = unix.Write(s.wake, []byte{0, 0, 0, 0, 0, 0, 0, 1})
}

// wait sleeps until a notification comes, an interrupt, or limit passes.
func (s *Source) wait(limit time.Duration) error {
	s.fds = append(s.fds[:0], unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN})
	s.heard = s.heard[:0]
	for sp := range s.spaces.all() {
		for _, w := range sp.watches {
			s.fds = append(s.fds, unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN})
			s.heard = append(s.heard, w)
		}
	}
	ts := unix.NsecToTimespec(int64(limit))
	if _, err := unix.Ppoll(s.fds, &ts, nil); err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for destroy notifications: %w", err)
	}
	if s.fds[0].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(s.wake, b[:])
	}
	for i, w := range s.heard {
		if s.fds[i+1].Revents != 0 {
			if err := s.drain(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain takes in the notifications that wait in one subscription, as far as
// the queue has room. They bring the next scan forward.
func (s *Source) drain(w *watch) error {
	for more := true; more && s.queue.len() < maxQueued; {
		at := now()
		var lost uint64
		var err error
		lost, more, err = w.drain(s.spaces.heard, drainBatch, func(r *row) { s.table.dead(r, at) })
		if lost > 0 {
			kind := activity.KindClose
			if w.proto == activity.UDP {
				kind = activity.KindUnbind
			}
			s.lost[kind] += lost
			s.table.changed = true
		}
		if err != nil {
			return err
		}
	}
	if s.table.changed {
		// Where one has ended, more may begin; and after a loss the table is
		// put right.
		s.next = min(s.next, s.table.at.boot+uint64(nextInterval(s.cfg, s.pause, s.cost, true)))
	}
	return nil
}

// scan compares the sockets of all namespaces with those of the scan before, and
// sets when the next is due by the processor time that this one took.
func (s *Source) scan(full bool) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	err := s.compare(now(), full)
	s.cost = threadTime() - before
	s.pause = nextInterval(s.cfg, s.pause, s.cost, s.table.changed)
	s.table.changed = false
	s.next = now().boot + uint64(s.pause)
	return err
}

func (s *Source) compare(at stamp, full bool) error {
	if _, err := s.spaces.refresh(at); err != nil {
		return err
	}
	for sp := range s.spaces.all() {
		for _, w := range sp.watches {
			if err := s.drain(w); err != nil {
				return err
			}
		}
	}
	s.table.begin(at)
	if err := s.readAll(); err != nil {
		return err
	}
	for i := range s.rows {
		s.table.see(&s.rows[i])
	}
	s.table.miss(func(ns uint32) bool { _, bad := s.failed[ns]; return bad })
	s.people.departed(func(k activity.ProcessKey) { s.table.depart(k, at) })
	full = full || s.table.baseline()
	want := s.table.want(full, s.mayLook)
	if err := s.findHolders(want, full); err != nil {
		return err
	}
	s.table.settle(want)
	return nil
}

// readAll reads the tables of all namespaces. A namespace that ends meanwhile,
// or can't be read, does not keep the others from being read.
func (s *Source) readAll() (err error) {
	s.rows, s.failed = s.rows[:0], nil
	for sp := range s.spaces.all() {
		s.rows, err = sp.read(s.spaces, s.rows)
		if err == nil {
			continue
		}
		if sp == s.spaces.own {
			return err
		}
		if s.failed == nil {
			s.failed = map[uint32]error{}
		}
		s.failed[sp.inode] = err
	}
	return nil
}

// findHolders looks for who has the wanted sockets open: first in processes
// that had some before, then in all.
func (s *Source) findHolders(want holding, full bool) error {
	if len(want) == 0 {
		return nil
	}
	at := now().boot
	if !full && at-s.lastFull < uint64(fullEvery) {
		if s.walk.holders(s.people.pids(), want, true) == len(want) {
			return nil
		}
		for k := range want {
			want[k] = nil
		}
	}
	s.lastFull = at
	pids, err := s.walk.pids(nil)
	if err != nil {
		return err
	}
	s.walk.holders(pids, want, false)
	return nil
}

// mayLook reports whether a user's descriptors can be seen.
func (s *Source) mayLook(uid uint32) bool {
	return s.caps.ptrace && s.caps.readSearch || uid == s.uid
}

func (s *Source) watched(ns uint32) bool {
	sp := s.spaces.find(ns)
	return sp != nil && len(sp.watches) == 2
}

// stubOf asks the kernel whether a connection has left a TIME-WAIT stub.
func (s *Source) stubOf(r *row) (found, known bool) {
	sp := s.spaces.find(r.ns)
	if sp == nil || sp.conn == nil {
		return false, false
	}
	got, ok, err := sp.conn.lookup(r)
	return ok && got.mini, err == nil
}
