package sockdiag

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// walker reads /proc of one mount. It keeps its buffers from walk to walk.
type walker struct {
	root string // of the file system in which proc is mounted
	proc int    // the open directory
	dir  []byte // getdents64 of /proc
	fds  []byte // getdents64 of /proc/PID/fd
	link [64]byte
	text []byte // any small file
}

func newWalker(root string) (*walker, error) {
	p := filepath.Join(root, "proc")
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return &walker{root: root, proc: fd, dir: make([]byte, 32<<10), fds: make([]byte, 32<<10), text: make([]byte, 64<<10)}, nil
}

func (w *walker) close() error { return unix.Close(w.proc) }

// pids appends every process id to dst, ascending.
func (w *walker) pids(dst []uint32) ([]uint32, error) {
	if _, err := unix.Seek(w.proc, 0, unix.SEEK_SET); err != nil {
		return dst, fmt.Errorf("rewind proc: %w", err)
	}
	start := len(dst)
	for {
		n, err := unix.Getdents(w.proc, w.dir)
		if err != nil {
			return dst, fmt.Errorf("list proc: %w", err)
		}
		if n == 0 {
			slices.Sort(dst[start:])
			return dst, nil
		}
		for b := w.dir[:n]; ; {
			pid, _, rest, ok := nextNumber(b)
			if !ok {
				break
			}
			dst, b = append(dst, pid), rest
		}
	}
}

// lastPID returns the id that was given out last, the end of /proc/loadavg
// (proc_loadavg(5)): when it changes, a process or thread has been started.
func (w *walker) lastPID() uint32 {
	b, err := w.read(w.proc, "loadavg\x00")
	if err != nil {
		return 0
	}
	return parseID(b[bytes.LastIndexByte(b, ' ')+1:])
}

// open opens /proc/PID, which goes on naming this process and fails when
// another has taken its number.
func (w *walker) open(pid uint32) (int, error) {
	var name [12]byte
	return openat(w.proc, appendName(name[:0], pid), unix.O_PATH|unix.O_DIRECTORY)
}

// holders adds every process in pids that has one of the sockets in want open,
// and reports how many of those without a holder have got one. It stops when
// none is left if first is set. A process that is gone or that may not be
// looked into holds nothing here.
func (w *walker) holders(pids []uint32, want holding, first bool) (found int) {
	missing := 0
	for _, h := range want {
		if len(h) == 0 {
			missing++
		}
	}
	for _, pid := range pids {
		if first && found == missing {
			return found
		}
		found += w.holdersIn(pid, want)
	}
	return found
}

func (w *walker) holdersIn(pid uint32, want holding) (found int) {
	dir, err := w.open(pid)
	if err != nil {
		return 0
	}
	defer unix.Close(dir)
	fds, err := openat(dir, []byte("fd\x00"), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return 0
	}
	defer unix.Close(fds)
	var key activity.ProcessKey // read when the first socket turns up
	for {
		n, err := unix.Getdents(fds, w.fds)
		if err != nil || n == 0 {
			return found
		}
		for b := w.fds[:n]; ; {
			_, name, rest, ok := nextNumber(b)
			if !ok {
				break
			}
			b = rest
			inode, ok := parseLink(w.readlink(fds, name), "socket:[")
			if !ok {
				continue
			}
			have, wanted := want[inode]
			if !wanted || len(have) > 0 && have[len(have)-1].PID == pid {
				continue // the same socket at another descriptor
			}
			if key.PID == 0 {
				s, err := w.stat(dir)
				if err != nil {
					return found
				}
				key = activity.ProcessKey{PID: pid, Start: s.start}
			}
			if len(have) == 0 {
				found++
			}
			want[inode] = append(have, key)
		}
	}
}

// namespace returns the inode of the network namespace of a process; 0 unknown.
func (w *walker) namespace(pid uint32) uint32 {
	var name [24]byte
	path := appendName(name[:0], pid)
	path = append(path[:len(path)-1], "/ns/net\x00"...)
	n, _ := parseLink(w.readlink(w.proc, path), "net:[")
	return uint32(n)
}

// key names the process that has this id now.
func (w *walker) key(pid uint32) (activity.ProcessKey, bool) {
	dir, err := w.open(pid)
	if err != nil {
		return activity.ProcessKey{}, false
	}
	defer unix.Close(dir)
	s, err := w.stat(dir)
	return activity.ProcessKey{PID: pid, Start: s.start}, err == nil
}

func (w *walker) stat(dir int) (stat, error) {
	b, err := w.read(dir, "stat\x00")
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// read returns as much of a small file as fits the buffer, which the next read
// overwrites. The name ends with a zero byte.
func (w *walker) read(dir int, name string) ([]byte, error) {
	fd, err := openat(dir, []byte(name), unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for n < len(w.text) {
		k, err := unix.Read(fd, w.text[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if k == 0 {
			break
		}
		n += k
	}
	return w.text[:n], nil
}

// readlink returns the target of a magic link, nil if it can't be read, in a
// buffer that the next call overwrites. The name ends with a zero byte;
// unix.Readlinkat would copy it each time, and a scan reads thousands.
func (w *walker) readlink(dir int, name []byte) []byte {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&w.link[0])), uintptr(len(w.link)), 0, 0)
	if errno != 0 {
		return nil
	}
	return w.link[:n]
}

// appendName appends a pid and the zero byte that ends a C string.
func appendName(b []byte, pid uint32) []byte {
	return append(strconv.AppendUint(b, uint64(pid), 10), 0)
}

func openat(dir int, name []byte, flags int) (int, error) {
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
