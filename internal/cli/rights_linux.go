package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// neededRights are the capabilities (capabilities(7)) that a recorder uses: the
// first three to load and attach its programs, the rest to read of every
// process what only its user may. The service's unit grants the same.
func neededRights() []right {
	return []right{
		{"CAP_BPF", unix.CAP_BPF}, {"CAP_PERFMON", unix.CAP_PERFMON}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN},
		{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}, {"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH},
	}
}

type right struct {
	name string
	bit  uint
}

// rightsOf reads what a process may; pid 0 is this one.
func rightsOf(pid int) rights {
	path := "/proc/self/status"
	if pid != 0 {
		path = fmt.Sprintf("/proc/%d/status", pid)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return rights{}
	}
	return parseRights(data)
}

// parseRights finds the effective capabilities in proc_pid_status(5). Before
// Linux 5.8, CAP_SYS_ADMIN stood for CAP_BPF and CAP_PERFMON, and it still
// implies them.
func parseRights(status []byte) (r rights) {
	for sc := bufio.NewScanner(bytes.NewReader(status)); sc.Scan(); {
		text, ok := strings.CutPrefix(sc.Text(), "CapEff:")
		if !ok {
			continue
		}
		held, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		if err != nil {
			return rights{}
		}
		if held&(1<<unix.CAP_SYS_ADMIN) != 0 {
			held |= 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON
		}
		r.Known = true
		for _, need := range neededRights() {
			if held&(1<<need.bit) != 0 {
				r.Held = append(r.Held, need.name)
			} else {
				r.Missing = append(r.Missing, need.name)
			}
		}
		return r
	}
	return rights{}
}

// kernelRelease is ", Linux 6.1.0-13-amd64", "" when it cannot be had.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return ", " + unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}
