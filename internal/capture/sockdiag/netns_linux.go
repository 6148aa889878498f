package sockdiag

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxSpaces bounds the network namespaces that are kept open: three
// descriptors each.
const maxSpaces = 1024

// space is one network namespace: how its sockets are listed.
type space struct {
	inode   uint32
	pid     uint32   // a process that lives there; 0 the caller's own namespace
	conn    *conn    // nil: its tables are read from /proc
	watches []*watch // empty: no destroy notifications
	why     error    // why conn is nil
	used    bool     // a process lives there, found in this pass
}

func (s *space) close() {
	if s.conn != nil {
		s.conn.close()
	}
	for _, w := range s.watches {
		w.close()
	}
}

// spaces are the network namespaces in sight.
type spaces struct {
	walk                *walker
	cfg                 Config
	own                 *space
	other               []*space // by inode
	pids, before, spare []uint32 // of the last pass and the one before it, ascending; scratch
	fresh               bool     // the last pass met new processes
	last                uint32   // the newest process's id at the last glance
	fair                uint64   // CLOCK_BOOTTIME ns before which a glance would cost too much
	buf                 []byte   // for netlink answers
	heard               []byte   // for notifications, which are handled while it is asked
	full                uint64   // CLOCK_BOOTTIME ns of the last look at every process
	over                int      // namespaces beyond maxSpaces

	noEnter bool // tests: as without CAP_SYS_ADMIN
}

// openSpaces begins with the namespace of the calling thread.
func openSpaces(c Config, w *walker) (*spaces, error) {
	s := &spaces{walk: w, cfg: c, buf: make([]byte, dumpBuffer), heard: make([]byte, dumpBuffer)}
	link, err := os.Readlink(filepath.Join(c.Root, "proc/thread-self/ns/net"))
	if err != nil {
		return nil, fmt.Errorf("own network namespace: %w", err)
	}
	inode, _ := parseLink([]byte(link), "net:[")
	s.own = &space{inode: uint32(inode)}
	s.connect(s.own)
	if s.own.conn == nil {
		// A sandbox without netlink may still have the old tables.
		if _, err := s.own.read(s, nil); err != nil {
			return nil, fmt.Errorf("%w: %w; %w", ErrUnsupported, s.own.why, err)
		}
	}
	return s, nil
}

func (s *spaces) close() {
	for sp := range s.all() {
		sp.close()
	}
}

// all iterates over the namespaces, the caller's own first.
func (s *spaces) all() func(yield func(*space) bool) {
	return func(yield func(*space) bool) {
		if !yield(s.own) {
			return
		}
		for _, sp := range s.other {
			if !yield(sp) {
				return
			}
		}
	}
}

// find returns a namespace by its inode; nil none.
func (s *spaces) find(inode uint32) *space {
	if inode == s.own.inode {
		return s.own
	}
	if i, ok := s.search(inode); ok {
		return s.other[i]
	}
	return nil
}

func (s *spaces) search(inode uint32) (int, bool) {
	return slices.BinarySearchFunc(s.other, inode, func(sp *space, n uint32) int { return cmp.Compare(sp.inode, n) })
}

// connect makes the sockets of a namespace, on a thread that is in it.
func (s *spaces) connect(sp *space) {
	c, err := dial(s.buf)
	if err == nil {
		err = c.dump(familyV4, unix.IPPROTO_TCP, func(*row) {})
		if err != nil {
			c.close()
		}
	}
	if err != nil {
		sp.why = err
		return
	}
	sp.conn = c
	if s.cfg.NoNotifications {
		return
	}
	for _, p := range [...]activity.Proto{activity.TCP, activity.UDP} {
		w, err := subscribe(p)
		if err != nil {
			sp.why = err
			return
		}
		w.ns = sp.inode
		sp.watches = append(sp.watches, w)
	}
}

// enter runs fn on a thread that is in the network namespace of a process, and
// waits for it. A thread that can't return to where it was ends here.
func (s *spaces) enter(pid, inode uint32, fn func()) error {
	target, err := os.Open(filepath.Join(s.cfg.Root, "proc", strconv.Itoa(int(pid)), "ns/net"))
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer target.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(target.Fd()), &st); err != nil || uint32(st.Ino) != inode {
		return fmt.Errorf("enter network namespace %d: process %d left it", inode, pid)
	}
	done := make(chan error, 1)
	go func() {
		// Locked and never unlocked, the thread ends with its goroutine
		// (runtime.LockOSThread): that is what is wanted when it can't return.
		runtime.LockOSThread()
		done <- func() error {
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return fmt.Errorf("own network namespace: %w", err)
			}
			defer home.Close()
			if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
				runtime.UnlockOSThread()
				return fmt.Errorf("enter network namespace: %w", err)
			}
			fn()
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			return nil
		}()
	}()
	return <-done
}

