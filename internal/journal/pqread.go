package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"reflect"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

func unmarshal(b []byte, v any) error {
	return thrift.Unmarshal(new(thrift.CompactProtocol), b, v)
}

// pageSource is where a row group's pages come from, and what reading has cost:
// tests count it.
type pageSource struct {
	f     io.ReaderAt
	dec   *zstd.Decoder
	pages int // decoded, dictionaries included
}

func newDecompressor() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPage))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// chunkReader decodes pages of one column of one row group after the other.
type chunkReader struct {
	spec  columnSpec
	src   *pageSource
	chunk *chunkMeta
	rows  int

	places format.OffsetIndex
	whole  []byte // all of the chunk, where most of it is wanted
	buf    []byte // else the latest page

	entries   int      // of the dictionary; -1 when it is not read yet
	nums      []int64  // its numbers, or those of its words
	texts     [][]byte // its texts, in dictBytes
	strings   []string // of texts, as far as they were asked for
	dictBytes []byte

	from, to int     // the rows that the following hold
	codes    []int32 // of a column with a dictionary: index, -1 null
	longs    []int64 // of another
	present  []byte  // for longs: 1 where there is a value; nil: everywhere
	levels   []byte
	raw      []byte
}

// use turns to another row group. all tells that most of it will be read.
func (c *chunkReader) use(src *pageSource, chunk *chunkMeta, rows int, all bool) error {
	c.src, c.chunk, c.rows, c.entries, c.from, c.to = src, chunk, rows, -1, 0, 0
	c.nums, c.texts, c.strings, c.whole = c.nums[:0], c.texts[:0], c.strings[:0], c.whole[:0]
	c.places.PageLocations = c.places.PageLocations[:0]
	if !all || c.empty() {
		return nil
	}
	c.whole = resize(c.whole, int(chunk.size))
	_, err := src.f.ReadAt(c.whole, chunk.start())
	return err
}

// resize returns b with length n; what it holds is of no use.
func resize[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}

// empty reports whether all rows are null.
func (c *chunkReader) empty() bool {
	return c.spec.opt && c.chunk.nulls == int64(c.rows)
}

// bytes returns n bytes of the chunk at an offset of the file.
func (c *chunkReader) bytes(at int64, n int) ([]byte, error) {
	start, size := c.chunk.start(), c.chunk.size
	if at < start || n < 0 || int64(n) > size-(at-start) {
		return nil, errPage
	}
	if len(c.whole) > 0 {
		return c.whole[at-start:][:n], nil
	}
	c.buf = resize(c.buf, n)
	_, err := c.src.f.ReadAt(c.buf, at)
	return c.buf, err
}

// page splits a page into header and body.
func (c *chunkReader) page(at int64, n int) (h format.PageHeader, body []byte, err error) {
	b, err := c.bytes(at, n)
	if err != nil {
		return h, nil, err
	}
	r := new(thrift.CompactProtocol).NewReaderFromBytes(b)
	if err := thrift.NewDecoder(r).Decode(&h); err != nil {
		return h, nil, fmt.Errorf("%w: %w", errPage, err)
	}
	rest := len(b) - r.BytesRead()
	if h.CompressedPageSize < 0 || int(h.CompressedPageSize) > rest || h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage {
		return h, nil, errPage
	}
	c.src.pages++
	return h, b[len(b)-rest:][:h.CompressedPageSize], nil
}

func (c *chunkReader) decompress(dst, b []byte, size int) ([]byte, error) {
	dst, err := c.src.dec.DecodeAll(b, dst[:0])
	if err == nil && len(dst) != size {
		err = errPage
	}
	return dst, err
}

// dictionary reads the column's dictionary.
func (c *chunkReader) dictionary() error {
	if c.entries >= 0 {
		return nil
	}
	c.entries = 0
	if c.empty() {
		return nil
	}
	if c.chunk.dictionary == 0 {
		return errPage
	}
	h, body, err := c.page(c.chunk.dictionary, int(c.chunk.data-c.chunk.dictionary))
	if err != nil {
		return err
	}
	d := h.DictionaryPageHeader
	if !d.Valid || d.V.NumValues < 0 || int(d.V.NumValues) > c.rows {
		return errPage
	}
	if c.dictBytes, err = c.decompress(c.dictBytes, body, int(h.UncompressedPageSize)); err != nil {
		return err
	}
	c.entries = int(d.V.NumValues)
	if c.spec.physical() == format.ByteArray {
		return c.splitTexts()
	}
	return c.splitNumbers()
}

func (c *chunkReader) splitTexts() error {
	b := c.dictBytes
	for range c.entries {
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return errPage
		}
		n := 4 + int(binary.LittleEndian.Uint32(b))
		c.texts = append(c.texts, b[4:n])
		b = b[n:]
	}
	return nil
}

func (c *chunkReader) splitNumbers() error {
	size := 4
	if c.spec.wide() {
		size = 8
	}
	if len(c.dictBytes) < size*c.entries {
		return errPage
	}
	for i := range c.entries {
		if size == 8 {
			c.nums = append(c.nums, int64(binary.LittleEndian.Uint64(c.dictBytes[8*i:])))
		} else {
			c.nums = append(c.nums, int64(binary.LittleEndian.Uint32(c.dictBytes[4*i:])))
		}
	}
	return nil
}

