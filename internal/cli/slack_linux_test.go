package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/testutil"
)

// Every thread's timers may be late, those of threads too that are made later.
func TestEaseTimers(t *testing.T) {
	testutil.Root(t, "the timer slack of other threads")
	set := func(file, value string) {
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			t.Error(err)
		}
	}
	slacks := func() (files []string) {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range threads {
			files = append(files, filepath.Join("/proc", e.Name(), "timerslack_ns"))
		}
		return files
	}
	before, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	easeTimers()
	for _, f := range slacks() {
		got, err := os.ReadFile(f)
		if want := strconv.FormatInt(int64(timerSlack), 10); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, %v, want %s", f, got, err, want)
		}
		set(f, strings.TrimSpace(string(before)))
	}
}
