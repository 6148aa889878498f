package journal

import "encoding/binary"

// thriftReader reads Thrift's compact protocol, as far as Parquet's footers need
// it. Footers are most of what a question for little reads, and the library's
// reader, which goes by reflection, takes six times as long. After the first
// error it reads nothing more.
//
// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
type thriftReader struct {
	b   []byte
	bad bool
}

// Types of the protocol.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// thriftDepth is how deep structures may lie in each other.
const thriftDepth = 16

func (r *thriftReader) fail() { r.b, r.bad = nil, true }

func (r *thriftReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *thriftReader) varint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *thriftReader) number() int64 { return unzigzag(r.varint()) }

func (r *thriftReader) bytes() []byte {
	n := r.varint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// list returns the length of a list, whose elements take a byte each at least.
func (r *thriftReader) list() (n int, typ byte) {
	h := r.byte()
	v := uint64(h >> 4)
	if v == 15 {
		v = r.varint()
	}
	if v > uint64(len(r.b)) {
		r.fail()
		return 0, 0
	}
	return int(v), h & 15
}

// thriftField is a field's number and type.
type thriftField struct {
	id  int16
	typ byte
}

// next reads the head of the next field of a structure after f, which begins as
// the zero thriftField. It returns false at the structure's end.
func (r *thriftReader) next(f *thriftField) bool {
	h := r.byte()
	if h == 0 || r.bad {
		return false
	}
	f.typ = h & 15
	if d := int16(h >> 4); d != 0 {
		f.id += d
	} else {
		f.id = int16(r.number())
	}
	return true
}

// skip passes over a value.
func (r *thriftReader) skip(typ byte) { r.skipIn(typ, thriftDepth) }

func (r *thriftReader) skipIn(typ byte, depth int) {
	if depth == 0 {
		r.fail()
		return
	}
	switch typ {
	case thriftTrue, thriftFalse:
	case thriftByte:
		r.byte()
	case thriftI16, thriftI32, thriftI64:
		r.varint()
	case thriftDouble:
		for range 8 {
			r.byte()
		}
	case thriftBinary:
		r.bytes()
	case thriftList, thriftSet:
		n, elem := r.list()
		for range n {
			r.skipElement(elem, depth)
		}
	case thriftMap:
		r.skipMap(depth)
	case thriftStruct:
		for f := (thriftField{}); r.next(&f); {
			r.skipIn(f.typ, depth-1)
		}
	default:
		r.fail()
	}
}

// skipElement is skip in a list or map, where a truth is a byte.
func (r *thriftReader) skipElement(typ byte, depth int) {
	if typ == thriftTrue || typ == thriftFalse {
		typ = thriftByte
	}
	if !r.bad {
		r.skipIn(typ, depth-1)
	}
}

func (r *thriftReader) skipMap(depth int) {
	n := r.varint()
	if n == 0 || n > uint64(len(r.b)) {
		r.bad = r.bad || n != 0
		return
	}
	types := r.byte()
	for range n {
		r.skipElement(types>>4, depth)
		r.skipElement(types&15, depth)
	}
}
