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

// walk is Events with positions. Segments are scanned ahead, on as many
// processors as there are.
func (r *Reader) walk(ctx context.Context, q Query, yield yielder) {
	next := pos{} // everything before it has been read
	for {
		ps, err := r.following(next)
		if err != nil {
			yield(next, nil, err)
			return
		}
		if len(ps) == 0 || !r.pieces(ctx, ps, &next, &q, yield) {
			return
		}
	}
}

// pieces yields what q asks for in these pieces, from next on, which it moves.
// It returns false when that was all there is, or enough.
func (r *Reader) pieces(ctx context.Context, ps []piece, next *pos, q *Query, yield yielder) (again bool) {
	from := *next
	scan := func(ctx context.Context, g *groupReader, i int) (*selection, error) {
		if ps[i].live {
			return nil, nil // it grows: it is read when its turn comes
		}
		return r.segment(ctx, g, ps[i], from, q)
	}
	again = true
	inOrder(ctx, len(ps), scan, func(i int, sel *selection, err error) bool {
		end, more, err := r.piece(ctx, ps[i], sel, err, *next, q, yield)
		if errors.Is(err, errGone) {
			return false // what covers it is in the next listing
		}
		if err != nil {
			var c *CorruptError
			more = yield(end, nil, err) && errors.As(err, &c)
		}
		// The last live log may have grown since; what it has now is not asked for.
		again = more && (i < len(ps)-1 || !ps[i].live)
		*next = end.next()
		return more
	})
	return again
}

// following returns the pieces with positions from next on.
func (r *Reader) following(next pos) ([]piece, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(l.pieces, func(p piece) bool {
		end := p.last
		if p.live { // one that begins before next has been read whole
			end = p.first
		}
		return end.less(next)
	}), nil
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
// piece's last position. Of a segment it is given what scanning it gave. Nothing
// has been yielded when the error is errGone.
func (r *Reader) piece(ctx context.Context, p piece, sel *selection, scanned error, next pos, q *Query, yield yielder) (end pos, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return end, false, err
	}
	if p.live {
		return r.live(p, next, q, yield)
	}
	if errors.Is(scanned, errGone) {
		return p.last, false, scanned
	}
	for i := range sel.events {
		e := new(activity.Event)
		if err := sel.event(i, e); err != nil {
			return p.last, true, r.fault(p, err)
		}
		if !yield(sel.events[i].at, e, nil) {
			return p.last, false, nil
		}
	}
	return p.last, true, scanned
}

// segment selects from a sealed segment.
func (r *Reader) segment(ctx context.Context, g *groupReader, p piece, next pos, q *Query) (*selection, error) {
	s, err := openSegment(filepath.Join(r.dir, p.name))
	if err != nil {
		return &selection{}, r.fault(p, err)
	}
	defer s.close()
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
		if err := activity.DecodeEventHead(l.data[l.events[i].from:l.events[i].to], &scratch); err != nil {
			continue // a later version's: its frame is whole
		}
		at := pos{p.first.epoch, scratch.Seq}
		if end.less(at) {
			end = at
		}
		if at.less(next) || !q.within(&scratch) || l.event(i, &scratch) != nil || !q.match(&scratch) {
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
	if n <= 0 {
		return nil, nil
	}
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	slices.Reverse(l.pieces)
	var newest []*activity.Event
	var errs []error
	gone := false
	scan := func(ctx context.Context, g *groupReader, i int) (*selection, error) {
		if l.pieces[i].live {
			return nil, nil
		}
		sel, err := r.segment(ctx, g, l.pieces[i], pos{}, &q)
		sel.events = sel.events[max(len(sel.events)-n, 0):]
		return sel, err
	}
	inOrder(ctx, len(l.pieces), scan, func(i int, sel *selection, err error) bool {
		var es []*activity.Event
		_, _, err = r.piece(ctx, l.pieces[i], sel, err, pos{}, &q, func(_ pos, e *activity.Event, err error) bool {
			if err != nil {
				errs = append(errs, err)
			} else if es = append(es, e); len(es) >= 2*n+64 { // keep the last n only
				es = append(es[:0], es[len(es)-n:]...)
			}
			return true
		})
		if gone = errors.Is(err, errGone); gone {
			return false
		}
		if err != nil {
			errs = append(errs, err)
		}
		newest = append(es, newest...)
		return len(newest) < n
	})
	if gone {
		return r.Tail(ctx, q, n)
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
