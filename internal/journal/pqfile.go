package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/plain"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// tableFile writes a Parquet file. The library's own writer keeps every page of
// a row group in memory and takes boxed values; sealing runs beside recording,
// so this one holds a row group's values as arrays, and hands each column to
// the file as soon as it is encoded. Encodings, page headers and the footer are
// the library's.
//
//	"PAR1"
//	row group: column: [dictionary page] data page (version 2) ...
//	...
//	[Bloom filter] ... column index ... offset index ... footer, its length u32
//	"PAR1"
//
// https://parquet.apache.org/docs/file-format/
type tableFile struct {
	cols   []*column
	f      *os.File
	w      *bufio.Writer
	off    int64
	codec  *zstdCodec
	groups []format.RowGroup
	index  []format.ColumnIndex // of each column of each row group
	places []format.OffsetIndex
	blooms []bloomFilter
	meta   []format.KeyValue
	rows   int64

	levels, values, packed []byte // one page's parts, reused
	head                   bytes.Buffer
}

const (
	parquetMagic = "PAR1"
	minCompress  = 64 // bytes of a page; fewer are not worth a try
)

// bloomFilter waits for its place behind the row groups.
type bloomFilter struct {
	group, col int
	bits       bloom.SplitBlockFilter
}

// columnsFor makes columns of row groups of at most size rows.
func columnsFor(specs []columnSpec, size int) []*column {
	cols := make([]*column, len(specs))
	for i, s := range specs {
		cols[i] = newColumn(s, size)
	}
	return cols
}

// createTable begins a file of these columns, which are empty.
func createTable(dir, name string, codec *zstdCodec, cols []*column) (*tableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	t := &tableFile{f: f, w: bufio.NewWriterSize(f, 32<<10), codec: codec, cols: cols}
	_ = t.write([]byte(parquetMagic)) // bufio keeps the error
	return t, nil
}

func (t *tableFile) write(b []byte) error {
	n, err := t.w.Write(b)
	t.off += int64(n)
	return err
}

// thrift writes a structure of the format and returns its length.
func (t *tableFile) thrift(v any) (int, error) {
	t.head.Reset()
	if err := thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(&t.head)).Encode(v); err != nil {
		return 0, err
	}
	return t.head.Len(), t.write(t.head.Bytes())
}

// group writes a row group of the first n rows of the columns, and resets them.
func (t *tableFile) group(n int) error {
	if n == 0 {
		return nil
	}
	g := format.RowGroup{NumRows: int64(n), FileOffset: t.off, Ordinal: int16(len(t.groups)), Columns: make([]format.ColumnChunk, len(t.cols))}
	for i, c := range t.cols {
		if err := t.chunk(c, n, &g.Columns[i]); err != nil {
			return fmt.Errorf("write column %s: %w", c.name, err)
		}
		if c.bloom {
			t.blooms = append(t.blooms, bloomFilter{len(t.groups), i, c.dict.filter()})
		}
		g.TotalByteSize += g.Columns[i].MetaData.TotalUncompressedSize
		g.TotalCompressedSize += g.Columns[i].MetaData.TotalCompressedSize
		c.reset()
	}
	t.groups = append(t.groups, g)
	t.rows += int64(n)
	return nil
}

// filter makes the Bloom filter of a dictionary of text.
func (d *dictionary) filter() bloom.SplitBlockFilter {
	f := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(max(d.n, 1)), bloomBits))
	_ = plain.RangeByteArray(d.plain, func(b []byte) error { // whole by construction
		f.Insert(xxhash.Sum64(b))
		return nil
	})
	return f
}

// chunk writes one column of a row group.
func (t *tableFile) chunk(c *column, n int, out *format.ColumnChunk) error {
	start, dictionary := t.off, int64(0)
	m := &out.MetaData
	*m = format.ColumnMetaData{Type: c.physical(), PathInSchema: thrift.Slice[string]{c.name}, Codec: format.Zstd, NumValues: int64(n)}
	if c.columnSpec.dict {
		dictionary = start
		if err := t.dictionary(c, m); err != nil {
			return err
		}
	}
	m.DictionaryPageOffset, m.DataPageOffset = dictionary, t.off
	m.Encoding = thrift.Slice[format.Encoding]{c.encoding()}
	if c.columnSpec.dict {
		m.Encoding = append(m.Encoding, format.Plain)
	}
	var index format.ColumnIndex
	var places format.OffsetIndex
	for from := 0; from < n; from += c.page {
		at := t.off
		if err := t.page(c, from, min(n, from+c.page), m, &index); err != nil {
			return err
		}
		places.PageLocations = append(places.PageLocations, format.PageLocation{Offset: at, CompressedPageSize: int32(t.off - at), FirstRowIndex: int64(from)})
	}
	for _, nulls := range index.NullCounts {
		m.Statistics.NullCount += nulls
	}
	t.index, t.places = append(t.index, index), append(t.places, places)
	m.TotalCompressedSize = t.off - start
	return nil
}

