package testutil

import (
	"os"
	"os/exec"
	"testing"
)

// Program finds a program that a test runs, one that scripts/setup-test-deps
// installs or that every Debian has. Where BinDir is set, on machines that have
// little else than busybox, the test is skipped without it; elsewhere on Linux
// it fails.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	Skip(t, Need{What: name, Linux: true, Lacks: func() string {
		if os.Getenv(BinDir) != "" {
			return "a machine without packages"
		}
		return ""
	}}, err)
	return path
}
