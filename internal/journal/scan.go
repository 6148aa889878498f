package journal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// segment is a sealed segment open for reading.
type segment struct {
	dir    string
	f      *os.File
	pf     *parquet.File
	from   int64 // times of its events
	to     int64
	mixed  int64 // rows from here on have two low ports
	low    uint16
	ranges []span64
	cols   []eventColumn
	procs  map[activity.ProcessID]*activity.Process // nil until needed
}

func openSegment(dir string) (s *segment, err error) {
	f, err := os.Open(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
		if err != nil {
			f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pf, err := parquet.OpenFile(f, st.Size(), parquet.OptimisticRead(true), parquet.ReadBufferSize(pageBytes))
	if err != nil {
		return nil, err
	}
	s = &segment{dir: dir, f: f, pf: pf, cols: eventColumns()}
	return s, s.readMeta()
}

// readMeta reads the footer's facts and checks that the columns are the known
// ones: later versions may add some at the end.
func (s *segment) readMeta() error {
	var err error
	number := func(key string) int64 {
		v, ok := s.pf.Lookup(key)
		n, e := strconv.ParseInt(v, 10, 64)
		if err == nil && (!ok || e != nil) {
			err = fmt.Errorf("no %s in the footer", key)
		}
		return n
	}
	if v := number(metaVersion); err == nil && v != segmentVersion {
		return fmt.Errorf("version %d: this program reads version %d", v, segmentVersion)
	}
	s.from, s.to, s.mixed, s.low = number(metaFrom), number(metaTo), number(metaMixed), uint16(number(metaMixMin))
	if err != nil {
		return err
	}
	rs, _ := s.pf.Lookup(metaRanges)
	if err := json.Unmarshal([]byte(rs), &s.ranges); err != nil || len(s.ranges) == 0 {
		return errors.New("no ranges in the footer")
	}
	paths := s.pf.Schema().Columns()
	for i, c := range s.cols {
		if i >= len(paths) || len(paths[i]) != 1 || paths[i][0] != c.name {
			return fmt.Errorf("column %s is missing", c.name)
		}
	}
	return nil
}

func (s *segment) close() error { return s.f.Close() }

// load reads the process table.
func (s *segment) load() (err error) {
	if s.procs == nil {
		s.procs, err = readProcesses(s.dir)
		if err != nil {
			err = &CorruptError{Name: filepath.Join(filepath.Base(s.dir), processesFile), Cause: err}
		}
	}
	return err
}

func (s *segment) process(id activity.ProcessID) *activity.Process { return s.procs[id] }

// rowRange is rows [from, to) of a row group.
type rowRange struct{ from, to int64 }

// candidates returns the rows of a row group among which all that the query
// wants are, in order. first is the row group's first row in the file.
func (s *segment) candidates(g parquet.RowGroup, first int64, q *Query) ([]rowRange, error) {
	all := []rowRange{{0, g.NumRows()}}
	chunks := g.ColumnChunks()
	if len(q.Addrs) > 0 {
		maybe, err := mayHold(chunks, q.Addrs)
		if err != nil || !maybe {
			return nil, err
		}
	}
	if q.From != 0 || q.To != 0 {
		rs, err := pages(chunks[colTime], g.NumRows(), func(lo, hi parquet.Value) bool {
			return (q.To == 0 || lo.Int64() < q.To) && (q.From == 0 || hi.Int64() >= q.From)
		})
		if err != nil {
			return nil, err
		}
		all = intersect(all, rs)
	}
	if q.coverageOnly() { // they have no port, and so come first
		rs, err := pages(chunks[colService], g.NumRows(), func(lo, _ parquet.Value) bool { return lo.Uint32() == 0 })
		return intersect(all, rs), err
	}
	if len(q.Ports) > 0 && s.sortedBy(q.Ports) {
		rs, err := pages(chunks[colService], g.NumRows(), func(lo, hi parquet.Value) bool {
			return slices.ContainsFunc(q.Ports, func(p filter.PortRange) bool { return uint32(p.Lo) <= hi.Uint32() && uint32(p.Hi) >= lo.Uint32() })
		})
		if err != nil {
			return nil, err
		}
		if from := max(s.mixed-first, 0); from < g.NumRows() {
			rs = append(clip(rs, from), rowRange{from, g.NumRows()})
		}
		all = intersect(all, rs)
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
func mayHold(chunks []parquet.ColumnChunk, addrs []netip.Prefix) (bool, error) {
	for _, p := range addrs {
		if !p.IsSingleIP() {
			return true, nil
		}
		v := parquet.ByteArrayValue([]byte(p.Addr().WithZone("").String()))
		for _, c := range []int{colLocalIP, colRemoteIP} {
			f := chunks[c].BloomFilter()
			if f == nil {
				return true, nil
			}
			if ok, err := f.Check(v); ok || err != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// pages returns the rows of the pages whose bounds want accepts.
func pages(c parquet.ColumnChunk, rows int64, want func(lo, hi parquet.Value) bool) ([]rowRange, error) {
	ci, err := c.ColumnIndex()
	if err != nil {
		return nil, err
	}
	oi, err := c.OffsetIndex()
	if err != nil {
		return nil, err
	}
	var rs []rowRange
	for i := range ci.NumPages() {
		if ci.NullPage(i) || !want(ci.MinValue(i), ci.MaxValue(i)) {
			continue
		}
		r := rowRange{oi.FirstRowIndex(i), rows}
		if i+1 < ci.NumPages() {
			r.to = oi.FirstRowIndex(i + 1)
		}
		if n := len(rs); n > 0 && rs[n-1].to == r.from {
			rs[n-1].to = r.to
		} else {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// clip ends ranges before row end.
func clip(rs []rowRange, end int64) []rowRange { return intersect(rs, []rowRange{{0, end}}) }

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

// columnReader reads one column of a row group, forwards.
type columnReader struct {
	chunk  parquet.ColumnChunk
	pages  parquet.Pages
	values parquet.ValueReader
	row    int64
}

// read fills dst from row from on. The values are valid until close: pages are
// left to the garbage collector, as strings point into them.
func (c *columnReader) read(from int64, dst []parquet.Value) error {
	if c.pages == nil {
		c.pages = c.chunk.Pages()
	}
	if c.row != from {
		if err := c.pages.SeekToRow(from); err != nil {
			return err
		}
		c.values, c.row = nil, from
	}
	for n := 0; n < len(dst); {
		if c.values == nil {
			p, err := c.pages.ReadPage()
			if err != nil {
				return noEOF(err)
			}
			c.values = p.Values()
		}
		k, err := c.values.ReadValues(dst[n:])
		n, c.row = n+k, c.row+int64(k)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if errors.Is(err, io.EOF) {
			c.values = nil
		} else if k == 0 {
			return io.ErrNoProgress
		}
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *columnReader) close() {
	if c.pages != nil {
		c.pages.Close()
	}
}

// groupReader decodes rows of one row group.
type groupReader struct {
	cols   []columnReader
	defs   []eventColumn
	values [][]parquet.Value
	events []activity.Event // of the batch
	epochs []uint64
	wanted []int
	dec    decoder
}

func newGroupReader(s *segment, g parquet.RowGroup) *groupReader {
	r := &groupReader{defs: s.cols, dec: decoder{lookup: s.process, addrs: make(map[string]netip.Addr)}, events: make([]activity.Event, rowBatch), epochs: make([]uint64, rowBatch)}
	for i := range s.cols {
		r.cols = append(r.cols, columnReader{chunk: g.ColumnChunks()[i]})
		r.values = append(r.values, make([]parquet.Value, rowBatch))
	}
	return r
}

func (r *groupReader) close() {
	for i := range r.cols {
		r.cols[i].close()
	}
}

// keyColumns are what a query's hints are about; they are read first, and the
// others only where a row is wanted.
const keyColumns = colService

// read decodes n rows from row from on and returns the indices, into events, of
// those that q's hints want. All is overwritten by the next read.
func (r *groupReader) read(from int64, n int, q *Query) ([]int, error) {
	clear(r.events[:n])
	if err := r.fill(from, n, 0, keyColumns, nil); err != nil {
		return nil, err
	}
	r.wanted = r.wanted[:0]
	for i := range n {
		r.epochs[i] = r.values[colEpoch][i].Uint64()
		if q.within(&r.events[i]) {
			r.wanted = append(r.wanted, i)
		}
	}
	if len(r.wanted) == 0 {
		return nil, nil
	}
	if err := r.fill(from, n, keyColumns, len(r.cols), r.wanted); err != nil {
		return nil, err
	}
	return r.wanted, nil
}

// fill reads columns [c0, c1) of n rows into events: of all, or only of rows.
func (r *groupReader) fill(from int64, n, c0, c1 int, rows []int) error {
	for c := c0; c < c1; c++ {
		vs := r.values[c][:n]
		if err := r.cols[c].read(from, vs); err != nil {
			return fmt.Errorf("column %s: %w", r.defs[c].name, err)
		}
		get := r.defs[c].get
		if rows == nil {
			for i := range vs {
				if !vs[i].IsNull() {
					get(&r.dec, &r.events[i], vs[i])
				}
			}
		}
		for _, i := range rows {
			if !vs[i].IsNull() {
				get(&r.dec, &r.events[i], vs[i])
			}
		}
		if r.dec.err != nil {
			return fmt.Errorf("column %s: %w", r.defs[c].name, r.dec.err)
		}
	}
	return nil
}

// found is one event that a scan selected, in binary form.
type found struct {
	at       pos
	from, to int // in selection.buf
}

// selection is what a scan selected: sorted by position, and compact, so that
// the whole of a large segment fits in memory.
type selection struct {
	buf    []byte
	events []found
	lookup func(activity.ProcessID) *activity.Process
}

func (s *selection) add(e *activity.Event, epoch uint64) {
	n := len(s.buf)
	s.buf = activity.AppendEvent(s.buf, e)
	s.events = append(s.events, found{pos{epoch, e.Seq}, n, len(s.buf)})
}

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
func (s *segment) scan(q *Query, from pos, stop func() error) (sel *selection, err error) {
	sel = &selection{lookup: s.process}
	defer func() {
		if p := recover(); p != nil { // the Parquet reader panics on some damage
			err = fmt.Errorf("damaged: %v", p)
		}
		sel.sort()
	}()
	if q.Never || q.To != 0 && s.from >= q.To || s.to < q.From && q.From != 0 {
		return sel, nil
	}
	var first int64
	for _, g := range s.pf.RowGroups() {
		rs, err := s.candidates(g, first, q)
		if err == nil && len(rs) > 0 {
			if err = s.load(); err == nil {
				err = s.scanGroup(g, rs, q, from, sel, stop)
			}
		}
		if err != nil {
			return sel, err
		}
		first += g.NumRows()
	}
	return sel, nil
}

func (s *segment) scanGroup(g parquet.RowGroup, rs []rowRange, q *Query, from pos, sel *selection, stop func() error) error {
	r := newGroupReader(s, g)
	defer r.close()
	for _, rr := range rs {
		for at := rr.from; at < rr.to; at += rowBatch {
			if err := stop(); err != nil {
				return err
			}
			wanted, err := r.read(at, int(min(rowBatch, rr.to-at)), q)
			if err != nil {
				return err
			}
			for _, i := range wanted {
				e := &r.events[i]
				if p := (pos{r.epochs[i], e.Seq}); !p.less(from) && q.match(e) {
					sel.add(e, p.epoch)
				}
			}
		}
	}
	return nil
}