// encoding is how the pages hold a column's values: DELTA_BINARY_PACKED is as
// small as compressed numbers are, and much quicker.
func (c *column) encoding() format.Encoding {
	switch {
	case c.columnSpec.dict:
		return format.RLEDictionary
	case c.physical() == format.Boolean:
		return format.Plain
	}
	return format.DeltaBinaryPacked
}

func (t *tableFile) dictionary(c *column, m *format.ColumnMetaData) error {
	b := t.compress(c.dict.plain)
	if b == nil { // a dictionary page has no way to say that it is not compressed
		t.packed, _ = t.codec.Encode(t.packed, c.dict.plain)
		b = t.packed
	}
	n, err := t.thrift(&format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(c.dict.plain)), CompressedPageSize: int32(len(b)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: c.dict.n, Encoding: format.Plain})})
	if err != nil {
		return err
	}
	m.TotalUncompressedSize += int64(n + len(c.dict.plain))
	return t.write(b)
}

// compress returns b compressed, valid until the next call, or nil where that
// is not worth it.
func (t *tableFile) compress(b []byte) []byte {
	if len(b) < minCompress {
		return nil
	}
	t.packed, _ = t.codec.Encode(t.packed, b)
	if len(t.packed)+minCompress/4 > len(b) {
		return nil
	}
	return t.packed
}

// page writes rows [from, to) as one data page.
func (t *tableFile) page(c *column, from, to int, m *format.ColumnMetaData, index *format.ColumnIndex) error {
	values := c.compact(from, to)
	t.levels = t.levels[:0]
	if c.opt {
		levels := c.levels
		if levels == nil {
			levels = make([]byte, to)
		}
		var err error
		if t.levels, err = (&rle.Encoding{BitWidth: 1}).EncodeLevels(t.levels, levels[from:to]); err != nil {
			return err
		}
	}
	if err := t.encode(c, from, from+values); err != nil {
		return err
	}
	index.NullCounts = append(index.NullCounts, int64(to-from-values))
	c.bound(from, from+values, m, index)
	body, packed := t.values, t.compress(t.values)
	if packed != nil {
		body = packed
	}
	n, err := t.thrift(&format.PageHeader{Type: format.DataPageV2, UncompressedPageSize: int32(len(t.levels) + len(t.values)), CompressedPageSize: int32(len(t.levels) + len(body)),
		DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{NumValues: int32(to - from), NumNulls: int32(to - from - values), NumRows: int32(to - from),
			Encoding: c.encoding(), DefinitionLevelsByteLength: int32(len(t.levels)), IsCompressed: thrift.New(packed != nil)})})
	if err != nil {
		return err
	}
	m.TotalUncompressedSize += int64(n + len(t.levels) + len(t.values))
	return errors.Join(t.write(t.levels), t.write(body))
}

// compact moves the values of rows [from, to) to the beginning of that stretch,
// over the nulls, and returns how many there are.
func (c *column) compact(from, to int) int {
	if !c.opt {
		return to - from
	}
	if c.levels == nil {
		return 0
	}
	k := from
	if c.long != nil {
		for i, present := range c.levels[from:to] {
			c.long[k] = c.long[from+i]
			k += int(present)
		}
	} else {
		for i, present := range c.levels[from:to] {
			c.short[k] = c.short[from+i]
			k += int(present)
		}
	}
	return k - from
}

// encode puts values [from, to) into t.values.
func (t *tableFile) encode(c *column, from, to int) (err error) {
	var long []int64
	var short []int32
	if from < to {
		if c.long != nil {
			long = c.long[from:to]
		} else {
			short = c.short[from:to]
		}
	}
	switch {
	case c.columnSpec.dict:
		t.values, err = new(rle.DictionaryEncoding).EncodeInt32(t.values, short)
	case c.physical() == format.Boolean:
		t.values = packBits(t.values[:0], short)
	case c.wide():
		t.values, err = new(delta.BinaryPackedEncoding).EncodeInt64(t.values, long)
	default:
		t.values, err = new(delta.BinaryPackedEncoding).EncodeInt32(t.values, short)
	}
	return err
}

// packBits is Parquet's PLAIN encoding of booleans.
func packBits(b []byte, vs []int32) []byte {
	for i, v := range vs {
		if i%8 == 0 {
			b = append(b, 0)
		}
		b[len(b)-1] |= byte(v) << (i % 8)
	}
	return b
}

