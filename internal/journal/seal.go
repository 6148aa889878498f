package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

// Sealable reports whether a live log waits to be sealed.
func (w *Writer) Sealable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rotated) > 0
}

// Seal makes a segment of the oldest rotated live log, if there is one. It may
// run beside Append, on another goroutine. After an error, or when ctx ends it,
// the live log is as it was.
func (w *Writer) Seal(ctx context.Context) error {
	w.sealing.Lock()
	defer w.sealing.Unlock()
	w.mu.Lock()
	if len(w.rotated) == 0 {
		w.mu.Unlock()
		return nil
	}
	name := w.rotated[0]
	w.mu.Unlock()
	if err := w.seal(ctx, name); err != nil {
		return fmt.Errorf("seal %s: %w", name, err)
	}
	w.mu.Lock()
	w.rotated = w.rotated[1:]
	w.mu.Unlock()
	return nil
}

func (w *Writer) seal(ctx context.Context, name string) error {
	l, err := readLive(filepath.Join(w.cfg.Dir, name))
	if err != nil {
		return err
	}
	order, ranges := l.order()
	if len(order) == 0 {
		return w.removeEmpty(name)
	}
	first := pos{ranges[0].Epoch, min(ranges[0].First, firstOf(name).seq)}
	seg := segmentName(first, pos{ranges[0].Epoch, ranges[0].Last})
	s, err := newSegmentWriter(filepath.Join(w.cfg.Dir, seg+tmpSuffix), newZstd(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	if err := l.writeTo(ctx, s, order, ranges); err != nil {
		s.abandon()
		return err
	}
	if err := w.commit(s, record{Op: opSeal, Segment: seg, Ranges: ranges, Inputs: []string{name}}); err != nil {
		return err
	}
	return os.Remove(filepath.Join(w.cfg.Dir, name))
}

func firstOf(name string) pos {
	p, _ := parseName(name)
	return p.first
}

// order sorts the events for a segment. An event that doesn't decode is left
// out: its frame's CRC was right, so it is the work of a later version.
func (l *liveLog) order() (order []sortedEvent, ranges []span64) {
	order = make([]sortedEvent, 0, len(l.events))
	var e activity.Event
	for i := range l.events {
		if l.event(i, &e) != nil {
			continue
		}
		k := keyOf(&e, 0)
		order = append(order, sortedEvent{k.time, k.group, int32(i)})
		ranges = addPos(ranges, pos{l.head.first.epoch, e.Seq}, e.Time)
	}
	slices.SortFunc(order, func(a, b sortedEvent) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.time, b.time), cmp.Compare(a.i, b.i))
	})
	return order, ranges
}

// sortedEvent is an event's sortKey, and its index in the live log, whose order
// is that of positions: 16 bytes, as there is one for each event in memory.
type sortedEvent struct {
	time  int64
	group uint32
	i     int32
}

func (k sortKey) compare(l sortKey) int {
	if k.group != l.group {
		return cmp.Compare(k.group, l.group)
	}
	if k.time != l.time {
		return cmp.Compare(k.time, l.time)
	}
	return k.at.compare(l.at)
}

func (l *liveLog) writeTo(ctx context.Context, s *segmentWriter, order []sortedEvent, ranges []span64) error {
	for n, o := range order {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.event(int(o.i), s.slot()); err != nil {
			return err
		}
		if err := s.add(l.head.first.epoch); err != nil {
			return err
		}
	}
	l.events = nil // the tables need the room
	return s.finish(ranges, l.procs, l.eachModules)
}

// commit gives a finished segment its name and its chain record. Until the
// record is on the disk, a crash makes the next Open undo it.
func (w *Writer) commit(s *segmentWriter, r record) error {
	sums, err := sumFiles(s.dir)
	if err != nil {
		s.abandon()
		return err
	}
	path := filepath.Join(w.cfg.Dir, r.Segment)
	if err := os.Rename(s.dir, path); err != nil {
		s.abandon()
		return err
	}
	if err = syncDir(w.cfg.Dir); err == nil {
		r.Time, r.Files, r.From, r.To = w.cfg.Now().UnixNano(), sums, s.from, s.to
		err = w.chain.append(r, true)
	}
	if err != nil {
		return errors.Join(err, removeSegment(w.cfg.Dir, r.Segment))
	}
	return nil
}
