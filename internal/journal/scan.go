package journal

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// rowRange is rows [from, to) of a row group.
type rowRange struct{ from, to int }

// candidates returns the rows of a row group among which all that the query
// wants are, in order. first is the row group's first row in the file.
func (s *segment) candidates(g *groupMeta, first int64, q *Query) ([]rowRange, error) {
	rows := g.rows
	all := []rowRange{{0, rows}}
	only := func(col int, want func(lo, hi int64) bool) (err error) {
		all, err = s.within(g, col, all, want)
		return err
	}
	if q.From != 0 || q.To != 0 {
		if err := only(colTime, func(lo, hi int64) bool { return (q.To == 0 || lo < q.To) && (q.From == 0 || hi >= q.From) }); err != nil {
			return nil, err
		}
	}
	if q.coverageOnly() { // they have no port, and so come first
		if err := only(colService, func(lo, _ int64) bool { return lo == 0 }); err != nil {
			return nil, err
		}
	}
	if len(q.Ports) > 0 && s.sortedBy(q.Ports) {
		from := int(min(max(s.mixed-first, 0), int64(rows)))
		mixed := clip(all, from, rows)
		all = clip(all, 0, from)
		err := only(colService, func(lo, hi int64) bool {
			return slices.ContainsFunc(q.Ports, func(p filter.PortRange) bool { return int64(p.Lo) <= hi && int64(p.Hi) >= lo })
		})
		if err != nil {
			return nil, err
		}
		all = append(all, mixed...)
	}
	if len(all) > 0 && len(q.Addrs) > 0 {
		if maybe, err := s.mayHold(g, q.Addrs); err != nil || !maybe {
			return nil, err
		}
	}
	return all, nil
}

// sortedBy reports whether ports are found by the service port: all are low, and
// none is 0, which never is the service port beside another.
func (s *segment) sortedBy(ports []filter.PortRange) bool {
	return !slices.ContainsFunc(ports, func(p filter.PortRange) bool { return p.Hi >= s.low || p.Lo == 0 })
}

