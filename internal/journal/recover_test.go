package journal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecover brings about by hand what a crash can leave at each step of
// sealing, merging and removing, and looks for every event after the next Open.
func TestRecover(t *testing.T) {
	chainWithout := func(t *testing.T, dir, op string) {
		path := filepath.Join(dir, chainName)
		b, err := os.ReadFile(path)
		check(t, err)
		lines := strings.SplitAfter(string(b), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			if strings.Contains(lines[i], `"op":"`+op+`"`) {
				lines = lines[:i]
				break
			}
		}
		check(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	}
	for name, crash := range map[string]func(t *testing.T, dir string){
		"in a segment's files": func(t *testing.T, dir string) {
			check(t, os.Mkdir(filepath.Join(dir, "seg-000001-000000000201-000001-000000000250.tmp"), 0o700))
		},
		"in a chain record": func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, chainName), os.O_APPEND|os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteString(`{"v":1,"n":`)
			check(t, err, f.Close())
		},
		"before the chain record of a sealing": func(t *testing.T, dir string) {
			live := liveName(pos{1, 201})
			b, err := os.ReadFile(filepath.Join(dir, live))
			check(t, err)
			w := open(t, Config{Dir: dir})
			sealAll(t, w)
			check(t, w.Close(), os.WriteFile(filepath.Join(dir, live), b, 0o600))
			chainWithout(t, dir, opSeal)
		},
		"after the chain record of a sealing": func(t *testing.T, dir string) {
			live := liveName(pos{1, 201})
			b, err := os.ReadFile(filepath.Join(dir, live))
			check(t, err)
			w := open(t, Config{Dir: dir})
			sealAll(t, w)
			check(t, w.Close(), os.WriteFile(filepath.Join(dir, live), b, 0o600))
		},
		"with the epoch unreadable": func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, epochName), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := sealedJournal(t, 100, 2)
			crash(t, dir)
			same(t, "before Open", want, collect(t, dir, Query{}))
			w := open(t, Config{Dir: dir})
			if w.Epoch() < 2 {
				t.Errorf("epoch %d comes again", w.Epoch())
			}
			sealAll(t, w)
			check(t, w.Close())
			same(t, "after Open", want, collect(t, dir, Query{}))
			rep, err := Verify(context.Background(), dir)
			check(t, err)
			for _, p := range rep.Problems {
				t.Error(p)
			}
		})
	}
}

// TestInterruptedRemoval finds a segment that the chain says was removed.
func TestInterruptedRemoval(t *testing.T) {
	dir, want := sealedJournal(t, 100, 2)
	w := open(t, Config{Dir: dir})
	segs, _ := pieces(t, dir)
	check(t, w.chain.append(record{Op: opRemove, Segment: segs[0]}, true), w.Close(), open(t, Config{Dir: dir}).Close())
	same(t, "after Open", want[100:], collect(t, dir, Query{}))
}

func TestHostID(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	id := w.HostID()
	check(t, w.Close())
	w = open(t, Config{Dir: dir})
	if w.HostID() != id {
		t.Error("the host has another identity after the second Open")
	}
	check(t, w.Close(), os.WriteFile(filepath.Join(dir, hostName), []byte("nonsense\n"), 0o600))
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "no host id") {
		t.Errorf("Open with a broken host file: %v", err)
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("Open without a directory")
	}
}
