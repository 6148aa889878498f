package sockdiag

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

const (
	maxAncestors = 16
	maxPath      = 4096

	// deletedMark follows the path of a file that has no name any more, and
	// memMark opens that of one that never had (proc_pid_exe(5), memfd_create(2)).
	deletedMark = " (deleted)"
	memMark     = "/memfd:"
)

// image is the program that a known process executes.
type image struct {
	exe   string // as the link reads, mark included; "" unknown
	execs uint32 // changes of it seen
	scan  uint64 // the scan at which it was looked at last

	process *activity.Process // as reported last
}

// people remembers which processes have been reported.
type people struct {
	walk  *walker
	boot  []byte // identifies this boot
	known map[activity.ProcessKey]*image
}

func newPeople(w *walker) *people {
	p := &people{walk: w, known: map[activity.ProcessKey]*image{}}
	if id, err := os.ReadFile(filepath.Join(w.root, "proc/sys/kernel/random/boot_id")); err == nil {
		p.boot = bytes.TrimSpace(id)
	}
	return p
}

// meet returns what is known of a process if that has not been reported yet:
// at its first sight, and when it executes another program than at the last.
// It looks once in a scan. A process that is gone gets a record of its key alone.
func (p *people) meet(k activity.ProcessKey, scan uint64) *activity.Process {
	im := p.known[k]
	if im != nil && im.scan == scan {
		return nil
	}
	dir := -1
	if now, err := p.walk.openSame(k); err == nil {
		dir = now
		defer unix.Close(dir)
	}
	exe := p.link(dir, "exe")
	switch {
	case im == nil:
		im = &image{exe: exe}
		p.known[k] = im
	case exe == "" || exe == im.exe && im.process.Args != nil:
		im.scan = scan
		return nil
	case exe == im.exe:
		// Met in the middle of execve(2), or a process without arguments.
		again := p.describe(k, im, dir)
		im.scan = scan
		if again.Args == nil {
			return nil
		}
		again.Rev = im.process.Rev + 1
		im.process = again
		return again
	default:
		im.exe = exe
		im.execs++
	}
	im.scan = scan
	im.process = p.describe(k, im, dir)
	return im.process
}

// get returns what was reported of a process. One that has not been yet counts
// as reported from now on, unless it is gone.
func (p *people) get(k activity.ProcessKey) *activity.Process {
	if im := p.known[k]; im != nil {
		return im.process
	}
	if now, ok := p.walk.key(k.PID); !ok || now != k {
		return nil
	}
	return p.meet(k, 0)
}

// departed calls fn for every known process that is there no more, and forgets it.
func (p *people) departed(fn func(activity.ProcessKey)) {
	for k := range p.known {
		if now, ok := p.walk.key(k.PID); !ok || now != k {
			delete(p.known, k)
			fn(k)
		}
	}
}

// pids lists the known processes.
func (p *people) pids() []uint32 {
	pids := make([]uint32, 0, len(p.known))
	for k := range p.known {
		pids = append(pids, k.PID)
	}
	return pids
}

// describe reads what /proc gives cheaply. Whatever can't be read stays unknown.
func (p *people) describe(k activity.ProcessKey, im *image, dir int) *activity.Process {
	d := &activity.Process{ID: activity.MakeProcessID(p.boot, k, im.execs), Key: k, Execs: im.execs,
		UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
	now := now()
	d.Start = now.utc - int64(now.boot-k.Start)
	if dir < 0 {
		return d
	}
	d.Exe, d.Deleted = strings.CutSuffix(im.exe, deletedMark)
	if d.MemFD = strings.HasPrefix(d.Exe, memMark); d.MemFD {
		d.Deleted = false
	}
	if s, err := p.walk.stat(dir); err == nil {
		d.Name, d.Kernel = s.name, s.kernel
		d.Ancestors = p.ancestors(s.ppid)
	}
	if b, err := p.walk.read(dir, "cmdline\x00"); err == nil {
		d.Args = parseArgs(b)
		d.ArgsTruncated = len(b) == cap(p.walk.text)
	}
	if b, err := p.walk.read(dir, "status\x00"); err == nil {
		id := parseStatus(b)
		d.UID, d.EUID, d.GID = id.uid, id.euid, id.gid
	}
	if b, err := p.walk.read(dir, "loginuid\x00"); err == nil {
		d.LoginUID = parseID(b)
	}
	if b, err := p.walk.read(dir, "cgroup\x00"); err == nil {
		d.Cgroup = parseCgroup(b)
	}
	d.Cwd = p.link(dir, "cwd")
	d.NetNS = p.walk.namespace(k.PID)
	var st unix.Stat_t
	if unix.Fstatat(dir, "exe", &st, 0) == nil {
		d.ExeDev, d.ExeInode = st.Dev, st.Ino
	}
	return d
}

// ancestors walks from a parent up.
func (p *people) ancestors(pid uint32) (up []activity.ProcessRef) {
	for pid != 0 && len(up) < maxAncestors {
		dir, err := p.walk.open(pid)
		if err != nil {
			return up
		}
		s, err := p.walk.stat(dir)
		unix.Close(dir)
		if err != nil {
			return up
		}
		up = append(up, activity.ProcessRef{Key: activity.ProcessKey{PID: pid, Start: s.start}, Name: s.name})
		pid = s.ppid
	}
	return up
}

// link reads a symbolic link in a process's directory; "" if it can't be read.
func (p *people) link(dir int, name string) string {
	if dir < 0 {
		return ""
	}
	var b [maxPath]byte
	n, err := unix.Readlinkat(dir, name, b[:])
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// openSame opens /proc/PID if it still is the process of that key.
func (w *walker) openSame(k activity.ProcessKey) (int, error) {
	dir, err := w.open(k.PID)
	if err != nil {
		return -1, err
	}
	s, err := w.stat(dir)
	if err != nil || s.start != k.Start {
		unix.Close(dir)
		return -1, fmt.Errorf("process %d: %w", k.PID, unix.ESRCH)
	}
	return dir, nil
}
