package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// Handle is one process held fast: whatever happens to its pid, it answers for
// that process or with ErrGone. It is used by one goroutine at a time and must
// be closed.
type Handle struct {
	fs   FS
	key  activity.ProcessKey
	dir  int // O_PATH of /proc/PID
	root int // O_PATH of /proc/PID/root, -1 not opened
	buf  [4096]byte
}

// Open holds a process fast. Key.Start 0 takes whichever process has the pid
// now; any other start must be the process's own (SameStart), else ErrGone.
func (f FS) Open(key activity.ProcessKey) (*Handle, error) {
	dir, err := unix.Open(filepath.Join(f.root(), utoa(key.PID)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, pidError("open process", key.PID, err)
	}
	h := &Handle{fs: f, key: key, dir: dir, root: -1}
	st, err := h.stat()
	if err == nil && key.Start != 0 && !SameStart(key.Start, st.start) {
		err = fmt.Errorf("open process %d: started at another time: %w", key.PID, ErrGone)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	h.key.Start = st.start
	return h, nil
}

// Close lets the process go.
func (h *Handle) Close() error {
	if h.root >= 0 {
		unix.Close(h.root)
	}
	return unix.Close(h.dir)
}

// Key returns the process's pid and its start rounded down to the tick.
func (h *Handle) Key() activity.ProcessKey { return h.key }

// Process returns everything that procfs has of the process; see FS.Read. It
// reads again, a few times, when the process executed another program
// meanwhile, so that the answer is of one program.
func (h *Handle) Process() (*activity.Process, error) {
	clock, err := readClock()
	if err != nil {
		return nil, err
	}
	for range 4 {
		before, err := h.stat()
		if err != nil {
			return nil, err
		}
		p, err := h.facts(before)
		if err != nil {
			return nil, err
		}
		after, err := h.stat()
		if err != nil {
			return nil, err
		}
		if after.start != before.start || after.start != h.key.Start {
			return nil, fmt.Errorf("read process %d: its pid was reused: %w", h.key.PID, ErrGone)
		}
		if after.image == before.image {
			p.Start = clock.Wall(before.start)
			return p, nil
		}
	}
	return nil, fmt.Errorf("read process %d: it keeps executing other programs: %w", h.key.PID, ErrGone)
}

// facts reads each file once. Only status must be readable: the others are
// refused without privilege, and stay unknown.
func (h *Handle) facts(st stat) (*activity.Process, error) {
	b, _, err := h.read("status", maxSmall)
	if err != nil {
		return nil, pidError("read status of process", h.key.PID, err)
	}
	ids := parseStatus(b)
	if ids.tgid != 0 && ids.tgid != h.key.PID {
		return nil, fmt.Errorf("read process %d: it is a thread of %d: %w", h.key.PID, ids.tgid, ErrGone)
	}
	p := &activity.Process{
		Key: h.key, Name: st.comm, Kernel: st.kernel,
		UID: ids.uid, EUID: ids.euid, GID: ids.gid, LoginUID: activity.NoID,
		Ancestors: h.fs.ancestors(st),
	}
	if b, _, err := h.read("loginuid", maxSmall); err == nil {
		p.LoginUID = parseID(b)
	}
	if b, more, err := h.read("cmdline", maxArgs); err == nil {
		p.Args, p.ArgsTruncated = parseArgs(b, more)
	}
	h.exeFacts(p)
	p.Cwd, _ = h.readlink("cwd")
	if link, err := h.readlink("ns/net"); err == nil {
		p.NetNS = parseNS(link, "net")
	}
	if b, _, err := h.read("cgroup", maxSmall); err == nil {
		c := parseCgroup(b)
		p.Cgroup, p.CgroupID = c.best, h.fs.cgroupID(c.v2)
	}
	return p, nil
}

func (h *Handle) exeFacts(p *activity.Process) {
	link, err := h.readlink("exe")
	if err != nil {
		return
	}
	var id FileID
	var st unix.Stat_t
	if unix.Fstatat(h.dir, "exe", &st, 0) == nil {
		id = fileID(&st)
	}
	p.ExeDev, p.ExeInode = id.Dev, id.Inode
	name, deleted := strings.CutSuffix(link, deletedSuffix)
	switch {
	case !deleted || h.realName(link, id.Inode):
		p.Exe = link
	case strings.HasPrefix(name, memfdPrefix):
		p.Exe, p.MemFD = name, true
	default:
		p.Exe, p.Deleted = name, true
	}
}

// realName reports whether a name that ends as deleted ones do is a file's own.
func (h *Handle) realName(name string, inode uint64) bool {
	id, err := h.Stat(name)
	return err == nil && id.Inode == inode && inode != 0
}

// ancestors returns the parents of a process, nearest first. A parent is older
// than its child, so a parent's pid that was reused meanwhile shows by a later
// start, and the chain ends there.
func (f FS) ancestors(child stat) []activity.ProcessRef {
	var refs []activity.ProcessRef
	var buf [1024]byte
	for len(refs) < maxAncestors && child.ppid != 0 {
		pid := child.ppid
		b, _, err := readAt(unix.AT_FDCWD, filepath.Join(f.root(), utoa(pid), "stat"), buf[:], maxSmall)
		if err != nil {
			break
		}
		st, err := parseStat(b)
		if err != nil || st.start > child.start {
			break
		}
		refs = append(refs, activity.ProcessRef{Key: activity.ProcessKey{PID: pid, Start: st.start}, Name: st.comm})
		child = st
	}
	return refs
}

// cgroupID returns the number of a cgroup of the unified hierarchy, which is
// its directory's inode (as bpf_get_current_cgroup_id gives it), 0 unknown.
func (f FS) cgroupID(path string) uint64 {
	if path == "" || strings.Contains(path, "/..") {
		return 0 // outside this cgroup namespace
	}
	var st unix.Stat_t
	if unix.Stat(f.Cgroup2()+path, &st) != nil {
		return 0
	}
	return st.Ino
}

// Cgroup2 returns where the unified hierarchy is: on hybrid machines systemd
// mounts it at "unified" beneath the others.
func (f FS) Cgroup2() string {
	hybrid := filepath.Join(f.cgroup(), "unified")
	var st unix.Stat_t
	if unix.Stat(hybrid, &st) == nil {
		return hybrid
	}
	return f.cgroup()
}

// CgroupPath returns the path of the process's cgroup that tells most of its
// unit and container.
func (h *Handle) CgroupPath() (string, error) {
	b, _, err := h.read("cgroup", maxSmall)
	if err != nil {
		return "", pidError("read cgroup of process", h.key.PID, err)
	}
	return parseCgroup(b).best, nil
}

// Modules returns the files that the process has mapped executable, by lowest
// address, without build ids and packages.
func (h *Handle) Modules() ([]Mapping, error) {
	fd, err := unix.Openat(h.dir, "maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, pidError("read maps of process", h.key.PID, err)
	}
	file := os.NewFile(uintptr(fd), "maps")
	defer file.Close()
	mods, err := parseMaps(file)
	if err != nil {
		return nil, pidError("read maps of process", h.key.PID, err)
	}
	for i := range mods {
		m := &mods[i]
		if m.Deleted && h.realName(m.Path+deletedSuffix, m.Inode) {
			m.Path, m.Deleted = m.Path+deletedSuffix, false
		}
	}
	if _, err := h.stat(); err != nil {
		return nil, err // maps of a dead process read as empty
	}
	return mods, nil
}

// OpenExe opens the program that the process runs, deleted or not. The caller
// closes it.
func (h *Handle) OpenExe() (*os.File, FileID, error) {
	fd, err := unix.Openat(h.dir, "exe", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, FileID{}, pidError("open program of process", h.key.PID, err)
	}
	file := os.NewFile(uintptr(fd), "exe")
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		file.Close()
		return nil, FileID{}, fmt.Errorf("open program of process %d: %w", h.key.PID, err)
	}
	return file, fileID(&st), nil
}

// Stat returns the identity of the file that the process itself finds at an
// absolute path, in its own root directory and mounts.
func (h *Handle) Stat(path string) (FileID, error) {
	fd, id, err := h.openPath(path)
	if err == nil {
		unix.Close(fd)
	}
	return id, err
}

// OpenFile opens, for reading, the file that the process itself finds at an
// absolute path. Anything but a regular file is refused before it is opened:
// the path belongs to others, and opening a device or a pipe has effects.
func (h *Handle) OpenFile(path string) (*os.File, FileID, error) {
	fd, id, err := h.openPath(path)
	if err != nil {
		return nil, FileID{}, err
	}
	defer unix.Close(fd)
	file, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, FileID{}, fmt.Errorf("open file of process %d: %w", h.key.PID, err)
	}
	return file, id, nil
}

