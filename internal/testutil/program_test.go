package testutil

import (
	"path/filepath"
	"testing"
)

func TestProgram(t *testing.T) {
	const none = "portreporter-no-such-program"
	find := func(name string) (path string, r *tester) {
		r = do(&tester{}, func(t testing.TB) { path = Program(t, name) })
		return path, r
	}
	t.Setenv(BinDir, "")
	if path, r := find("go"); r.failed == "" && r.skipped == "" && !filepath.IsAbs(path) {
		t.Errorf("found %q", path)
	}
	if _, r := find(none); (r.failed != "") != onLinux || (r.skipped != "") != !onLinux {
		t.Errorf("with packages: failed %q, skipped %q", r.failed, r.skipped)
	}
	t.Setenv(BinDir, t.TempDir())
	if _, r := find(none); r.skipped == "" || r.failed != "" {
		t.Errorf("without packages: failed %q, skipped %q", r.failed, r.skipped)
	}
}
