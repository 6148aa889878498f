//go:build !unix

package notify

import "os/exec"

// inGroup does nothing: what cmd starts outlives it here.
func inGroup(*exec.Cmd) {}
