package proc

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// stat is what is used of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	comm   string
	state  byte
	ppid   uint32
	kernel bool   // PF_KTHREAD
	start  uint64 // ns of CLOCK_BOOTTIME, rounded down to the tick
	image  image
}

// image is a mark that an execve(2) changes: comm is reset, and the kernel
// places code, stack and arguments anew. Without the right to ptrace the
// addresses read as zero or one and only comm is left.
type image struct {
	comm                       string
	startCode, startStack, arg uint64
}

// Positions of fields in /proc/PID/stat, counted from the state, which is the
// first after the command name (number 3 in the manual page).
const (
	statFirst      = 3
	statState      = 3 - statFirst
	statPPID       = 4 - statFirst
	statFlags      = 9 - statFirst
	statStart      = 22 - statFirst
	statStartCode  = 26 - statFirst
	statStartStack = 28 - statFirst
	statArgStart   = 48 - statFirst
)

// pfKthread is PF_KTHREAD of include/linux/sched.h.
const pfKthread = 0x00200000

// parseStat reads /proc/PID/stat. The command name stands in parentheses, is
// not escaped, and may itself hold parentheses, spaces and newlines: it ends at
// the last parenthesis, since only numbers follow.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("parse stat: no command name in %q", clip(b))
	}
	comm := string(b[open+1 : end])
	if len(comm) > maxComm {
		comm = comm[:maxComm] // kernel workers add what they work on
	}
	// Fields were added over time (48 is Linux 3.5's): missing ones are empty.
	var fields [statArgStart + 1][]byte
	n := 0
	for f := range bytes.FieldsSeq(b[end+1:]) {
		if n == len(fields) {
			break
		}
		fields[n] = f
		n++
	}
	if n <= statStart || len(fields[statState]) != 1 {
		return stat{}, fmt.Errorf("parse stat: %d fields in %q", n, clip(b))
	}
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(string(fields[i]), 10, 64) // negative ones are not used
		return n
	}
	ticks := number(statStart)
	if ticks > ^uint64(0)/Tick {
		return stat{}, fmt.Errorf("parse stat: start %d out of range", ticks)
	}
	return stat{
		comm:   comm,
		state:  fields[statState][0],
		ppid:   uint32(number(statPPID)),
		kernel: number(statFlags)&pfKthread != 0,
		start:  ticks * Tick,
		image:  image{comm, number(statStartCode), number(statStartStack), number(statArgStart)},
	}, nil
}

// status is what is used of /proc/PID/status (proc_pid_status(5)).
type status struct {
	tgid           uint32
	uid, euid, gid uint32
}

// parseStatus reads /proc/PID/status. What is missing is NoID, or 0 for tgid.
func parseStatus(b []byte) status {
	s := status{uid: activity.NoID, euid: activity.NoID, gid: activity.NoID}
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		switch name, rest, _ := bytes.Cut(line, []byte{':'}); string(name) {
		case "Tgid":
			if n := parseID(rest); n != activity.NoID {
				s.tgid = n
			}
		case "Uid":
			ids := bytes.Fields(rest) // real, effective, saved, file system
			if len(ids) > 1 {
				s.uid, s.euid = parseID(ids[0]), parseID(ids[1])
			}
		case "Gid":
			if ids := bytes.Fields(rest); len(ids) > 0 {
				s.gid = parseID(ids[0])
			}
		}
	}
	return s
}

// parseID reads a user id; what is no number is NoID, as is the kernel's own
// "unset" 4294967295.
func parseID(b []byte) uint32 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return activity.NoID
	}
	return uint32(n)
}

// parseArgs splits /proc/PID/cmdline. Each argument ends with a NUL, empty ones
// included. A program that wrote a title over its arguments leaves the title
// and then NULs to the end of the area (nginx does): that is one argument. A
// title with NULs of its own (setproctitle(3)) is told from empty arguments that
// were given by how many follow it.
func parseArgs(b []byte, truncated bool) ([]string, bool) {
	if len(b) == 0 {
		return nil, false
	}
	if len(b) > maxArgs {
		b, truncated = b[:maxArgs], true
	}
	title, rest, _ := bytes.Cut(b, []byte{0})
	if len(rest) > 1 && len(bytes.Trim(rest, "\x00")) == 0 {
		return []string{string(title)}, false
	}
	if !truncated {
		b = bytes.TrimSuffix(b, []byte{0})
	}
	if short := bytes.TrimRight(b, "\x00"); len(b)-len(short) > maxEmptyArgs {
		b = short
	}
	n := bytes.Count(b, []byte{0}) + 1
	if n > maxArgCount {
		n, truncated = maxArgCount, true
	}
	all := string(b) // one allocation, shared by every argument
	args := make([]string, n)
	for i := range args {
		args[i], all, _ = strings.Cut(all, "\x00")
	}
	return args, truncated
}

// cgroupPaths is what /proc/PID/cgroup says (cgroups(7)).
type cgroupPaths struct {
	v2   string // path in the unified hierarchy; "" when there is none
	best string // the path that tells most of unit and container
}

// parseCgroup reads /proc/PID/cgroup: lines "id:controllers:path". Units and
// containers show in systemd's own hierarchy on v1 and hybrid machines (there
// Docker puts containers into it and not always into the unified one), in the
// unified hierarchy on v2 machines, and failing both in some controller's.
func parseCgroup(b []byte) cgroupPaths {
	const none, other, memory, unified, systemd = 0, 1, 2, 3, 4
	var c cgroupPaths
	rank := none
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		_, rest, ok := bytes.Cut(line, []byte{':'})
		controllers, path, ok2 := bytes.Cut(rest, []byte{':'})
		if !ok || !ok2 || len(path) == 0 || path[0] != '/' {
			continue
		}
		r := other
		switch string(controllers) {
		case "name=systemd":
			r = systemd
		case "":
			r = unified
			c.v2 = string(path)
		case "memory":
			r = memory
		}
		if len(path) > 1 && r > rank {
			c.best, rank = string(path), r
		}
	}
	if rank == none && c.v2 != "" {
		c.best = c.v2
	}
	return c
}

// parseNS reads the target of a link in /proc/PID/ns: "net:[4026531833]". It is
// 0 when the link says something else.
func parseNS(link, kind string) uint32 {
	s, ok := strings.CutPrefix(link, kind+":[")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// deletedSuffix is what d_path adds to the name of an unlinked file
// (fs/d_path.c). A file's own name may end so too: see Handle.realName.
const deletedSuffix = " (deleted)"

// memfdPrefix begins the name of a file made by memfd_create(2).
const memfdPrefix = "/memfd:"

// clip bounds what an error quotes.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }
