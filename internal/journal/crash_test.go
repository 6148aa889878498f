package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// crashDir, in the environment, makes the test binary a recorder that is to be
// killed: it appends, flushes, seals and merges, and prints after each flush
// the position up to which the kernel has everything.
const crashDir = "PORTREPORTER_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashWriter(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func crashWriter(dir string) error {
	w, err := Open(Config{Dir: dir, SegmentRows: 300, MergeRows: 2000})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		for {
			err := w.Seal(context.Background())
			if err == nil {
				_, err = w.Merge(context.Background())
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	h := newHistory(w.Epoch(), 20)
	h.modules(w)
	for {
		var last uint64
		for range 1 + h.IntN(40) {
			e := h.next()
			w.Append(e)
			last = e.Seq
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Printf("%d %d\n", w.Epoch(), last)
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

// TestCrash kills a recorder at random points, time and again, and looks for
// everything that it had flushed. The whole program's test kills it more often.
func TestCrash(t *testing.T) {
	exe, err := os.Executable()
	check(t, err)
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 7))
	flushed := make(map[uint64]uint64)
	for run := range unlessShort(30, 10) {
		epoch, last := crashOnce(t, exe, dir, 1+rnd.IntN(120))
		flushed[epoch] = last
		if run%10 == 9 {
			checkFlushed(t, dir, flushed)
		}
	}
	w := open(t, Config{Dir: dir, SegmentRows: 300, MergeRows: 2000})
	sealAll(t, w)
	check(t, w.Close())
	checkFlushed(t, dir, flushed)
	rep, err := Verify(context.Background(), dir)
	check(t, err)
	for _, p := range rep.Problems {
		t.Error(p)
	}
}

// crashOnce kills the recorder after it has reported lines flushes, wherever it
// is by then.
func crashOnce(t *testing.T, exe, dir string, lines int) (epoch, last uint64) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	check(t, err, cmd.Start())
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		if n == lines {
			check(t, cmd.Process.Kill())
		}
		a, b, ok := strings.Cut(in.Text(), " ")
		e, err1 := strconv.ParseUint(a, 10, 64)
		s, err2 := strconv.ParseUint(b, 10, 64)
		if ok && err1 == nil && err2 == nil {
			epoch, last = e, s
		}
	}
	_ = cmd.Wait() // killed
	if last == 0 || stderr.Len() > 0 {
		t.Fatalf("recorder: %s", stderr.String())
	}
	return epoch, last
}

func checkFlushed(t *testing.T, dir string, flushed map[uint64]uint64) {
	t.Helper()
	r, err := OpenReader(dir)
	check(t, err)
	seen := make(map[uint64]uint64)
	r.walk(context.Background(), Query{}, func(at pos, e *activity.Event, err error) bool {
		check(t, err)
		if at.seq != seen[at.epoch]+1 {
			t.Fatalf("epoch %d: event %d follows %d", at.epoch, at.seq, seen[at.epoch])
		}
		if p := e.Process; p != nil && p.Exe == "" {
			t.Fatalf("epoch %d: event %d has an unresolved process", at.epoch, at.seq)
		}
		seen[at.epoch] = at.seq
		return true
	})
	for epoch, last := range flushed {
		if seen[epoch] < last {
			t.Errorf("epoch %d: %d events were flushed, %d are there", epoch, last, seen[epoch])
		}
	}
}
