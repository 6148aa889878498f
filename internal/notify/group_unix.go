//go:build unix

package notify

import (
	"os/exec"
	"syscall"
)

// inGroup has cmd lead a process group, all of which is killed when its time is
// over.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
