package notify

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// runUnprivileged runs cmd from a thread that has given up its ambient
// capabilities (capabilities(7)): those of the recorder's service would else
// pass to every program that it starts. The thread ends with the goroutine,
// since it is never unlocked.
func runUnprivileged(cmd *exec.Cmd) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			done <- err
			return
		}
		done <- cmd.Run()
	}()
	return <-done
}
