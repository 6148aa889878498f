package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// Reader reads a journal, also while a recorder writes it. It takes no lock and
// keeps nothing open between calls; its methods may be called concurrently.
type Reader struct{ dir string }

// OpenReader returns a reader of the journal in dir.
func OpenReader(dir string) (*Reader, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("read journal: %s is no directory", dir)
	}
	return &Reader{dir: dir}, nil
}

// Events yields the events that q asks for in the order of the record: by epoch
// and sequence number, which is the order in time unless the clock was set
// back. What cannot be read is yielded as a *CorruptError in its place, and
// reading goes on; any other error ends it. Events are the caller's to keep.
// Events that are appended meanwhile may or may not be seen.
func (r *Reader) Events(ctx context.Context, q Query) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		r.walk(ctx, q, func(_ pos, e *activity.Event, err error) bool { return yield(e, err) })
	}
}

// yielder takes an event and its position, or an error. It returns false to end.
type yielder func(pos, *activity.Event, error) bool

// walk is Events with positions.
func (r *Reader) walk(ctx context.Context, q Query, yield yielder) {
	var next pos // everything before it has been read
	for {
		p, last, err := r.following(next)
		if err != nil {
			yield(next, nil, err)
			return
		}
		if p.name == "" {
			return
		}
		end, more, err := r.piece(ctx, p, next, &q, yield)
		if errors.Is(err, errGone) {
			continue // what covers it is in the next listing
		}
		if err != nil {
			var c *CorruptError
			more = yield(end, nil, err) && errors.As(err, &c)
		}
		// The last live log may have grown since; what it has now is not asked for.
		if !more || last && p.live {
			return
		}
		next = end.next()
	}
}

// following returns the first piece with positions from next on, and whether it
// is the last of all; or no piece.
func (r *Reader) following(next pos) (p piece, last bool, err error) {
	l, err := list(r.dir)
	if err != nil {
		return piece{}, false, err
	}
	for i, p := range l.pieces {
		end := p.last
		if p.live { // one that begins before next has been read whole
			end = p.first
		}
		if !end.less(next) {
			return p, i == len(l.pieces)-1, nil
		}
	}
	return piece{}, false, nil
}

// errGone says that a piece was sealed, merged or removed after it was listed.
var errGone = errors.New("gone")

// fault tells what an error in reading a piece means: that it is gone, or that
// it is corrupt, after which reading goes on.
func (r *Reader) fault(p piece, err error) error {
	var c *CorruptError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if _, e := os.Stat(filepath.Join(r.dir, p.name)); errors.Is(e, fs.ErrNotExist) {
			return errGone
		}
	}
	if errors.As(err, &c) {
		return err
	}
	return &CorruptError{Name: p.name, Cause: err}
}

// piece yields what q asks for in one piece, from next on, and returns the
// piece's last position. Nothing has been yielded when the error is errGone.
func (r *Reader) piece(ctx context.Context, p piece, next pos, q *Query, yield yielder) (end pos, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return end, false, err
	}
	if p.live {
		return r.live(p, next, q, yield)
	}
	sel, err := r.segment(ctx, p, next, q)
	if e := ctx.Err(); e != nil {
		return p.last, false, e
	}
	if errors.Is(err, errGone) {
		return p.last, false, err
	}
	for i := range sel.events {
		e := new(activity.Event)
		if e2 := sel.event(i, e); e2 != nil {
			return p.last, true, r.fault(p, e2)
		}
		if !yield(sel.events[i].at, e, nil) {
			return p.last, false, nil
		}
	}
	return p.last, true, err
}

// segment selects from a sealed segment.
func (r *Reader) segment(ctx context.Context, p piece, next pos, q *Query) (*selection, error) {
	s, err := openSegment(filepath.Join(r.dir, p.name))
	if err != nil {
		return &selection{}, r.fault(p, err)
	}
	defer s.close()
	g, err := newGroupReader()
	if err != nil {
		return &selection{}, err
	}
	defer g.src.dec.Close()
	sel, err := s.scan(g, q, next, ctx.Err)
	return sel, r.fault(p, err)
}

// live yields from a live log. Its end is the last event that it held: what is
// appended after, the next look finds.
func (r *Reader) live(p piece, next pos, q *Query, yield yielder) (end pos, more bool, err error) {
	l, err := readLive(filepath.Join(r.dir, p.name))
	if err != nil {
		return p.first, true, r.fault(p, err)
	}
	end = p.first
	var scratch activity.Event
	for i := range l.events {
		if err := l.event(i, &scratch); err != nil {
			continue // a later version's: its frame is whole
		}
		at := pos{p.first.epoch, scratch.Seq}
		if end.less(at) {
			end = at
		}
		if at.less(next) || !q.within(&scratch) || !q.match(&scratch) {
			continue
		}
		e := scratch
		if !yield(at, &e, nil) {
			return end, false, nil
		}
	}
	for _, d := range l.damage {
		if !yield(end, nil, &CorruptError{Name: p.name, From: int64(d.from), To: int64(d.to)}) {
			return end, false, nil
		}
	}
	return end, true, nil
}

// Tail returns the newest n events that q asks for, oldest first. Errors of
// what cannot be read are joined, and come with what can.
func (r *Reader) Tail(ctx context.Context, q Query, n int) ([]*activity.Event, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	var newest []*activity.Event
	var errs []error
	for _, p := range slices.Backward(l.pieces) {
		if len(newest) >= n {
			break
		}
		var es []*activity.Event
		_, _, err := r.piece(ctx, p, pos{}, &q, func(_ pos, e *activity.Event, err error) bool {
			if err != nil {
				errs = append(errs, err)
			} else if es = append(es, e); len(es) >= 2*n+64 { // keep the last n only
				es = append(es[:0], es[len(es)-n:]...)
			}
			return true
		})
		if errors.Is(err, errGone) {
			return r.Tail(ctx, q, n)
		}
		if err != nil {
			errs = append(errs, err)
		}
		newest = append(es, newest...)
	}
	return newest[max(len(newest)-n, 0):], errors.Join(errs...)
}

// Modules returns a module set by its number, or nil if the record doesn't hold
// it. The newest pieces are looked at first.
func (r *Reader) Modules(id activity.ModuleSetID) (*activity.ModuleSet, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range slices.Backward(l.pieces) {
		sets, err := r.modules(p)
		if s := sets[id]; s != nil {
			return s, nil
		}
		if err := r.fault(p, err); errors.Is(err, errGone) {
			return r.Modules(id)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(errs...)
}

func (r *Reader) modules(p piece) (map[activity.ModuleSetID]*activity.ModuleSet, error) {
	path := filepath.Join(r.dir, p.name)
	if !p.live {
		return readModules(path)
	}
	l, err := readLive(path)
	if err != nil {
		return nil, err
	}
	return l.modules(), nil
}
