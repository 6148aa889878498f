package testutil

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// BinDir is the environment variable that names a directory of programs built
// beforehand, by the last element of their package's path: for machines that
// have no Go, such as the virtual ones of scripts/vm.
const BinDir = "PORTREPORTER_TEST_BIN"

// Build builds a command of this module, such as "./cmd/portreporter", without
// cgo, and returns the program's path. A program is built once in a test run
// and then found again; it is never out of date, as a run has its own directory.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	name := path.Base(pkg)
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if dir := os.Getenv(BinDir); dir != "" {
		return filepath.Join(dir, name)
	}
	out := filepath.Join(buildDir(t), name)
	if _, err := os.Stat(out); err == nil {
		return out
	}
	c := exec.Command("go", "build", "-o", out, "./"+strings.TrimPrefix(pkg, "./"))
	c.Dir = moduleRoot(t)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, b)
	}
	return out
}

// buildDir is the directory that `go test` made for the test binary, and removes
// when it ends; for a binary that stands elsewhere, it is the test's own.
func buildDir(t testing.TB) string {
	exe, err := os.Executable()
	if err == nil && strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return filepath.Dir(exe)
	}
	return t.TempDir()
}

// moduleRoot finds go.mod at or above the working directory, which is that of
// the package under test.
func moduleRoot(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod at or above the working directory")
		}
		dir = up
	}
}