// bound notes the least and the greatest of values [from, to), which are a page.
func (c *column) bound(from, to int, m *format.ColumnMetaData, index *format.ColumnIndex) {
	if !c.bounds {
		return
	}
	index.NullPages = append(index.NullPages, from == to)
	if from == to {
		index.MinValues, index.MaxValues = append(index.MinValues, nil), append(index.MaxValues, nil)
		return
	}
	var lo, hi int64
	var all []byte // both as Parquet's PLAIN encoding has them
	if c.long != nil {
		lo, hi = limits(c.long[from:to])
		all = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(lo)), uint64(hi))
	} else {
		a, b := limits(c.short[from:to])
		lo, hi = int64(a), int64(b)
		all = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(a)), uint32(b))
	}
	least, greatest := all[:len(all)/2:len(all)/2], all[len(all)/2:]
	index.MinValues, index.MaxValues = append(index.MinValues, least), append(index.MaxValues, greatest)
	s := &m.Statistics
	if s.MinValue == nil || lo < plainInt(s.MinValue) {
		s.MinValue = least
	}
	if s.MaxValue == nil || hi > plainInt(s.MaxValue) {
		s.MaxValue = greatest
	}
}

func limits[T int32 | int64](vs []T) (lo, hi T) {
	lo, hi = vs[0], vs[0]
	for _, v := range vs {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

func plainInt(b []byte) int64 {
	if len(b) == 4 {
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// set adds a fact to the footer.
func (t *tableFile) set(key, value string) {
	t.meta = append(t.meta, format.KeyValue{Key: key, Value: value})
}

// close writes what follows the row groups and puts the file on the disk.
func (t *tableFile) close() error {
	err := t.footer()
	if err == nil {
		err = t.w.Flush()
	}
	if err == nil {
		err = t.f.Sync()
	}
	return errors.Join(err, t.f.Close())
}

func (t *tableFile) footer() error {
	if err := t.indexes(); err != nil {
		return err
	}
	m := format.FileMetaData{Version: 2, NumRows: t.rows, RowGroups: t.groups, KeyValueMetadata: t.meta, CreatedBy: fmt.Sprintf("portreporter version %d", segmentVersion)}
	m.Schema = append(m.Schema, format.SchemaElement{Name: "portreporter", NumChildren: thrift.New(int32(len(t.cols)))})
	for _, c := range t.cols {
		m.Schema = append(m.Schema, c.element())
		m.ColumnOrders = append(m.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	n, err := t.thrift(&m)
	if err != nil {
		return err
	}
	return t.write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), parquetMagic...))
}

// indexes writes the Bloom filters and the page indexes, each kind without
// gaps, as readers fetch them at once.
func (t *tableFile) indexes() error {
	chunk := func(i int) *format.ColumnChunk { return &t.groups[i/len(t.cols)].Columns[i%len(t.cols)] }
	for _, b := range t.blooms {
		m := &t.groups[b.group].Columns[b.col].MetaData
		m.BloomFilterOffset = t.off
		bits := b.bits.Bytes()
		n, err := t.thrift(&format.BloomFilterHeader{NumBytes: int32(len(bits)), Algorithm: format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
			Hash: format.BloomFilterHash{Value: &format.XxHash{}}, Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}}})
		if err = errors.Join(err, t.write(bits)); err != nil {
			return err
		}
		m.BloomFilterLength = int32(n + len(bits))
	}
	for i := range t.index {
		if !t.cols[i%len(t.cols)].bounds {
			continue
		}
		c := chunk(i)
		c.ColumnIndexOffset = t.off
		n, err := t.thrift(&t.index[i])
		if err != nil {
			return err
		}
		c.ColumnIndexLength = int32(n)
	}
	for i := range t.places {
		c := chunk(i)
		c.OffsetIndexOffset = t.off
		n, err := t.thrift(&t.places[i])
		if err != nil {
			return err
		}
		c.OffsetIndexLength = int32(n)
	}
	return nil
}

// Bounds of a row group of a table: rows, and bytes of a text column's
// dictionary.
const (
	tableRows = 4096
	tableText = 256 << 10
)

// writeTable writes a Parquet file of rows of T into a directory. There are
// about n of them.
func writeTable[T any](dir, name string, codec *zstdCodec, n int, rows func(yield func(*T) bool)) error {
	size := min(max(n, 1), tableRows)
	t, err := createTable(dir, name, codec, columnsFor(columnsOf(reflect.TypeFor[T]()), size))
	if err != nil {
		return err
	}
	n = 0
	for r := range rows {
		setRow(t.cols, n, reflect.ValueOf(r).Elem())
		if n++; n == size || t.full() {
			err, n = t.group(n), 0
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = t.group(n)
	}
	if err != nil {
		err = errors.Join(err, t.f.Close())
	} else {
		err = t.close()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (t *tableFile) full() bool {
	for _, c := range t.cols {
		if len(c.dict.plain) > tableText {
			return true
		}
	}
	return false
}
