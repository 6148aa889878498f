package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// Bounds on what a footer or a page header may say, far above what this
// package writes.
const (
	maxFooter = 64 << 20
	maxPage   = 16 << 20
	maxGroup  = 1 << 20 // rows
)

var errFile = errors.New("damaged file")

// fileMeta is what a Parquet file's footer says, as far as reading needs it.
type fileMeta struct {
	rows    int64
	columns []columnMeta
	groups  []groupMeta
	facts   map[string]string
}

// columnMeta is a column in the schema.
type columnMeta struct {
	name string
	typ  format.Type
}

// groupMeta is a row group.
type groupMeta struct {
	rows   int
	chunks []chunkMeta
}

// chunkMeta is one column of a row group. Offsets are of the file.
type chunkMeta struct {
	data       int64 // the first data page
	dictionary int64 // 0 none
	size       int64 // of all pages
	values     int64 // nulls included
	nulls      int64
	lo, hi     int64 // of its values, where bounded
	bounded    bool
	bloom      part
	index      part // the pages' bounds
	places     part // and their offsets
}

// part is a stretch of a file.
type part struct {
	at   int64
	size int32
}

// start is where the chunk's pages begin.
func (c *chunkMeta) start() int64 {
	if c.dictionary != 0 {
		return c.dictionary
	}
	return c.data
}

// readFooter reads the footer of a file that a tableFile wrote.
func readFooter(f io.ReaderAt, size int64) (*fileMeta, error) {
	tail := make([]byte, min(size, 64<<10))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	n := len(tail)
	if n < 12 || string(tail[n-4:]) != parquetMagic {
		return nil, fmt.Errorf("%w: no Parquet footer", errFile)
	}
	long := int64(binary.LittleEndian.Uint32(tail[n-8:]))
	if long > size-8 || long > maxFooter {
		return nil, fmt.Errorf("%w: a footer of %d bytes", errFile, long)
	}
	if int(long) > n-8 {
		tail = make([]byte, long+8)
		if _, err := f.ReadAt(tail, size-long-8); err != nil {
			return nil, err
		}
		n = len(tail)
	}
	return parseFooter(tail[n-8-int(long):n-8], size)
}

