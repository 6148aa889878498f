package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/portreporter/portreporter/internal/activity"
)

const (
	minMerge     = 4 // segments merged at once
	maxMerge     = 8
	maxMergeSpan = 24 * time.Hour // of a merged segment, so that retention by age stays fine
)

// Merge makes one segment of several small neighbours, if there are enough of
// them, and reports whether it did. It is work for idle times: until it returns
// false there is more to do.
func (w *Writer) Merge(ctx context.Context) (bool, error) {
	w.sealing.Lock()
	defer w.sealing.Unlock()
	l, err := list(w.cfg.Dir)
	if err != nil {
		return false, err
	}
	run, err := w.mergeable(l.pieces)
	if err != nil || run == nil {
		return false, err
	}
	if err := w.merge(ctx, run); err != nil {
		return false, fmt.Errorf("merge %s and %d more: %w", run[0].name, len(run)-1, err)
	}
	return true, nil
}

// outline is what merging needs to know of a segment beforehand.
type outline struct {
	piece
	rows     uint64
	from, to int64
	ranges   []span64
}

// mergeable finds the first run of neighbours that are worth merging.
func (w *Writer) mergeable(pieces []piece) ([]outline, error) {
	var run []outline
	for _, p := range pieces {
		if p.live {
			break
		}
		o, err := w.outline(p)
		if err != nil {
			return nil, err
		}
		run = append(run, o)
		for !w.fits(run) {
			run = run[1:]
		}
		if r := worthwhile(run); len(r) == maxMerge || r != nil && 2*rowsOf(r) > uint64(w.cfg.MergeRows) {
			return r, nil
		}
		if len(run) == maxMerge {
			run = run[1:]
		}
	}
	return worthwhile(run), nil
}

// worthwhile returns the end of a run in which no segment is larger than the
// others together, so that a segment is rewritten only when it at least
// doubles; nil if that is too short.
func worthwhile(run []outline) []outline {
	for len(run) >= minMerge && 2*largest(run) > rowsOf(run) {
		run = run[1:]
	}
	if len(run) < minMerge {
		return nil
	}
	return run
}

func (w *Writer) fits(run []outline) bool {
	from, to := run[0].from, run[0].to
	for _, o := range run {
		from, to = min(from, o.from), max(to, o.to)
	}
	return len(run) == 1 || rowsOf(run) <= uint64(w.cfg.MergeRows) && time.Duration(to-from) <= maxMergeSpan
}

func rowsOf(run []outline) (n uint64) {
	for _, o := range run {
		n += o.rows
	}
	return n
}

func largest(run []outline) (n uint64) {
	for _, o := range run {
		n = max(n, o.rows)
	}
	return n
}

func (w *Writer) outline(p piece) (outline, error) {
	s, err := openSegment(filepath.Join(w.cfg.Dir, p.name))
	if err != nil {
		return outline{}, &CorruptError{Name: p.name, Cause: err}
	}
	return outline{p, uint64(s.file.rows), s.from, s.to, s.ranges}, s.close()
}

func (w *Writer) merge(ctx context.Context, run []outline) error {
	r := record{Op: opMerge, Segment: segmentName(run[0].first, run[len(run)-1].last)}
	for _, o := range run {
		r.Inputs = append(r.Inputs, o.name)
		r.Ranges = joinRanges(r.Ranges, o.ranges)
	}
	s, err := newSegmentWriter(filepath.Join(w.cfg.Dir, r.Segment+tmpSuffix), newSegmentKit(zstd.SpeedDefault))
	if err != nil {
		return err
	}
	if err := w.mergeTo(ctx, s, run, r.Ranges); err != nil {
		s.abandon()
		return err
	}
	if err := w.commit(s, r); err != nil {
		return err
	}
	var errs []error
	for _, o := range run {
		errs = append(errs, removeSegment(w.cfg.Dir, o.name))
	}
	return errors.Join(errs...)
}

