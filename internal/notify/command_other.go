//go:build !linux

package notify

import "os/exec"

// runUnprivileged runs cmd; here nothing but the user passes to it.
func runUnprivileged(cmd *exec.Cmd) error { return cmd.Run() }
