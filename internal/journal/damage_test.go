package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestCutAnywhere cuts a live log at every byte: what is before the cut is
// read, and a recorder goes on after some of the cuts.
func TestCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(2, 3)
	w := open(t, Config{Dir: dir})
	var ends []int64 // size of the file after each event
	for range 12 {
		w.Append(h.next())
		check(t, w.Flush())
		ends = append(ends, w.size)
	}
	check(t, w.Close())
	name := liveName(pos{1, 1})
	data, err := os.ReadFile(filepath.Join(dir, name))
	check(t, err)
	step := unlessShort(37, 331)
	for cut := range len(data) + 1 {
		l := parseLive(data[:cut])
		want := 0
		for want < len(ends) && ends[want] <= int64(cut) {
			want++
		}
		if len(l.events) != want || len(l.damage) != 0 {
			t.Fatalf("cut at %d: %d events, want %d; damage %v", cut, len(l.events), want, l.damage)
		}
		if cut%step != 0 {
			continue
		}
		d := t.TempDir()
		check(t, os.WriteFile(filepath.Join(d, name), data[:cut], 0o600))
		w := open(t, Config{Dir: d})
		w.Append(h.next())
		sealAll(t, w)
		check(t, w.Close())
		if got := len(collect(t, d, Query{})); got != want+1 {
			t.Fatalf("cut at %d: %d events after recovery, want %d", cut, got, want+1)
		}
	}
}

