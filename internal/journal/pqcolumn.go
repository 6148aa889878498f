package journal

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/plain"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// columnSpec is a column as the tags of a row's type say it: the reader of this
// package goes by the same tags.
type columnSpec struct {
	name  string
	kind  reflect.Kind // Int64, Uint64, Int32, Uint32, Bool or String
	opt   bool
	dict  bool // all text is
	short bool // uint16 by its logical type
	clock bool // nanoseconds, UTC
	json  bool
}

// wide reports whether the column's own values, or what its dictionary holds,
// take 64 bits.
func (s *columnSpec) wide() bool { return s.kind == reflect.Int64 || s.kind == reflect.Uint64 }

// columnsOf lists the columns of a struct.
func columnsOf(t reflect.Type) []columnSpec {
	specs := make([]columnSpec, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		words := strings.Split(f.Tag.Get("parquet"), ",")
		s := columnSpec{name: words[0], kind: f.Type.Kind(), dict: f.Type.Kind() == reflect.String}
		for _, w := range words[1:] {
			switch w {
			case "optional":
				s.opt = true
			case "dict":
				s.dict = true
			case "json":
				s.json = true
			case "uint(16)":
				s.short = true
			case "timestamp(nanosecond)":
				s.clock = true
			}
		}
		specs = append(specs, s)
	}
	return specs
}

// physical is the Parquet type of the column's values.
func (s *columnSpec) physical() format.Type {
	switch {
	case s.kind == reflect.String:
		return format.ByteArray
	case s.kind == reflect.Bool:
		return format.Boolean
	case s.wide():
		return format.Int64
	}
	return format.Int32
}

// element is the column in the schema of a file's footer.
func (s *columnSpec) element() format.SchemaElement {
	e := format.SchemaElement{Name: s.name, Type: thrift.New(s.physical()), RepetitionType: thrift.New(format.Required)}
	if s.opt {
		e.RepetitionType = thrift.New(format.Optional)
	}
	number := func(bits int8, signed bool, c deprecated.ConvertedType) {
		e.LogicalType.Value, e.ConvertedType = &format.IntType{BitWidth: bits, IsSigned: signed}, thrift.New(c)
	}
	switch {
	case s.json:
		e.LogicalType.Value, e.ConvertedType = &format.JsonType{}, thrift.New(deprecated.Json)
	case s.clock: // has no converted type in nanoseconds
		e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.NanoSeconds{}}}
	case s.short:
		number(16, false, deprecated.Uint16)
	case s.kind == reflect.Uint32:
		number(32, false, deprecated.Uint32)
	case s.kind == reflect.Uint64:
		number(64, false, deprecated.Uint64)
	case s.kind == reflect.Int32:
		number(32, true, deprecated.Int32)
	case s.kind == reflect.Int64:
		number(64, true, deprecated.Int64)
	case s.kind == reflect.String:
		e.LogicalType.Value, e.ConvertedType = &format.StringType{}, thrift.New(deprecated.UTF8)
	}
	return e
}

// column holds the values of one column of a row group, by row, so that rows
// may be set in any order. An optional column without any value takes no room.
type column struct {
	columnSpec
	size   int     // most rows of a row group
	levels []byte  // 1 where an optional column has a value
	long   []int64 // of wide columns without a dictionary
	short  []int32 // of the others; indices where there is a dictionary
	dict   dictionary
	bounds bool // the pages' least and greatest values are written: numbers without a dictionary only
	page   int  // rows a page
	bloom  bool // a Bloom filter of the dictionary is written
}

func newColumn(s columnSpec, size int) *column {
	return &column{columnSpec: s, size: size, page: size}
}

// reset forgets all values.
func (c *column) reset() {
	clear(c.levels)
	c.dict.reset()
}

// present notes that row has a value, and makes room for it.
func (c *column) present(row int) {
	if c.long == nil && c.short == nil {
		c.room()
	}
	if c.opt {
		c.levels[row] = 1
	}
}

func (c *column) room() {
	if c.opt {
		c.levels = make([]byte, c.size)
	}
	if c.wide() && !c.columnSpec.dict {
		c.long = make([]int64, c.size)
	} else {
		c.short = make([]int32, c.size)
	}
}

