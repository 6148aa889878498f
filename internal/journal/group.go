package journal

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// offsetReader is a part of a file from an offset on.
type offsetReader struct {
	io.ReaderAt
	at int64
}

func (r offsetReader) ReadAt(b []byte, at int64) (int, error) { return r.ReaderAt.ReadAt(b, r.at+at) }

// groupReader reads row groups of segments, one after the other, and of each
// the columns and pages that are asked for.
type groupReader struct {
	src   pageSource
	defs  []eventColumn
	cols  [numColumns]chunkReader
	ready [numColumns]bool // cols is of the present row group
	g     *groupMeta
	all   bool // most of it will be read

	dec   decoder
	made  processCache
	batch []activity.Event
	rows  []int
	match [numColumns][]bool // of the entries of a dictionary, those that the query wants
}

func newGroupReader() *groupReader {
	r := &groupReader{src: pageSource{dec: newDecompressor()}, defs: eventColumns(), made: make(processCache)}
	for i, s := range columnsOf(reflect.TypeFor[eventSchema]()) {
		r.cols[i].spec = s
	}
	return r
}

func (r *groupReader) close() { r.src.dec.Close() }

// open turns to a segment.
func (r *groupReader) open(s *segment) { r.src.f, r.dec.lookup = s.f, s.process }

// group turns to a row group.
func (r *groupReader) group(g *groupMeta, all bool) {
	r.g, r.all = g, all
	clear(r.ready[:])
	for i := range r.match {
		r.match[i], r.dec.addrs[i], r.dec.texts[i] = r.match[i][:0], r.dec.addrs[i][:0], nil
	}
}

// col returns a column's reader, turned to the row group.
func (r *groupReader) col(i int) (*chunkReader, error) {
	c := &r.cols[i]
	if r.ready[i] {
		return c, nil
	}
	if err := c.use(&r.src, &r.g.chunks[i], r.g.rows, r.all); err != nil {
		return nil, fmt.Errorf("column %s: %w", r.defs[i].name, err)
	}
	r.ready[i] = true
	return c, nil
}

// dictionary returns a column's reader with its dictionary read.
func (r *groupReader) dictionary(i int) (*chunkReader, error) {
	c, err := r.col(i)
	if err != nil {
		return nil, err
	}
	if c.entries < 0 {
		if err := c.dictionary(); err != nil {
			return nil, fmt.Errorf("column %s: %w", r.defs[i].name, err)
		}
	}
	if len(c.texts) > 0 && r.dec.texts[i] == nil {
		r.dec.texts[i] = c.texts
		if word := r.defs[i].word; word != nil {
			for _, t := range c.texts {
				n, err := word(string(t))
				if err != nil {
					return nil, fmt.Errorf("column %s: %w", r.defs[i].name, err)
				}
				c.nums = append(c.nums, int64(n))
			}
		}
	}
	return c, nil
}

// seek returns a column's reader with rows [from, to) decoded: they are of one
// page.
func (r *groupReader) seek(i, from, to int) (*chunkReader, error) {
	c, err := r.col(i)
	if err == nil && c.spec.dict {
		c, err = r.dictionary(i)
	}
	if err != nil {
		return nil, err
	}
	if err := c.seek(from, to); err != nil {
		return nil, fmt.Errorf("column %s: %w", r.defs[i].name, err)
	}
	return c, nil
}

// choose returns which of the rows [from, to), which are of one page, are within
// q's hints. The result is valid until the next call.
func (r *groupReader) choose(from, to int, q *Query) ([]int, error) {
	r.rows = r.rows[:0]
	for i := from; i < to; i++ {
		r.rows = append(r.rows, i)
	}
	for _, narrow := range []func(int, int, *Query) error{r.byKind, r.byAddr, r.byTime, r.byPort, r.bySocket} {
		if err := narrow(from, to, q); err != nil {
			return nil, err
		}
		if len(r.rows) == 0 {
			break
		}
	}
	return r.rows, nil
}

func (r *groupReader) keep(want func(row int) bool) {
	r.rows = slices.DeleteFunc(r.rows, func(row int) bool { return !want(row) })
}

func (r *groupReader) byTime(from, to int, q *Query) error {
	if q.From == 0 && q.To == 0 {
		return nil
	}
	c, err := r.seek(colTime, from, to)
	if err != nil {
		return err
	}
	r.keep(func(row int) bool {
		t := c.longs[row-c.from]
		return (q.From == 0 || t >= q.From) && (q.To == 0 || t < q.To)
	})
	return nil
}

