package activity

import "encoding/binary"

// ProcessKey names a process for the time that this machine is up: a reused
// pid has another start.
type ProcessKey struct {
	PID   uint32 // in the initial pid namespace on Linux
	Start uint64 // CLOCK_BOOTTIME ns at which its first thread started; 0 unknown
}

// IsZero reports whether no process is named.
func (k ProcessKey) IsZero() bool { return k == ProcessKey{} }

// ProcessID is the interned number of one program image of one process: it
// changes when the process executes another program. Zero is no process.
type ProcessID uint64

// MakeProcessID derives the number from what identifies the image: the boot
// (any bytes that differ at each boot), the process, and how many programs it
// has executed. The same image gets the same number from any recorder run.
func MakeProcessID(boot []byte, k ProcessKey, execs uint32) ProcessID {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a, 64 bits
	h := uint64(offset)
	mix := func(b []byte) {
		for _, c := range b {
			h = (h ^ uint64(c)) * prime
		}
	}
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], k.PID)
	binary.LittleEndian.PutUint64(b[4:], k.Start)
	binary.LittleEndian.PutUint32(b[12:], execs)
	mix(boot)
	mix(b[:])
	if h == 0 {
		h = 1
	}
	return ProcessID(h)
}

// NoID is the "unset" value of the kernel's user ids (an unset login uid).
const NoID = ^uint32(0)

// Process is what is known of one program image of one process. It is
// immutable once handed on: to add a fact, copy it and raise Rev.
type Process struct {
	ID    ProcessID
	Rev   uint32 // a later record of the same ID with a higher Rev replaces this one
	Key   ProcessKey
	Execs uint32 // programs executed by this process before this image, as the kernel counts
	Start int64  // UTC, ns since the Unix epoch; 0 unknown

	Name          string       // the kernel's short name (comm, at most 15 bytes)
	Exe           string       // path in the recorder's mount view; "" unknown
	Args          []string     // nil unknown; already redacted if so configured
	ArgsTruncated bool         // the process had more
	Cwd           string       // "" unknown
	Ancestors     []ProcessRef // parent first
	Deleted       bool         // the executable has no name any more
	MemFD         bool         // the executable never had a name: memfd_create(2)
	Kernel        bool         // a kernel thread

	UID, EUID, GID, LoginUID       uint32 // NoID when unset or unknown
	User, EffectiveUser, LoginUser string // "" unknown

	ExeDev, ExeInode uint64
	ExeSHA256        string // lower-case hex, "" unknown
	ExePackage       string // name and version, "" unknown

	Cgroup    string // path of the cgroup that attribution used
	CgroupID  uint64
	Unit      Unit
	Container Container
	Modules   ModuleSetID // 0 unknown
	NetNS     uint32      // inode of the network namespace
}

// ProcessRef is an ancestor by key and short name.
type ProcessRef struct {
	Key  ProcessKey
	Name string
}

// Parent returns the first ancestor, or the zero ProcessRef.
func (p *Process) Parent() ProcessRef {
	if p == nil || len(p.Ancestors) == 0 {
		return ProcessRef{}
	}
	return p.Ancestors[0]
}

// Unit is the systemd unit, or the Windows services, that a process runs for.
type Unit struct {
	Name        string // "nginx.service"; several Windows services are comma separated
	Description string // "A high performance web server"; "" unknown
	User        string // the user whose manager runs it ("user@1000.service"), "" for the system's
}

// Container is the container that a process runs in.
type Container struct {
	Runtime string // docker, podman, containerd, cri-o, lxc, nspawn
	ID      string
	Name    string // "" unknown
	Image   string // "" unknown
	Pod     string // Kubernetes pod as "namespace/name", or its uid when only that is known
}

// ModuleSetID is the interned number of a set of modules. Zero is no set.
type ModuleSetID uint64

// ModuleSet is what a process had mapped executable. It is immutable.
type ModuleSet struct {
	ID      ModuleSetID
	Modules []Module // by base address
}

// Module is one mapped executable file.
type Module struct {
	Path    string
	Base    uint64 // lowest mapped address
	BuildID string // GNU build id, lower-case hex, "" unknown
	Package string // name and version, "" unknown
	Deleted bool   // mapped, but its file has no name any more
}
