package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestBuild(t *testing.T) {
	if os.Getenv(BinDir) == "" {
		Program(t, "go")
	}
	const pkg = "./internal/testutil/cmd/portgen"
	first := Build(t, pkg)
	if again := Build(t, pkg); again != first && os.Getenv(BinDir) == "" && buildDir(t) == filepath.Dir(os.Args[0]) {
		t.Errorf("built twice: %s and %s", first, again)
	}
	out, err := exec.Command(first, "cases").CombinedOutput()
	if works := runtime.GOOS == "linux"; (err == nil) != works || len(out) == 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestBuildFound(t *testing.T) {
	t.Setenv(BinDir, filepath.Join("some", "where"))
	want := filepath.Join("some", "where", "portgen")
	if runtime.GOOS == "windows" {
		want += ".exe"
	}
	if got := Build(t, "internal/testutil/cmd/portgen"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
