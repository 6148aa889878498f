package prlog

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// A disk that fills up in the middle of a line, and later has room again: what
// was pending follows without a seam, what was not kept is counted and said.
func TestFullDisk(t *testing.T) {
	cfg, clock := testConfig(t)
	disk := &fullDisk{room: 2000, create: true}
	cfg.create = disk.open
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	e := opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0)
	made := 0
	var errs []error
	for w.Lost() < 10 {
		made++
		if err := w.Event(e, nil, moduleSet); err != nil {
			errs = append(errs, err)
		}
		if w.Lost() == 5 {
			clock.t = clock.t.Add(2 * time.Second)
		}
	}
	if len(errs) != 2 || made < 1000 || !errors.Is(errs[0], errFull) || !strings.HasSuffix(errs[1].Error(), "; 6 entries lost") {
		t.Errorf("%d entries made, errors %v", made, errs)
	}
	disk.room = 1 << 30
	clock.t = clock.t.Add(2 * time.Second)
	must(t, w.Event(e, nil, moduleSet))
	must(t, w.Close())
	records := readPorts(t, logText(t, cfg.Dir, LogPorts, "26-07-6-13-4-5"))
	sections := readPIDs(t, logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-5"))
	if len(records) != made+1-10 || len(sections) != len(records) || w.Lost() != 10 {
		t.Errorf("made %d, lost %d, %d records, %d sections", made+1, w.Lost(), len(records), len(sections))
	}
	if last := sections[len(sections)-1]; last.Lost != 10 || last.Number != uint64(len(sections)) {
		t.Errorf("last section: %+v", last)
	}
}

// A disk that stays full until the end: nothing is lost uncounted.
func TestFullDiskAtClose(t *testing.T) {
	for _, room := range []int{0, 1500} {
		cfg, _ := testConfig(t)
		disk := &fullDisk{room: room, create: true}
		cfg.create = disk.open
		w := newWriter(t, cfg)
		w.Start(nil)
		for range 20 {
			w.Event(opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0), nil, moduleSet)
		}
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("room %d: close: %v", room, err)
		}
		whole := uint64(strings.Count(logText(t, cfg.Dir, LogPorts, "26-07-6-13-4-5"), ",<root>\n"))
		if whole+w.Lost() != 20 {
			t.Errorf("room %d: %d records, %d lost, 20 made", room, whole, w.Lost())
		}
	}
}

// Where no file can be made, events are counted as lost, and the set is begun
// as soon as it can be, tried once a second.
func TestCannotCreate(t *testing.T) {
	cfg, clock := testConfig(t)
	disk := &fullDisk{room: 1 << 30}
	cfg.create = disk.open
	w := newWriter(t, cfg)
	if err := w.Start(nil); !errors.Is(err, errFull) {
		t.Errorf("start: %v", err)
	}
	e := opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0)
	if err := w.Event(e, nil, moduleSet); err != nil || w.Lost() != 1 {
		t.Errorf("event: %v, lost %d: the failure was told already", err, w.Lost())
	}
	clock.t = clock.t.Add(time.Second)
	if err := w.Event(e, nil, moduleSet); err == nil || err.Error() != "classic logs: begin a set: no space left on device; 2 entries lost" {
		t.Errorf("event: %v", err)
	}
	disk.create = true
	clock.t = clock.t.Add(2 * time.Second)
	must(t, w.Event(e, nil, moduleSet))
	must(t, w.Close())
	s := readPIDs(t, logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-8"))
	if len(s) != 1 || s[0].Lost != 2 {
		t.Errorf("sections: %+v", s)
	}
}

// A set that cannot follow at midnight leaves the old one in use, and no piece
// of itself.
func TestCannotRotate(t *testing.T) {
	cfg, clock := testConfig(t)
	disk := &fullDisk{room: 1 << 30, create: true}
	cfg.create = disk.open
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	disk.create = false
	clock.t = clock.t.AddDate(0, 0, 1)
	e := opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0)
	if err := w.Event(e, nil, moduleSet); !errors.Is(err, errFull) {
		t.Errorf("event: %v", err)
	}
	must(t, w.Event(e, nil, moduleSet)) // within the second no further attempt
	must(t, w.Close())
	if n := len(readPorts(t, logText(t, cfg.Dir, LogPorts, "26-07-6-13-4-5"))); n != 2 || w.Lost() != 0 {
		t.Errorf("%d records, %d lost", n, w.Lost())
	}
	if got := suffixes(t, cfg.Dir); len(got) != 1 {
		t.Errorf("sets: %v", got)
	}
}

// A sink may be flushed before recording has begun, from its own goroutine:
// that makes no set.
func TestFlushBeforeStart(t *testing.T) {
	cfg, _ := testConfig(t)
	w := newWriter(t, cfg)
	must(t, w.Flush())
	if got := suffixes(t, cfg.Dir); len(got) != 0 {
		t.Errorf("sets: %v", got)
	}
	var g sync.WaitGroup
	g.Go(func() {
		if err := w.Start(nil); err != nil {
			t.Error(err)
		}
	})
	e := opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0)
	for range 100 {
		must(t, w.Flush())
	}
	g.Wait()
	must(t, w.Event(e, nil, moduleSet))
	must(t, w.Close())
	must(t, w.Close())
	if got := suffixes(t, cfg.Dir); len(got) != 1 {
		t.Errorf("sets: %v", got)
	}
}
