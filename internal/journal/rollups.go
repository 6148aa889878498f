package journal

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// ErrChanged says that the recorder rearranged the record while it was being
// read in a way that cannot be made good: it is to be read again.
var ErrChanged = errors.New("the record changed meanwhile")

// Rollups calls visit for each row of the roll-ups, and with the process that
// it is of (nil: none, or not known): those of the segments as they are, and
// those that the live logs would have. Other than in a Summary, a key may come
// once a segment, in no order, and memory does not depend on how many there
// are. from and to (UTC ns; 0 open) select whole hours. What cannot be read is
// joined in the error, beside what was visited of the rest; after ErrChanged
// what was visited is worth nothing.
func (r *Reader) Rollups(ctx context.Context, from, to int64, visit func(*Rollup, *activity.Process)) error {
	v := rollupVisit{r: r, within: summing{from: from, to: to}, visit: visit}
	for again := true; again; {
		ps, err := r.following(v.next)
		if err != nil {
			return errors.Join(append(v.errs, err)...)
		}
		if len(ps) == 0 {
			break
		}
		if again, err = v.pieces(ctx, ps); err != nil {
			return err
		}
	}
	return errors.Join(v.errs...)
}

// rollupVisit is one reading of roll-ups.
type rollupVisit struct {
	r      *Reader
	within summing
	visit  func(*Rollup, *activity.Process)
	next   pos // everything before it has been visited
	errs   []error
}

// pieceRollups are those of one segment, as columns: rows are made when they are
// visited.
type pieceRollups struct {
	groups [][]chunkReader
	procs  *processTable
}

// visit visits the rows that are within the time.
func (p *pieceRollups) visit(v *rollupVisit) {
	var r Rollup
	var proc *activity.Process
	for _, cols := range p.groups {
		row := rowFields(&r, len(cols))
		for i, hour := range cols[0].longs {
			if !v.within.wants(hour) {
				continue
			}
			before := r.Process
			if row.get(cols, i); r.Process != before || proc == nil { // rows of one process follow each other
				proc = p.procs.process(activity.ProcessID(r.Process))
			}
			v.visit(&r, proc)
		}
	}
}

// pieces visits the roll-ups of pieces, and reports whether there may be more.
func (v *rollupVisit) pieces(ctx context.Context, ps []piece) (again bool, err error) {
	read := func(_ context.Context, _ *groupReader, i int) (pieceRollups, error) {
		if ps[i].live {
			return pieceRollups{}, nil // it grows: it is read when its turn comes
		}
		return v.read(ps[i])
	}
	again = true
	inOrder(ctx, len(ps), read, func(i int, rolls pieceRollups, failed error) bool {
		p := ps[i]
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
			return false
		case v.next != (pos{}) && p.first.less(v.next):
			err = ErrChanged // merged from what was visited, and more
			return false
		}
		end := p.last
		if p.live {
			end, failed = v.live(p)
		}
		if failed = v.r.fault(p, failed); errors.Is(failed, errGone) {
			return false // what covers it is in the next listing
		} else if failed != nil {
			v.errs = append(v.errs, failed)
		}
		rolls.visit(v)
		v.next = end.next()
		again = i < len(ps)-1 || !p.live // what the last one has got since is not asked for
		return true
	})
	return again, err
}

// read reads the roll-ups of a segment.
func (v *rollupVisit) read(p piece) (rolls pieceRollups, err error) {
	path := filepath.Join(v.r.dir, p.name)
	err = readGroups[Rollup](filepath.Join(path, rollupFile), func(cols []chunkReader, _ int) error {
		if slices.ContainsFunc(cols[0].longs, v.within.wants) {
			rolls.groups = append(rolls.groups, cols)
		}
		return nil
	})
	if err == nil && len(rolls.groups) > 0 {
		rolls.procs, err = openProcesses(path)
	}
	if err != nil {
		rolls.groups = nil
	}
	return rolls, err
}

// live visits what would be the roll-ups of a live log, and gives its last position.
func (v *rollupVisit) live(p piece) (end pos, err error) {
	l, err := readLive(filepath.Join(v.r.dir, p.name))
	if err != nil {
		return p.first, err
	}
	end = p.first
	var roll rollup
	var e activity.Event
	for i := range l.events {
		if l.event(i, &e) != nil {
			continue // a later version's: its frame is whole
		}
		if at := (pos{p.first.epoch, e.Seq}); end.less(at) {
			end = at
		}
		if v.within.wants(e.Time - mod(e.Time, nsPerHour)) {
			roll.add(&e)
		}
	}
	for _, row := range roll.rows() {
		v.visit(&row, l.procs[activity.ProcessID(row.Process)])
	}
	return end, nil
}