// number sets a row of a column of numbers.
func (c *column) number(row int, v int64) {
	c.present(row)
	switch {
	case c.columnSpec.dict:
		c.short[row] = c.dict.number(v, c.wide())
	case c.long != nil:
		c.long[row] = v
	default:
		c.short[row] = int32(v)
	}
}

// some sets a row unless v is 0, which stands for null.
func (c *column) some(row int, v int64) {
	if v != 0 {
		c.number(row, v)
	}
}

// text sets a row of a column of text.
func (c *column) text(row int, s string) {
	c.present(row)
	c.short[row] = c.dict.text(s)
}

// word sets a row to the i-th word of a vocabulary.
func (c *column) word(row int, i uint8, words *[256]string) {
	if c.opt && words[i] == "" {
		return
	}
	c.present(row)
	c.short[row] = c.dict.word(i, words)
}

// addr sets a row to an address as text, unless there is none.
func (c *column) addr(row int, a netip.Addr) {
	if a.IsValid() {
		c.present(row)
		c.short[row] = c.dict.addr(a)
	}
}

// dictionary numbers the values of a column of a row group by their first
// appearance. One column uses one of its methods for adding only.
type dictionary struct {
	plain []byte // the values as Parquet's PLAIN encoding has them
	n     int32

	numbers map[int64]int32
	texts   map[string]int32
	addrs   map[[16]byte]int32 // IPv4 as mapped: bytes hash faster than a netip.Addr, and hold no pointer
	words   [256]int32         // index + 1

	lastNumber int64 // the value added last, if n is not 0: columns repeat themselves
	lastAddr   netip.Addr
	last       int32
}

func (d *dictionary) reset() {
	clear(d.numbers)
	clear(d.texts)
	clear(d.addrs)
	clear(d.words[:])
	d.plain, d.n = d.plain[:0], 0
}

func (d *dictionary) number(v int64, wide bool) int32 {
	if d.n > 0 && v == d.lastNumber {
		return d.last
	}
	i, ok := d.numbers[v]
	if !ok {
		if d.numbers == nil {
			d.numbers = make(map[int64]int32)
		}
		i = d.n
		d.numbers[v] = i
		d.n++
		if wide {
			d.plain = binary.LittleEndian.AppendUint64(d.plain, uint64(v))
		} else {
			d.plain = binary.LittleEndian.AppendUint32(d.plain, uint32(v))
		}
	}
	d.lastNumber, d.last = v, i
	return i
}

func (d *dictionary) text(s string) int32 {
	i, ok := d.texts[s]
	if !ok {
		if d.texts == nil {
			d.texts = make(map[string]int32)
		}
		i = d.n
		d.texts[s] = i
		d.n++
		d.plain = plain.AppendByteArrayString(d.plain, s)
	}
	return i
}

func (d *dictionary) word(w uint8, words *[256]string) int32 {
	if d.words[w] == 0 {
		d.plain = plain.AppendByteArrayString(d.plain, words[w])
		d.n++
		d.words[w] = d.n
	}
	return d.words[w] - 1
}

func (d *dictionary) addr(a netip.Addr) int32 {
	if d.n > 0 && a == d.lastAddr {
		return d.last
	}
	if a.Is4In6() { // no event of a capture has one
		return d.text(a.WithZone("").String())
	}
	k := a.As16()
	i, ok := d.addrs[k]
	if !ok {
		if d.addrs == nil {
			d.addrs = make(map[[16]byte]int32)
		}
		i = d.n
		d.addrs[k] = i
		d.n++
		at := len(d.plain)
		d.plain = a.WithZone("").AppendTo(append(d.plain, 0, 0, 0, 0))
		binary.LittleEndian.PutUint32(d.plain[at:], uint32(len(d.plain)-at-4))
	}
	d.lastAddr, d.last = a, i
	return i
}

// setRow sets a row of a table from a struct that columnsOf described.
func setRow(cols []*column, row int, v reflect.Value) {
	for i, c := range cols {
		switch f := v.Field(i); c.kind {
		case reflect.String:
			c.text(row, f.String())
		case reflect.Bool:
			b := int64(0)
			if f.Bool() {
				b = 1
			}
			c.number(row, b)
		case reflect.Int32, reflect.Int64:
			c.number(row, f.Int())
		case reflect.Uint32, reflect.Uint64:
			c.number(row, int64(f.Uint()))
		default:
			panic(fmt.Sprintf("column %s of kind %v", c.name, c.kind)) // the types are this package's own
		}
	}
}
