package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// tick is the unit of a start time in /proc/PID/stat in nanoseconds: USER_HZ is
// 100 on every architecture that Go runs on.
const tick = 10_000_000

// kernelThread is PF_KTHREAD of linux/sched.h, in the flags of /proc/PID/stat.
const kernelThread = 0x00200000

// stat is what /proc/PID/stat tells of a process.
type stat struct {
	name   string
	ppid   uint32
	start  uint64 // CLOCK_BOOTTIME ns, rounded down to the clock tick
	kernel bool
}

// parseStat decodes a /proc/PID/stat file (proc_pid_stat(5)). The name is in
// parentheses and may hold any character, so it ends at the last one.
func parseStat(b []byte) (s stat, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return s, fmt.Errorf("stat %q: no name", b[:min(len(b), 40)])
	}
	f := bytes.Fields(b[end+1:])
	if len(f) < 20 {
		return s, fmt.Errorf("stat: %d fields after the name, want 20 or more", len(f))
	}
	s.name = string(b[open+1 : end])
	ppid, err := strconv.ParseUint(string(f[1]), 10, 32)
	if err != nil {
		return s, fmt.Errorf("stat parent: %w", err)
	}
	flags, err := strconv.ParseUint(string(f[6]), 10, 32)
	if err != nil {
		return s, fmt.Errorf("stat flags: %w", err)
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return s, fmt.Errorf("stat start: %w", err)
	}
	s.ppid, s.start, s.kernel = uint32(ppid), start*tick, flags&kernelThread != 0
	return s, nil
}

// ids are the user and group ids of /proc/PID/status.
type ids struct{ uid, euid, gid uint32 }

// parseStatus finds the ids in a /proc/PID/status file; those that are not
// there are activity.NoID.
func parseStatus(b []byte) ids {
	id := ids{activity.NoID, activity.NoID, activity.NoID}
	for line := range bytes.Lines(b) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		f := bytes.Fields(rest)
		if len(f) < 2 {
			continue
		}
		switch string(name) {
		case "Uid":
			id.uid, id.euid = parseID(f[0]), parseID(f[1])
		case "Gid":
			id.gid = parseID(f[0])
		}
	}
	return id
}

func parseID(b []byte) uint32 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return activity.NoID
	}
	return uint32(n)
}

// parseCgroup returns the path that tells most in a /proc/PID/cgroup file: that
// of cgroup v2, or where it is the root, as on a mixed host, systemd's v1 one.
func parseCgroup(b []byte) string {
	var unified, named string
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(":"), 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case string(f[0]) == "0" && len(f[1]) == 0:
			unified = string(f[2])
		case string(f[1]) == "name=systemd":
			named = string(f[2])
		}
	}
	if named != "" && (unified == "" || unified == "/") {
		return named
	}
	return unified
}

// parseArgs splits a /proc/PID/cmdline file. A process that has written over
// its arguments to show a title leaves no separators, and gets one argument.
func parseArgs(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// parseLink returns the number in the target of a magic link of /proc:
// "socket:[4711]" or "net:[4026531840]" with the prefix "socket:[" or "net:[".
func parseLink(b []byte, prefix string) (uint64, bool) {
	if len(b) < len(prefix)+2 || string(b[:len(prefix)]) != prefix || b[len(b)-1] != ']' {
		return 0, false
	}
	var n uint64
	for _, c := range b[len(prefix) : len(b)-1] {
		if c < '0' || c > '9' || n > (1<<63)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// direntHeader is the length of a linux_dirent64 before its name, which ends
// with a zero byte (getdents64(2)):
//
//	0 inode u64, 8 offset i64, 16 length u16, 18 type u8, 19 name
const direntHeader = 19

// nextNumber returns the next entry of a getdents64 buffer whose name is a
// decimal number, as pids and file descriptors are: the number, and the name
// with its closing zero byte. ok is false at the end.
func nextNumber(b []byte) (n uint32, name, rest []byte, ok bool) {
	for len(b) > direntHeader {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= direntHeader || size > len(b) {
			return 0, nil, nil, false
		}
		entry := b[direntHeader:size]
		b = b[size:]
		end := bytes.IndexByte(entry, 0)
		if end <= 0 {
			continue
		}
		if v, err := strconv.ParseUint(string(entry[:end]), 10, 32); err == nil {
			return uint32(v), entry[:end+1], b, true
		}
	}
	return 0, nil, nil, false
}
