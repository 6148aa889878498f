package journal

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// A crash between the beginning of a live log and its first event leaves a
// header alone: the next recorder removes it, and the record is whole.
func TestCrashBeforeTheFirstEvent(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	w.Append(&activity.Event{Kind: activity.KindKnock, Time: 1})
	check(t, w.Flush())
	name := filepath.Base(w.f.Name())
	head := int64(len(appendHeader(nil, &w.head)))
	check(t, w.Close())
	check(t, os.Truncate(filepath.Join(dir, name), head))

	check(t, open(t, Config{Dir: dir}).Close())
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		t.Error("the empty live log is still there")
	}
	rep, err := Verify(context.Background(), dir)
	check(t, err)
	for _, p := range rep.Problems {
		t.Error(p)
	}
}