func (r *groupReader) byPort(from, to int, q *Query) error {
	if len(q.Ports) == 0 {
		return nil
	}
	local, err := r.seek(colLocalPort, from, to)
	if err != nil {
		return err
	}
	remote, err := r.seek(colRemotePort, from, to)
	if err != nil {
		return err
	}
	r.keep(func(row int) bool {
		return q.port(uint16(local.longs[row-local.from])) || q.port(uint16(remote.longs[row-remote.from]))
	})
	return nil
}

func (r *groupReader) bySocket(from, to int, q *Query) error {
	if len(q.Sockets) == 0 {
		return nil
	}
	c, err := r.seek(colSocket, from, to)
	if err != nil {
		return err
	}
	r.keep(func(row int) bool { return q.Sockets[uint64(c.longs[row-c.from])] })
	return nil
}

// matching returns which entries of a column's dictionary the query wants, and
// whether any is.
func (r *groupReader) matching(i int, want func(c *chunkReader, entry int) bool) (match []bool, any bool, err error) {
	if len(r.match[i]) == 0 {
		c, err := r.dictionary(i)
		if err != nil {
			return nil, false, err
		}
		for k := range c.entries {
			r.match[i] = append(r.match[i], want(c, k))
		}
	}
	return r.match[i], slices.Contains(r.match[i], true), nil
}

func (r *groupReader) byKind(from, to int, q *Query) error {
	if q.Kinds == 0 {
		return nil
	}
	match, any, err := r.matching(colKind, func(c *chunkReader, k int) bool { return q.Kinds.Has(activity.Kind(c.nums[k])) })
	if err != nil || !any {
		r.rows = r.rows[:0]
		return err
	}
	c, err := r.seek(colKind, from, to)
	if err != nil {
		return err
	}
	r.keep(func(row int) bool { k := c.codes[row-c.from]; return k >= 0 && match[k] })
	return nil
}

// byAddr compares the texts of the dictionaries where single addresses are
// asked for, and parses them only for prefixes.
func (r *groupReader) byAddr(from, to int, q *Query) error {
	if len(q.Addrs) == 0 {
		return nil
	}
	var cols [2]*chunkReader
	var match [2][]bool
	some := false
	for n, i := range []int{colLocalIP, colRemoteIP} {
		var any bool
		var err error
		if match[n], any, err = r.matching(i, func(_ *chunkReader, k int) bool { return r.wantsAddr(i, k, q) }); err != nil {
			return err
		}
		some = some || any
	}
	if !some || r.dec.err != nil {
		r.rows = r.rows[:0]
		return r.dec.err
	}
	for n, i := range []int{colLocalIP, colRemoteIP} {
		var err error
		if cols[n], err = r.seek(i, from, to); err != nil {
			return err
		}
	}
	r.keep(func(row int) bool {
		for n, c := range cols {
			if k := c.codes[row-c.from]; k >= 0 && match[n][k] {
				return true
			}
		}
		return false
	})
	return nil
}

func (r *groupReader) wantsAddr(col, k int, q *Query) bool {
	return slices.ContainsFunc(q.Addrs, func(p netip.Prefix) bool { return p.Contains(r.dec.addr(col, int64(k))) })
}

// events makes events of rows, which choose returned, and gives each to visit.
// It is overwritten by the next.
func (r *groupReader) events(rows []int, visit func(e *activity.Event, epoch uint64)) error {
	r.batch = resize(r.batch, len(rows))
	clear(r.batch)
	if err := r.fill(rows); err != nil {
		return err
	}
	epoch, err := r.seek(colEpoch, rows[0], rows[len(rows)-1]+1)
	if err != nil {
		return err
	}
	for i := range r.batch {
		n, _ := epoch.at(rows[i])
		visit(&r.batch[i], uint64(n))
	}
	return nil
}

// fill sets all columns' values.
func (r *groupReader) fill(rows []int) error {
	for i := range r.defs {
		c, err := r.col(i)
		if err != nil {
			return err
		}
		if i == colEpoch || i == colService || c.empty() {
			continue
		}
		if c, err = r.seek(i, rows[0], rows[len(rows)-1]+1); err != nil {
			return err
		}
		set := r.defs[i].set
		for n, row := range rows {
			if v, ok := c.at(row); ok {
				set(&r.dec, &r.batch[n], v)
			}
		}
		if r.dec.err != nil {
			err := r.dec.err
			r.dec.err = nil
			return fmt.Errorf("column %s: %w", r.defs[i].name, err)
		}
	}
	return nil
}
