package cli

import (
	"fmt"
	"os"
	"syscall"

	"github.com/portreporter/portreporter/internal/activity"
)

// anybodyMayWrite tells whether others than its owner and group may write the
// executable of a process that lives. The file is reached through the process,
// since its path may be that of another mount namespace; that it is the one on
// record also tells that the process is.
func anybodyMayWrite(p *activity.Process) bool {
	if p == nil || p.Key.PID == 0 || p.Kernel || p.MemFD {
		return false
	}
	st, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.Key.PID))
	if err != nil {
		return false // gone, or not ours to see
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && p.ExeInode != 0 && sys.Ino == p.ExeInode && st.Mode().Perm()&0o002 != 0
}