// seek decodes the page that holds a row, and the rows up to end.
func (c *chunkReader) seek(row, end int) error {
	if row >= c.from && end <= c.to {
		return nil
	}
	if c.empty() {
		c.nothing()
		return nil
	}
	if len(c.places.PageLocations) == 0 {
		if err := c.locate(); err != nil {
			return err
		}
	}
	ps := c.places.PageLocations
	for i := range ps {
		next := c.rows
		if i+1 < len(ps) {
			next = int(ps[i+1].FirstRowIndex)
		}
		if int(ps[i].FirstRowIndex) <= row && row < next {
			if end > next {
				break
			}
			return c.decode(ps[i], next)
		}
	}
	return fmt.Errorf("%w: no page has rows %d to %d", errFile, row, end)
}

// locate finds the pages.
func (c *chunkReader) locate() error {
	if c.spec.dict { // one page
		size := c.chunk.start() + c.chunk.size - c.chunk.data
		c.places.PageLocations = append(c.places.PageLocations, format.PageLocation{Offset: c.chunk.data, CompressedPageSize: int32(size)})
		return nil
	}
	b := make([]byte, c.chunk.places.size)
	if _, err := c.src.f.ReadAt(b, c.chunk.places.at); err != nil {
		return err
	}
	if err := unmarshal(b, &c.places); err != nil {
		return fmt.Errorf("%w: offset index: %w", errFile, err)
	}
	return nil
}

// nothing makes all rows null.
func (c *chunkReader) nothing() {
	c.from, c.to = 0, c.rows
	if c.spec.dict {
		c.codes = resize(c.codes, c.rows)
		for i := range c.codes {
			c.codes[i] = -1
		}
		return
	}
	c.longs, c.levels = resize(c.longs, c.rows), resize(c.levels, c.rows)
	clear(c.longs)
	clear(c.levels)
	c.present = c.levels
}

// decode decodes the data page at p, whose rows end before next.
func (c *chunkReader) decode(p format.PageLocation, next int) error {
	c.from, c.to = 0, 0
	h, body, err := c.page(p.Offset, int(p.CompressedPageSize))
	if err != nil {
		return err
	}
	d := h.DataPageHeaderV2
	n := next - int(p.FirstRowIndex)
	if !d.Valid || int(d.V.NumValues) != n || n < 0 || d.V.DefinitionLevelsByteLength < 0 || int(d.V.DefinitionLevelsByteLength) > len(body) {
		return errPage
	}
	levels, body := body[:d.V.DefinitionLevelsByteLength], body[d.V.DefinitionLevelsByteLength:]
	c.present = nil
	values := n
	if c.spec.opt {
		c.levels = resize(c.levels, n)
		if err := decodeHybrid(c.levels, levels, 1); err != nil {
			return err
		}
		if values = ones(c.levels); values < n {
			c.present = c.levels
		}
	}
	if !d.V.IsCompressed.Valid || d.V.IsCompressed.V {
		if c.raw, err = c.decompress(c.raw, body, int(h.UncompressedPageSize)-len(levels)); err != nil {
			return err
		}
		body = c.raw
	}
	if err := c.values(body, n, values); err != nil {
		return err
	}
	c.from, c.to = int(p.FirstRowIndex), next
	return nil
}

// values decodes a page's values and puts them at their rows.
func (c *chunkReader) values(body []byte, n, values int) error {
	if c.spec.dict {
		return c.indices(body, n, values)
	}
	c.longs = resize(c.longs, n)
	if c.spec.physical() == format.Boolean {
		for i := range c.longs[:values] {
			if i/8 >= len(body) {
				return errPage
			}
			c.longs[i] = int64(body[i/8] >> (i % 8) & 1)
		}
	} else if err := decodeDelta(c.longs[:values], body); err != nil {
		return err
	}
	if !c.spec.wide() {
		c.narrow(values)
	}
	if c.present != nil {
		spread(c.longs, c.present, values, 0)
	}
	return nil
}

// narrow gives 32 bit values, whose deltas wrap around, their sign.
func (c *chunkReader) narrow(values int) {
	for i, v := range c.longs[:values] {
		if c.spec.kind == reflect.Int32 {
			c.longs[i] = int64(int32(v))
		} else {
			c.longs[i] = int64(uint32(v))
		}
	}
}

func (c *chunkReader) indices(body []byte, n, values int) error {
	if err := c.dictionary(); err != nil {
		return err
	}
	c.codes = resize(c.codes, n)
	if values > 0 {
		if len(body) == 0 || body[0] > 32 {
			return errPage
		}
		if err := decodeHybrid(c.codes[:values], body[1:], uint(body[0])); err != nil {
			return err
		}
		top := uint32(0)
		for _, v := range c.codes[:values] {
			top = max(top, uint32(v))
		}
		if int64(top) >= int64(c.entries) {
			return errPage
		}
	}
	if c.present != nil {
		spread(c.codes, c.present, values, -1)
	}
	return nil
}

// at returns a row's value, in the page that seek decoded: a number, or the
// index of a text. ok is false for null.
func (c *chunkReader) at(row int) (v int64, ok bool) {
	i := row - c.from
	if !c.spec.dict {
		return c.longs[i], c.present == nil || c.present[i] != 0
	}
	k := c.codes[i]
	if k < 0 {
		return 0, false
	}
	if len(c.nums) > 0 {
		return c.nums[k], true
	}
	return int64(k), true
}

// text returns an entry of a dictionary of text as a string, the same one each
// time.
func (c *chunkReader) text(i int64) string {
	if len(c.strings) == 0 {
		c.strings = resize(c.strings, len(c.texts))
		clear(c.strings)
	}
	if c.strings[i] == "" {
		c.strings[i] = string(c.texts[i])
	}
	return c.strings[i]
}