// refresh finds new namespaces, and reports whether there are any. It lets go of
// those in which no process lives, for an open socket would keep them alive.
// Between two full passes, every MaxInterval, it looks at new processes only, and
// twice at each: it may have been about to change its namespace.
func (s *spaces) refresh(at stamp) (found bool, err error) {
	if s.cfg.OwnNamespaceOnly {
		return false, nil
	}
	pids, err := s.walk.pids(s.spare[:0])
	if err != nil {
		return false, err
	}
	known := len(s.other)
	full := at.boot-s.full >= uint64(s.cfg.MaxInterval)
	if full {
		s.full = at.boot
		s.over = 0
		for _, sp := range s.other {
			sp.used = false
		}
	}
	s.fresh = false
	for _, pid := range pids {
		_, once := slices.BinarySearch(s.pids, pid)
		_, twice := slices.BinarySearch(s.before, pid)
		if full || !once || !twice {
			s.sight(pid)
		}
		s.fresh = s.fresh || !once
	}
	s.pids, s.before, s.spare = pids, s.pids, s.before
	found = len(s.other) > known
	if full {
		s.other = slices.DeleteFunc(s.other, func(sp *space) bool {
			if !sp.used {
				sp.close()
			}
			return !sp.used
		})
	}
	return found, nil
}

// glance is refresh for the time between two scans: it does nothing unless a
// process has been started, or less time than is fair has passed.
func (s *spaces) glance(at stamp) (found bool, err error) {
	last := s.walk.lastPID()
	if s.cfg.OwnNamespaceOnly || last == s.last && !s.fresh || at.boot < s.fair {
		return false, nil
	}
	s.last = last
	before := threadTime()
	found, err = s.refresh(at)
	s.fair = at.boot + uint64((threadTime()-before)*busyShare)
	return found, err
}

// sight notes that a process lives in its network namespace.
func (s *spaces) sight(pid uint32) {
	inode := s.walk.namespace(pid)
	if inode == 0 || inode == s.own.inode {
		return
	}
	i, ok := s.search(inode)
	if ok {
		s.other[i].used = true
		s.other[i].pid = pid
		return
	}
	if len(s.other) >= maxSpaces {
		s.over++
		return
	}
	sp := &space{inode: inode, pid: pid, used: true}
	if s.noEnter {
		sp.why = unix.EPERM
	} else if err := s.enter(pid, inode, func() { s.connect(sp) }); err != nil {
		sp.why = err
	}
	s.other = slices.Insert(s.other, i, sp)
}

// read appends the namespace's sockets to dst.
func (sp *space) read(s *spaces, dst []row) ([]row, error) {
	if sp.conn != nil {
		return sp.conn.tables(dst, sp.inode)
	}
	who := "thread-self"
	if sp.pid != 0 {
		who = strconv.Itoa(int(sp.pid))
	}
	dir := filepath.Join(s.cfg.Root, "proc", who, "net")
	for _, t := range [...]struct {
		name  string
		proto activity.Proto
	}{{"tcp", activity.TCP}, {"tcp6", activity.TCP}, {"udp", activity.UDP}, {"udp6", activity.UDP}} {
		b, err := readBounded(filepath.Join(dir, t.name), maxTable)
		if errors.Is(err, os.ErrNotExist) && t.name[len(t.name)-1] == '6' {
			continue // no IPv6 here
		}
		if err != nil {
			return dst, fmt.Errorf("socket table: %w", err)
		}
		err = parseTable(b, t.proto, func(r *row) {
			r.ns = sp.inode
			dst = append(dst, *r)
		})
		if err != nil {
			return dst, fmt.Errorf("socket table %s: %w", t.name, err)
		}
	}
	return dst, nil
}

// readBounded reads a file up to its last whole line within limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, err
	}
	return b[:bytes.LastIndexByte(b, '\n')+1], nil
}