// TestFlip changes each byte of a live log: at most one event is lost, and the
// reader says where.
func TestFlip(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(3, 1)
	w := open(t, Config{Dir: dir})
	for range 10 {
		w.Append(h.next())
	}
	check(t, w.Close())
	data, err := os.ReadFile(filepath.Join(dir, liveName(pos{1, 1})))
	check(t, err)
	for i := len(liveMagic); i < len(data); i += unlessShort(1, 5) {
		data[i] ^= 0x40
		l := parseLive(data)
		if lost := 10 - len(l.events); lost > 1 {
			t.Fatalf("byte %d changed: %d events lost", i, lost)
		}
		if len(l.damage) == 0 && l.tail == len(data) {
			t.Fatalf("byte %d changed and nothing noticed", i)
		}
		data[i] ^= 0x40
	}
	data[len(data)/2] ^= 1
	check(t, os.WriteFile(filepath.Join(dir, liveName(pos{1, 1})), data, 0o600))
	r, err := OpenReader(dir)
	check(t, err)
	events, damage := 0, 0
	for _, err := range r.Events(context.Background(), Query{}) {
		var c *CorruptError
		switch {
		case err == nil:
			events++
		case errors.As(err, &c):
			damage++
		default:
			t.Fatal(err)
		}
	}
	if events < 9 || damage != 1 {
		t.Errorf("%d events and %d errors, want at least 9 and 1", events, damage)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	_, err := Open(Config{Dir: dir})
	var l *LockedError
	if !errors.As(err, &l) || l.PID != os.Getpid() {
		t.Errorf("second Open: %v, want LockedError with pid %d", err, os.Getpid())
	}
	check(t, w.Close())
	check(t, open(t, Config{Dir: dir}).Close())
}

// sealedJournal makes a journal of segments and one live log.
func sealedJournal(t testing.TB, rows, segments int) (dir string, want []*activity.Event) {
	dir = t.TempDir()
	h := newHistory(4, 20)
	w := open(t, Config{Dir: dir, SegmentRows: rows})
	h.modules(w)
	for range rows*segments + rows/2 {
		e := h.next()
		w.Append(e)
		want = append(want, e)
	}
	check(t, w.Flush())
	sealAll(t, w)
	check(t, w.Close())
	return dir, want
}

func pieces(t testing.TB, dir string) (segments, live []string) {
	t.Helper()
	l, err := list(dir)
	check(t, err)
	for _, p := range l.pieces {
		if p.live {
			live = append(live, p.name)
		} else {
			segments = append(segments, p.name)
		}
	}
	return segments, live
}

func TestVerify(t *testing.T) {
	change := func(t *testing.T, path string, f func([]byte) []byte) {
		b, err := os.ReadFile(path)
		check(t, err, os.WriteFile(path, f(b), 0o600))
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	lines := func(b []byte) []string { return strings.SplitAfter(string(b), "\n") }
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string, segments []string, live string)
		want   []Fault
	}{
		"whole": {func(*testing.T, string, []string, string) {}, nil},
		"segment removed": {func(t *testing.T, dir string, segs []string, _ string) {
			check(t, os.RemoveAll(filepath.Join(dir, segs[1])))
		}, []Fault{FaultMissing}},
		"file of a segment removed": {func(t *testing.T, dir string, segs []string, _ string) {
			check(t, os.Remove(filepath.Join(dir, segs[1], peersFile)))
		}, []Fault{FaultMissing}},
		"byte of a segment changed": {func(t *testing.T, dir string, segs []string, _ string) {
			change(t, filepath.Join(dir, segs[0], eventsFile), flip)
		}, []Fault{FaultChanged}},
		"live log removed": {func(t *testing.T, dir string, _ []string, live string) {
			check(t, os.Remove(filepath.Join(dir, live)))
		}, []Fault{FaultMissing}},
		"byte of a live log changed": {func(t *testing.T, dir string, _ []string, live string) {
			change(t, filepath.Join(dir, live), func(b []byte) []byte {
				b[parseLive(b).events[3].from+4] ^= 1
				return b
			})
		}, []Fault{FaultDamaged, FaultHole}},
		"frames of a live log taken out": {func(t *testing.T, dir string, _ []string, live string) {
			change(t, filepath.Join(dir, live), func(b []byte) []byte {
				l := parseLive(b)
				return slices.Delete(b, int(l.events[3].from)-frameHead-1, int(l.events[4].to))
			})
		}, []Fault{FaultHole}},
		"chain cut short": {func(t *testing.T, dir string, _ []string, _ string) {
			change(t, filepath.Join(dir, chainName), func(b []byte) []byte { return []byte(strings.Join(lines(b)[:2], "")) })
		}, []Fault{FaultUnrecorded, FaultHole}},
		"chain record changed": {func(t *testing.T, dir string, _ []string, _ string) {
			change(t, filepath.Join(dir, chainName), func(b []byte) []byte { return []byte(strings.Replace(string(b), `"time":`, `"time": `, 1)) })
		}, []Fault{FaultChain}},
		"chain record taken out": {func(t *testing.T, dir string, _ []string, _ string) {
			change(t, filepath.Join(dir, chainName), func(b []byte) []byte { l := lines(b); return []byte(strings.Join(slices.Delete(l, 1, 2), "")) })
		}, []Fault{FaultChain}},
		"chain gone": {func(t *testing.T, dir string, _ []string, _ string) {
			check(t, os.Remove(filepath.Join(dir, chainName)))
		},
			[]Fault{FaultMissing, FaultUnrecorded}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, events := sealedJournal(t, 100, 3)
			segs, live := pieces(t, dir)
			c.damage(t, dir, segs, live[0])
			rep, err := Verify(context.Background(), dir)
			check(t, err)
			for _, f := range c.want {
				if !slices.ContainsFunc(rep.Problems, func(p Problem) bool { return p.Fault == f }) {
					t.Errorf("no %s among %v", f, rep.Problems)
				}
			}
			if c.want == nil && (len(rep.Problems) > 0 || rep.Events != uint64(len(events)) || rep.Segments != 3 || rep.Live != 1) {
				t.Errorf("report of a whole journal: %+v", rep)
			}
		})
	}
}