// parseFooter reads the footer of a file of a size. What it returns lies within
// the file.
func parseFooter(b []byte, size int64) (*fileMeta, error) {
	r := &thriftReader{b: b}
	m := &fileMeta{facts: make(map[string]string)}
	for f := (thriftField{}); r.next(&f); {
		switch {
		case f.id == 2 && f.typ == thriftList:
			m.schema(r)
		case f.id == 3 && f.typ == thriftI64:
			m.rows = r.number()
		case f.id == 4 && f.typ == thriftList:
			n, typ := r.list()
			for i := 0; i < n && typ == thriftStruct && !r.bad; i++ {
				m.groups = append(m.groups, parseGroup(r, len(m.columns)))
			}
		case f.id == 5 && f.typ == thriftList:
			m.parseFacts(r)
		default:
			r.skip(f.typ)
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: footer", errFile)
	}
	if err := m.check(size); err != nil {
		return nil, err
	}
	return m, nil
}

// schema reads the columns, after the first element, which is all of them.
func (m *fileMeta) schema(r *thriftReader) {
	n, typ := r.list()
	for i := 0; i < n && typ == thriftStruct && !r.bad; i++ {
		c := columnMeta{typ: -1}
		for f := (thriftField{}); r.next(&f); {
			switch {
			case f.id == 1 && f.typ == thriftI32:
				c.typ = format.Type(r.number())
			case f.id == 4 && f.typ == thriftBinary:
				c.name = string(r.bytes())
			default:
				r.skip(f.typ)
			}
		}
		if i > 0 {
			m.columns = append(m.columns, c)
		}
	}
}

func (m *fileMeta) parseFacts(r *thriftReader) {
	n, typ := r.list()
	for i := 0; i < n && typ == thriftStruct && !r.bad; i++ {
		var kv [2]string
		for f := (thriftField{}); r.next(&f); {
			if (f.id == 1 || f.id == 2) && f.typ == thriftBinary {
				kv[f.id-1] = string(r.bytes())
			} else {
				r.skip(f.typ)
			}
		}
		m.facts[kv[0]] = kv[1]
	}
}

func parseGroup(r *thriftReader, columns int) (g groupMeta) {
	for f := (thriftField{}); r.next(&f); {
		switch {
		case f.id == 1 && f.typ == thriftList:
			n, typ := r.list()
			g.chunks = make([]chunkMeta, 0, min(n, columns))
			for i := 0; i < n && typ == thriftStruct && !r.bad; i++ {
				g.chunks = append(g.chunks, parseChunk(r))
			}
		case f.id == 3 && f.typ == thriftI64:
			g.rows = int(r.number())
		default:
			r.skip(f.typ)
		}
	}
	return g
}

func parseChunk(r *thriftReader) (c chunkMeta) {
	for f := (thriftField{}); r.next(&f); {
		switch {
		case f.id == 3 && f.typ == thriftStruct:
			c.parseMeta(r)
		case f.id == 4 && f.typ == thriftI64:
			c.places.at = r.number()
		case f.id == 5 && f.typ == thriftI32:
			c.places.size = int32(r.number())
		case f.id == 6 && f.typ == thriftI64:
			c.index.at = r.number()
		case f.id == 7 && f.typ == thriftI32:
			c.index.size = int32(r.number())
		default:
			r.skip(f.typ)
		}
	}
	return c
}

func (c *chunkMeta) parseMeta(r *thriftReader) {
	for f := (thriftField{}); r.next(&f); {
		switch {
		case f.id == 5 && f.typ == thriftI64:
			c.values = r.number()
		case f.id == 7 && f.typ == thriftI64:
			c.size = r.number()
		case f.id == 9 && f.typ == thriftI64:
			c.data = r.number()
		case f.id == 11 && f.typ == thriftI64:
			c.dictionary = r.number()
		case f.id == 12 && f.typ == thriftStruct:
			c.parseStatistics(r)
		case f.id == 14 && f.typ == thriftI64:
			c.bloom.at = r.number()
		case f.id == 15 && f.typ == thriftI32:
			c.bloom.size = int32(r.number())
		default:
			r.skip(f.typ)
		}
	}
}

func (c *chunkMeta) parseStatistics(r *thriftReader) {
	var lo, hi []byte
	for f := (thriftField{}); r.next(&f); {
		switch {
		case f.id == 3 && f.typ == thriftI64:
			c.nulls = r.number()
		case f.id == 5 && f.typ == thriftBinary:
			hi = r.bytes()
		case f.id == 6 && f.typ == thriftBinary:
			lo = r.bytes()
		default:
			r.skip(f.typ)
		}
	}
	if number(lo) && number(hi) {
		c.bounded, c.lo, c.hi = true, plainInt(lo), plainInt(hi)
	}
}

// number reports whether a value in Parquet's PLAIN encoding is a number.
func number(b []byte) bool { return len(b) == 4 || len(b) == 8 }

// check makes sure that what is read later stays within the file.
func (m *fileMeta) check(size int64) error {
	inside := func(p part) bool { return p.at >= 0 && p.size >= 0 && p.at <= size && int64(p.size) <= size-p.at }
	for i := range m.groups {
		g := &m.groups[i]
		if g.rows <= 0 || g.rows > maxGroup || len(g.chunks) != len(m.columns) {
			return fmt.Errorf("%w: row group %d", errFile, i)
		}
		for j := range g.chunks {
			c := &g.chunks[j]
			if c.size < 0 || c.size > size || c.start() < 0 || c.start() > size-c.size || c.data < c.start() || c.data > c.start()+c.size ||
				c.values != int64(g.rows) || !inside(c.bloom) || !inside(c.index) || !inside(c.places) {
				return fmt.Errorf("%w: row group %d, column %s", errFile, i, m.columns[j].name)
			}
		}
	}
	return nil
}
