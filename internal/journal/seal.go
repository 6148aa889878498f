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

// sealer is the memory that sealing takes. It is kept while segments follow
// each other closely: to give it back each time would make the garbage collector
// cost more than sealing itself.
type sealer struct {
	log   liveLog
	order []uint64 // of the log's events, as rows
	times []int64  // of the log's events
	kit   *segmentKit
}

func (w *Writer) seal(ctx context.Context, name string) error {
	if w.sealer == nil {
		w.sealer = &sealer{kit: newSegmentKit(zstd.SpeedFastest)}
	}
	z := w.sealer
	if _, err := z.log.read(filepath.Join(w.cfg.Dir, name)); err != nil {
		return err
	}
	if len(z.log.events) < w.cfg.SegmentRows { // a quiet machine, or the end
		w.sealer = nil
	}
	ranges := z.sort(activity.DecodeEventHead)
	if len(ranges) == 0 {
		return w.removeEmpty(name)
	}
	err := w.sealAs(ctx, z, name, ranges)
	if errors.Is(err, activity.ErrCorrupt) { // an event has a good head only: leave such out
		ranges = z.sort(func(b []byte, e *activity.Event) error { return activity.DecodeEvent(b, e, z.log.process) })
		if len(ranges) == 0 {
			return w.removeEmpty(name)
		}
		err = w.sealAs(ctx, z, name, ranges)
	}
	return err
}

// sealAs makes a segment of the events in z's order.
func (w *Writer) sealAs(ctx context.Context, z *sealer, name string, ranges []span64) error {
	first := pos{ranges[0].Epoch, min(ranges[0].First, firstOf(name).seq)}
	seg := segmentName(first, pos{ranges[0].Epoch, ranges[0].Last})
	s, err := newSegmentWriter(filepath.Join(w.cfg.Dir, seg+tmpSuffix), z.kit)
	if err != nil {
		return err
	}
	if err := z.writeTo(ctx, s, ranges); err != nil {
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

// sort orders the events for a segment. One that doesn't decode is left out: its
// frame's CRC was right, so it is the work of a later version.
func (z *sealer) sort(decode func([]byte, *activity.Event) error) (ranges []span64) {
	z.order, z.times = slices.Grow(z.order[:0], len(z.log.events)), slices.Grow(z.times[:0], len(z.log.events))
	var e activity.Event
	for i, at := range z.log.events {
		err := decode(z.log.data[at.from:at.to], &e)
		z.times = append(z.times, e.Time)
		if err != nil {
			continue
		}
		z.order = append(z.order, uint64(groupOf(&e))<<32|uint64(i))
		ranges = addPos(ranges, pos{z.log.head.first.epoch, e.Seq}, e.Time)
	}
	slices.Sort(z.order)
	z.sortTimes()
	return ranges
}

// sortTimes orders the events of each group, which are in the log's order, by
// time: that is the same but where the wall clock was set back.
func (z *sealer) sortTimes() {
	time := func(o uint64) int64 { return z.times[uint32(o)] }
	for from, to := 0, 0; from < len(z.order); from = to {
		ordered := true
		for to = from + 1; to < len(z.order) && z.order[to]>>32 == z.order[from]>>32; to++ {
			ordered = ordered && time(z.order[to-1]) <= time(z.order[to])
		}
		if !ordered {
			slices.SortStableFunc(z.order[from:to], func(a, b uint64) int { return cmp.Compare(time(a), time(b)) })
		}
	}
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

func (z *sealer) writeTo(ctx context.Context, s *segmentWriter, ranges []span64) error {
	for n, o := range z.order {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := z.log.event(int(uint32(o)), s.slot()); err != nil {
			return err
		}
		if err := s.add(z.log.head.first.epoch); err != nil {
			return err
		}
	}
	return s.finish(ranges, z.log.procs, z.log.eachModules)
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