func (w *Writer) mergeTo(ctx context.Context, s *segmentWriter, run []outline, ranges []span64) (err error) {
	var cursors []*cursor
	defer func() {
		for _, c := range cursors {
			c.close()
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	procs := make(map[activity.ProcessID]*activity.Process)
	for _, o := range run {
		c, err := newCursor(filepath.Join(w.cfg.Dir, o.name))
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
		for id, p := range c.s.procs.all {
			if q := procs[id]; q == nil || q.Rev <= p.Rev {
				procs[id] = p
			}
		}
		if err := c.s.trouble(); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := least(cursors)
		if c == nil {
			break
		}
		*s.slot() = *c.event()
		if err := s.add(c.key.at.epoch); err != nil {
			return err
		}
		if err := c.advance(); err != nil {
			return err
		}
	}
	for _, c := range cursors {
		c.close()
	}
	cursors = nil
	return s.finish(ranges, procs, func(yield func(*activity.ModuleSet) bool) {
		for _, m := range sortedValues(w.unionModules(run)) {
			if !yield(m) {
				return
			}
		}
	})
}

// unionModules collects the module sets of several segments. Damage to them
// does not stop merging: the chain has the sums of the files that were whole.
func (w *Writer) unionModules(run []outline) map[activity.ModuleSetID]*activity.ModuleSet {
	all := make(map[activity.ModuleSetID]*activity.ModuleSet)
	for _, o := range run {
		sets, _ := readModules(filepath.Join(w.cfg.Dir, o.name))
		for id, s := range sets {
			all[id] = s
		}
	}
	return all
}

// cursor walks the rows of a segment in their order.
type cursor struct {
	s     *segment
	r     *groupReader
	group int // the next row group
	row   int // of the one before it, after the batch
	i     int // the current event of r's batch
	epoch *chunkReader
	from  int // the batch's first row
	key   sortKey
	done  bool
}

func newCursor(dir string) (*cursor, error) {
	s, err := openSegment(dir)
	if err != nil {
		return nil, err
	}
	c := &cursor{s: s, r: newGroupReader(), i: -1}
	if err := s.load(c.r); err != nil {
		c.close()
		return nil, err
	}
	c.r.open(s)
	return c, c.advance()
}

func (c *cursor) event() *activity.Event { return &c.r.batch[c.i] }

func (c *cursor) advance() error {
	for c.i++; c.i >= len(c.r.batch); c.i = 0 {
		if err := c.next(); err != nil || c.done {
			return err
		}
	}
	epoch, _ := c.epoch.at(c.from + c.i)
	c.key = keyOf(c.event(), uint64(epoch))
	return nil
}

// next reads the next batch, of the next row group if need be.
func (c *cursor) next() (err error) {
	if c.r.g == nil || c.row == c.r.g.rows {
		if c.group == len(c.s.file.groups) {
			c.done = true
			return nil
		}
		c.r.group(&c.s.file.groups[c.group], false)
		c.group, c.row = c.group+1, 0
	}
	c.from = c.row
	c.row = min(c.row+rowBatch, c.row-c.row%pageRows+pageRows, c.r.g.rows)
	c.r.rows = c.r.rows[:0]
	for row := range c.row - c.from {
		c.r.rows = append(c.r.rows, c.from+row)
	}
	c.r.batch = resize(c.r.batch, len(c.r.rows))
	clear(c.r.batch)
	if err := c.r.fill(c.r.rows); err != nil {
		return err
	}
	c.epoch, err = c.r.seek(colEpoch, c.from, c.row)
	return err
}

func (c *cursor) close() {
	c.r.close()
	c.s.close()
}

// least returns the cursor whose event comes first, nil when all are done.
func least(cs []*cursor) (l *cursor) {
	for _, c := range cs {
		if !c.done && (l == nil || c.key.compare(l.key) < 0) {
			l = c
		}
	}
	return l
}

// Retain removes segments whose events are all older than MaxAge, and the
// oldest ones while the directory is larger than MaxBytes. It returns the names
// of what it removed. Live logs stay.
func (w *Writer) Retain(now time.Time) (removed []string, err error) {
	w.sealing.Lock()
	defer w.sealing.Unlock()
	l, err := list(w.cfg.Dir)
	if err != nil {
		return nil, err
	}
	total, err := dirBytes(w.cfg.Dir)
	if err != nil {
		return nil, err
	}
	for _, p := range l.pieces {
		if p.live {
			continue
		}
		why, err := w.expired(p, now, total)
		if err != nil || why == "" {
			return removed, err
		}
		size, err := dirBytes(filepath.Join(w.cfg.Dir, p.name))
		if err != nil {
			return removed, err
		}
		if err := w.chain.append(record{Time: now.UnixNano(), Op: opRemove, Segment: p.name, Reason: why}, true); err != nil {
			return removed, err
		}
		if err := removeSegment(w.cfg.Dir, p.name); err != nil {
			return removed, err
		}
		total -= size
		removed = append(removed, p.name)
	}
	return removed, nil
}

// expired tells why a segment is to be removed, "" if it isn't.
func (w *Writer) expired(p piece, now time.Time, total int64) (string, error) {
	if w.cfg.MaxBytes > 0 && total > w.cfg.MaxBytes {
		return fmt.Sprintf("over %d bytes", w.cfg.MaxBytes), nil
	}
	if w.cfg.MaxAge <= 0 {
		return "", nil
	}
	s, err := openSegment(filepath.Join(w.cfg.Dir, p.name))
	if err != nil {
		return "", &CorruptError{Name: p.name, Cause: err}
	}
	defer s.close()
	if s.to < now.Add(-w.cfg.MaxAge).UnixNano() {
		return fmt.Sprintf("older than %v", w.cfg.MaxAge), nil
	}
	return "", nil
}

// dirBytes sums the sizes of the files below a directory. What vanishes
// meanwhile is not counted.
func dirBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if i, err := d.Info(); err == nil {
			n += i.Size()
		}
		return nil
	})
	return n, err
}