// TestDamagedSegments reads around segments that are broken in every file.
func TestDamagedSegments(t *testing.T) {
	for _, file := range []string{eventsFile, processesFile} {
		for _, how := range []string{"empty", "gone", "zeros", "short"} {
			dir, want := sealedJournal(t, 100, 3)
			segs, _ := pieces(t, dir)
			path := filepath.Join(dir, segs[1], file)
			b, err := os.ReadFile(path)
			check(t, err)
			switch how {
			case "gone":
				check(t, os.Remove(path))
			case "empty":
				check(t, os.Truncate(path, 0))
			case "zeros":
				clear(b[100 : len(b)-100])
				check(t, os.WriteFile(path, b, 0o600))
			case "short":
				check(t, os.Truncate(path, int64(len(b)/2)))
			}
			r, err := OpenReader(dir)
			check(t, err)
			var got []*activity.Event
			faults := 0
			for e, err := range r.Events(context.Background(), Query{}) {
				if err != nil {
					faults++
				} else {
					got = append(got, e)
				}
			}
			if faults != 1 || len(got) < len(want)-100 {
				t.Errorf("%s %s: %d errors and %d of %d events", file, how, faults, len(got), len(want))
			}
		}
	}
}

func TestRetain(t *testing.T) {
	dir, want := sealedJournal(t, 200, 6)
	clock := time.Unix(0, want[len(want)-1].Time)
	w := open(t, Config{Dir: dir, SegmentRows: 200, MaxAge: clock.Sub(time.Unix(0, want[399].Time))})
	sealAll(t, w)
	removed, err := w.Retain(clock)
	check(t, err)
	if len(removed) != 1 && len(removed) != 2 {
		t.Errorf("by age: removed %v, want one or two", removed)
	}
	left := want[200*len(removed):]
	same(t, "after retention by age", left, collect(t, dir, Query{}))
	size, err := dirBytes(dir)
	check(t, err)
	w.cfg.MaxAge, w.cfg.MaxBytes = 0, size/2
	more, err := w.Retain(clock)
	check(t, err)
	if after, err := dirBytes(dir); err != nil || after > size/2 || len(more) == 0 {
		t.Errorf("by size: %d bytes left of %d, %v removed, %v", after, size, more, err)
	}
	same(t, "after retention by size", left[200*len(more):], collect(t, dir, Query{}))
	check(t, w.Close())
	rep, err := Verify(context.Background(), dir)
	check(t, err)
	if len(rep.Problems) > 0 || rep.Removed != len(removed)+len(more) {
		t.Errorf("verify after retention: %+v", rep)
	}
}

func TestMerge(t *testing.T) {
	dir, want := sealedJournal(t, 100, 17)
	w := open(t, Config{Dir: dir, SegmentRows: 100, MergeRows: 1600})
	sealAll(t, w)
	for more := true; more; {
		var err error
		more, err = w.Merge(context.Background())
		check(t, err)
		same(t, "while merging", want, collect(t, dir, Query{}))
	}
	if segs, _ := pieces(t, dir); len(segs) > 5 {
		t.Errorf("%d segments are left: %v", len(segs), segs)
	}
	check(t, w.Close())
	rep, err := Verify(context.Background(), dir)
	check(t, err)
	if len(rep.Problems) > 0 {
		t.Errorf("verify after merging: %v", rep.Problems)
	}
}

// TestUnwritable takes the directory away while events come: no live log can be
// created in it, nor anything sealed.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	h := newHistory(6, 5)
	w := open(t, Config{Dir: dir, SegmentRows: 100})
	for range 100 { // fills a live log, so that none is open for writing
		w.Append(h.next())
	}
	check(t, w.Sync(), os.Rename(dir, dir+".away"))
	for range 150 {
		w.Append(h.next())
	}
	if w.Flush() == nil || w.Err() == nil {
		t.Error("no error without a directory")
	}
	if w.Seal(context.Background()) == nil {
		t.Error("sealed without a directory")
	}
	check(t, os.Rename(dir+".away", dir), w.Flush(), w.Err())
	sealAll(t, w)
	check(t, w.Close())
	rep, err := Verify(context.Background(), dir)
	check(t, err)
	if len(rep.Problems) > 0 || rep.Events != 250 {
		t.Errorf("verify: %+v", rep)
	}
}
