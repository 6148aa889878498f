package journal

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// onSmallDisk runs f with a directory on a tmpfs of a size, mounted in a mount
// namespace of a thread that ends with f. File systems elsewhere see nothing
// of it. It needs CAP_SYS_ADMIN.
func onSmallDisk(t *testing.T, size string, f func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not to be used again
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
		}
		if err == nil {
			f(filepath.Join(dir, "journal"))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("a small file system: %v (run as root)", err)
	}
}

// TestFull fills a real file system, makes room again, and finds the record
// whole but for a gap event that counts what was lost.
func TestFull(t *testing.T) {
	onSmallDisk(t, "1m", func(dir string) {
		h := newHistory(5, 10)
		w, err := Open(Config{Dir: dir, HostName: "web1"})
		if err != nil {
			t.Error(err)
			return
		}
		filler := filepath.Join(filepath.Dir(dir), "filler")
		if err := os.WriteFile(filler, make([]byte, 600<<10), 0o600); err != nil {
			t.Error(err)
		}
		var kept []*activity.Event
		var lost [activity.NumKinds]uint64
		for w.Dropped() == [activity.NumKinds]uint64{} || w.Err() == nil || len(kept) < 5000 {
			e := h.next()
			w.Append(e)
			if len(kept)%50 == 0 {
				_ = w.Flush()
			}
			if e.Seq == 0 {
				lost[e.Kind]++
			} else {
				kept = append(kept, e)
			}
		}
		if w.Dropped() != lost {
			t.Errorf("dropped %v, want %v", w.Dropped(), lost)
		}
		if err := w.Flush(); err == nil || !strings.Contains(err.Error(), "no space") {
			t.Errorf("flush on a full disk: %v", err)
		}
		checkGap(t, w, dir, filler, kept, lost)
	})
}

func checkGap(t *testing.T, w *Writer, dir, filler string, kept []*activity.Event, lost [activity.NumKinds]uint64) {
	if err := os.Remove(filler); err != nil {
		t.Error(err)
	}
	// 400 KiB were written and 1 MiB buffered: it fits only without the filler and in part.
	if err := unix.Mount("", filepath.Dir(dir), "", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Error(err)
	}
	if err := w.Flush(); err != nil || w.Err() != nil {
		t.Errorf("flush with room again: %v, %v", err, w.Err())
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	rep, err := Verify(context.Background(), dir)
	if err != nil || len(rep.Problems) > 0 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	r := Reader{dir: dir}
	i := 0
	var gap *activity.Event
	for e, err := range r.Events(context.Background(), Query{}) {
		if err != nil {
			t.Error(err)
			return
		}
		if e.Kind == activity.KindGap {
			gap = e
			continue
		}
		if i >= len(kept) || e.Seq != kept[i].Seq || e.Time != kept[i].Time {
			t.Errorf("event %d is not what was kept", i)
			return
		}
		i++
	}
	if i != len(kept) {
		t.Errorf("%d events of %d", i, len(kept))
	}
	if gap == nil || gap.Coverage.Lost != lost || !strings.HasPrefix(gap.Coverage.Reason, "disk full: ") {
		t.Errorf("gap event: %+v", gap)
	}
}
