package proc

import (
	"context"
	"errors"

	"github.com/portreporter/portreporter/internal/activity"
)

// ErrGone says that the process asked for does not exist (any more), or that
// the pid belongs to another process now.
var ErrGone = errors.New("process is gone")

// ErrUnsupported says that this operating system has no procfs that the
// package can read; errors that wrap it name the system.
var ErrUnsupported = errors.New("process facts are not available on this system")

// Tick is the resolution of start times in procfs: USER_HZ is 100 on every
// architecture that Go supports (include/uapi/asm-generic/param.h).
const Tick = 10_000_000 // ns

// Bounds of what is read of one process.
const (
	maxArgs      = 64 << 10 // bytes of the command line
	maxArgCount  = 4096     // arguments
	maxEmptyArgs = 3        // at the end; more are the rest of a title
	maxAncestors = 8
	maxModules   = 4096
	maxSmall     = 64 << 10 // bytes of any other file
	maxComm      = 15       // TASK_COMM_LEN less its NUL
)

// FS is where the facts are read from. The zero FS is this machine's.
type FS struct {
	Root   string // where procfs is mounted; "" is /proc
	Cgroup string // where the cgroup file systems are mounted; "" is /sys/fs/cgroup
}

func (f FS) root() string {
	if f.Root == "" {
		return "/proc"
	}
	return f.Root
}

func (f FS) cgroup() string {
	if f.Cgroup == "" {
		return "/sys/fs/cgroup"
	}
	return f.Cgroup
}

// Mapping is one file that a process has mapped executable, with the identity
// that finds the same file again.
type Mapping struct {
	activity.Module        // without BuildID and Package
	Dev             uint64 // of the mapped file, as in FileID
	Inode           uint64
}

// FileID tells one content of one file from another: a changed file has
// another change time even when its modification time was set back.
type FileID struct {
	Dev, Inode   uint64 // as stat(2) has them
	Size         int64  // bytes
	MTime, CTime int64  // ns since the Unix epoch
}

// SameStart reports whether two start times (CLOCK_BOOTTIME ns) can be the same
// instant. They are compared exactly when both are finer than a tick, else by
// tick: the kernel rounds down (nsec_to_clock_t in fs/proc/array.c). The zero
// time is unknown and equals nothing.
func SameStart(a, b uint64) bool {
	if a == 0 || b == 0 {
		return false
	}
	if a%Tick != 0 && b%Tick != 0 {
		return a == b
	}
	return a/Tick == b/Tick
}

// Read returns what procfs has of a process: everything in activity.Process
// but ID, Rev and Execs (which the caller counts), and names, packages, units
// and containers (which package enrich finds). Fields that may not be read for
// lack of privilege stay unknown. The error is ErrGone when there is no such
// process, when it ended meanwhile, or when pid is a thread.
func (f FS) Read(pid uint32) (*activity.Process, error) {
	h, err := f.Open(activity.ProcessKey{PID: pid})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Process()
}

// Modules returns the files that a process has mapped executable, by lowest
// address; see Handle.Modules.
func (f FS) Modules(key activity.ProcessKey) ([]Mapping, error) {
	h, err := f.Open(key)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Modules()
}

// HashExe returns the SHA-256 of the program that a process runs, in lower-case
// hex. It reads through /proc/PID/exe, so a deleted or in-memory program is
// hashed as well. A program larger than limit bytes gives ErrTooBig; limit 0 is
// DefaultHashLimit.
func (f FS) HashExe(ctx context.Context, key activity.ProcessKey, limit int64) (string, error) {
	h, err := f.Open(key)
	if err != nil {
		return "", err
	}
	defer h.Close()
	file, _, err := h.OpenExe()
	if err != nil {
		return "", err
	}
	defer file.Close()
	return Hash(ctx, file, limit)
}

// PIDs lists the processes that exist now, in the order procfs has them. Those
// that begin and end while it is read may be missing.
func (f FS) PIDs() ([]uint32, error) { return f.pids() }

// BootID returns the random number that this boot of the machine has
// (/proc/sys/kernel/random/boot_id), a UUID of 36 characters.
func (f FS) BootID() (string, error) { return f.bootID() }