// openPath finds a path within the process's root without opening what is
// there. Symbolic links cannot lead out of that root (openat2(2), Linux 5.6);
// older kernels follow none at the end.
func (h *Handle) openPath(path string) (int, FileID, error) {
	if h.root < 0 {
		root, err := unix.Openat(h.dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, FileID{}, pidError("open root of process", h.key.PID, err)
		}
		h.root = root
	}
	rel := strings.TrimLeft(path, "/")
	if rel == "" {
		rel = "."
	}
	fd, err := unix.Openat2(h.root, rel, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(h.root, rel, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return -1, FileID{}, fmt.Errorf("find file of process %d: %w", h.key.PID, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = errors.New("not a regular file")
	}
	if err != nil {
		unix.Close(fd)
		return -1, FileID{}, fmt.Errorf("find file of process %d: %w", h.key.PID, err)
	}
	return fd, fileID(&st), nil
}

func fileID(st *unix.Stat_t) FileID {
	return FileID{Dev: st.Dev, Inode: st.Ino, Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano()}
}

func (h *Handle) stat() (stat, error) {
	b, _, err := h.read("stat", maxSmall)
	if err != nil {
		return stat{}, pidError("read process", h.key.PID, err)
	}
	st, err := parseStat(b)
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", h.key.PID, err)
	}
	return st, nil
}

// read returns a file of the process, and whether it has more than limit
// bytes. The bytes are valid until the next read.
func (h *Handle) read(name string, limit int) ([]byte, bool, error) {
	return readAt(h.dir, name, h.buf[:], limit)
}

func (h *Handle) readlink(name string) (string, error) {
	n, err := unix.Readlinkat(h.dir, name, h.buf[:])
	if err != nil {
		return "", err
	}
	return string(h.buf[:n]), nil
}

// readAt reads a file into buf, or into a larger one when that is too small.
func readAt(dir int, name string, buf []byte, limit int) (b []byte, more bool, err error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(buf) {
			if n > limit {
				return buf[:limit], true, nil
			}
			buf = slices.Grow(buf[:n:n], n)[:2*n]
		}
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if m == 0 {
			return buf[:min(n, limit)], n > limit, nil
		}
		n += m
	}
}

// pids lists the processes.
func (f FS) pids() ([]uint32, error) {
	dir, err := os.Open(f.root())
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	var pids []uint32
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if pid, err := strconv.ParseUint(name, 10, 32); err == nil && pid != 0 {
				pids = append(pids, uint32(pid))
			}
		}
		if err == io.EOF {
			return pids, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
	}
}

func (f FS) bootID() (string, error) {
	b, err := os.ReadFile(filepath.Join(f.root(), "sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if len(id) != 36 {
		return "", fmt.Errorf("read boot id: %q is not a UUID", clip(b))
	}
	return id, nil
}

// pidError names the process; a missing one is ErrGone.
func pidError(what string, pid uint32, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s %d: %w", what, pid, ErrGone)
	}
	return fmt.Errorf("%s %d: %w", what, pid, err)
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