// mayHold asks the Bloom filters; a prefix of more than one address is always
// possible.
func (s *segment) mayHold(g *groupMeta, addrs []netip.Prefix) (bool, error) {
	for _, p := range addrs {
		if !p.IsSingleIP() {
			return true, nil
		}
		h := xxhash.Sum64([]byte(p.Addr().WithZone("").String()))
		for _, c := range []int{colLocalIP, colRemoteIP} {
			b := g.chunks[c].bloom
			size := int64(b.size) &^ 31 // the header is shorter than a block
			if size == 0 {
				return true, nil
			}
			f := offsetReader{s.f, b.at + int64(b.size) - size}
			if ok, err := bloom.CheckSplitBlock(f, size, h); ok || err != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// within keeps of ranges what is in pages whose bounds of a column want accepts.
func (s *segment) within(g *groupMeta, col int, ranges []rowRange, want func(lo, hi int64) bool) ([]rowRange, error) {
	c := &g.chunks[col]
	if len(ranges) == 0 || c.bounded && !want(c.lo, c.hi) {
		return nil, nil
	}
	var index format.ColumnIndex
	var places format.OffsetIndex
	if err := errors.Join(s.part(c.index, &index), s.part(c.places, &places)); err != nil {
		return nil, fmt.Errorf("%w: page index: %w", errFile, err)
	}
	n := len(places.PageLocations)
	if len(index.MinValues) != n || len(index.MaxValues) != n {
		return nil, fmt.Errorf("%w: page index", errFile)
	}
	var rs []rowRange
	for i := range n {
		if !number(index.MinValues[i]) || !number(index.MaxValues[i]) {
			return nil, fmt.Errorf("%w: page index", errFile)
		}
		if !want(plainInt(index.MinValues[i]), plainInt(index.MaxValues[i])) {
			continue
		}
		r := rowRange{int(places.PageLocations[i].FirstRowIndex), g.rows}
		if i+1 < n {
			r.to = int(places.PageLocations[i+1].FirstRowIndex)
		}
		if k := len(rs); k > 0 && rs[k-1].to == r.from {
			rs[k-1].to = r.to
		} else {
			rs = append(rs, r)
		}
	}
	return intersect(ranges, rs), nil
}

// part reads a structure at an offset of the file.
func (s *segment) part(p part, v any) error {
	b := make([]byte, p.size)
	if _, err := s.f.ReadAt(b, p.at); err != nil {
		return err
	}
	return unmarshal(b, v)
}

// clip keeps of ranges what is in [from, to).
func clip(rs []rowRange, from, to int) []rowRange { return intersect(rs, []rowRange{{from, to}}) }

func intersect(a, b []rowRange) (out []rowRange) {
	for len(a) > 0 && len(b) > 0 {
		r := rowRange{max(a[0].from, b[0].from), min(a[0].to, b[0].to)}
		if r.from < r.to {
			out = append(out, r)
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// found is one event that a scan selected, in binary form.
type found struct {
	at       pos
	from, to int // in selection.buf
}

// selection is what a scan selected: sorted by position, and compact, so that
// the whole of a large segment fits in memory. It is handed from the goroutine
// that scanned to another, and shares nothing with the segment.
type selection struct {
	buf    []byte
	events []found
	procs  map[activity.ProcessID]*activity.Process // that the events name
	last   *activity.Process                        // noted in procs last
}

func (s *selection) add(e *activity.Event, epoch uint64) {
	n := len(s.buf)
	s.buf = activity.AppendEvent(s.buf, e)
	s.events = append(s.events, found{pos{epoch, e.Seq}, n, len(s.buf)})
	s.note(e.Process)
	s.note(e.Holder)
	for _, p := range e.Holders {
		s.note(p)
	}
}

func (s *selection) note(p *activity.Process) {
	if p == nil || p == s.last {
		return
	}
	if s.procs == nil {
		s.procs = make(map[activity.ProcessID]*activity.Process)
	}
	s.procs[p.ID], s.last = p, p
}

func (s *selection) lookup(id activity.ProcessID) *activity.Process { return s.procs[id] }

func (s *selection) sort() {
	slices.SortFunc(s.events, func(a, b found) int { return cmp.Or(a.at.compare(b.at), cmp.Compare(a.from, b.from)) })
}

// event decodes the i-th event.
func (s *selection) event(i int, e *activity.Event) error {
	f := s.events[i]
	return activity.DecodeEvent(s.buf[f.from:f.to], e, s.lookup)
}

// scan selects what q wants from the position after on. What it could read
// before an error is returned with it.
func (s *segment) scan(r *groupReader, q *Query, from pos, stop func() error) (sel *selection, err error) {
	sel = new(selection)
	defer sel.sort()
	err = guarded(func() error {
		return s.each(r, q, stop, func(_ int, rows []int) error {
			if err := s.load(r); err != nil {
				return err
			}
			return r.events(rows, func(e *activity.Event, epoch uint64) {
				if at := (pos{epoch, e.Seq}); !at.less(from) && q.match(e) {
					sel.add(e, epoch)
				}
			})
		})
	})
	return sel, cmp.Or(err, s.trouble())
}

// guarded calls f: the Parquet library panics on some damage.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	return f()
}

// each gives visit the rows of r's row group that are within q's hints, some
// hundreds at a time, group by group: first is the group's first row in the file.
func (s *segment) each(r *groupReader, q *Query, stop func() error, visit func(first int, rows []int) error) error {
	if q.Never || q.To != 0 && s.from >= q.To || s.to < q.From && q.From != 0 {
		return nil
	}
	r.open(s)
	first := 0
	for i := range s.file.groups {
		g := &s.file.groups[i]
		rs, err := s.candidates(g, int64(first), q)
		if err == nil && len(rs) > 0 {
			err = r.eachOf(g, rs, q, stop, func(rows []int) error { return visit(first, rows) })
		}
		if err != nil {
			return err
		}
		first += g.rows
	}
	return nil
}

func (r *groupReader) eachOf(g *groupMeta, rs []rowRange, q *Query, stop func() error, visit func(rows []int) error) error {
	wanted := 0
	for _, x := range rs {
		wanted += x.to - x.from
	}
	r.group(g, 4*wanted >= g.rows)
	for _, x := range rs {
		for at := x.from; at < x.to; {
			if err := stop(); err != nil {
				return err
			}
			end := min(x.to, at-at%pageRows+pageRows)
			rows, err := r.choose(at, end, q)
			if err == nil && len(rows) > 0 {
				err = visit(rows)
			}
			if err != nil {
				return err
			}
			at = end
		}
	}
	return nil
}
