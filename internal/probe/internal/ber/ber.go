// Package ber writes and reads the part of ASN.1's Basic Encoding Rules (X.690)
// that LDAP, SNMP and Kerberos use: tags of one byte, definite lengths, at most
// 2 GiB. Reading neither copies nor recurses: an element's children are read
// when asked for.
package ber

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Universal tags that the three protocols share.
const (
	Integer     = 0x02
	OctetString = 0x04
	OID         = 0x06
	Sequence    = 0x30
)

// ErrMalformed is wrapped by what says that bytes are no element.
var ErrMalformed = errors.New("malformed BER")

// errMore says that an element goes on after the bytes that there are.
var errMore = fmt.Errorf("%w: cut short", ErrMalformed)

// Element is one element read: its tag, and its contents, which alias what it
// was read from.
type Element struct {
	Tag   byte
	Value []byte
}

// TLV writes an element of the parts.
func TLV(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := []byte{tag}
	if n < 0x80 {
		b = append(b, byte(n))
	} else {
		var size []byte
		for v := n; v > 0; v >>= 8 {
			size = append([]byte{byte(v)}, size...)
		}
		b = append(append(b, 0x80|byte(len(size))), size...)
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Int writes a whole number with the tag, in as few bytes as it needs.
func Int(tag byte, v int64) []byte {
	b := []byte{byte(v)}
	for v > 0x7f || v < -0x80 {
		v >>= 8
		b = append([]byte{byte(v)}, b...)
	}
	return TLV(tag, b)
}

// Text writes a string with the tag.
func Text(tag byte, s string) []byte { return TLV(tag, []byte(s)) }

// header reads tag and length: the contents are b[at:at+n].
func header(b []byte) (at, n int, err error) {
	if len(b) < 2 {
		return 0, 0, errMore
	}
	if b[0]&0x1f == 0x1f {
		return 0, 0, fmt.Errorf("%w: tag 0x%02x of several bytes", ErrMalformed, b[0])
	}
	size := int(b[1])
	if size < 0x80 {
		return 2, size, nil
	}
	size &= 0x7f
	if size == 0 || size > 4 {
		return 0, 0, fmt.Errorf("%w: length 0x%02x", ErrMalformed, b[1])
	}
	if len(b) < 2+size {
		return 0, 0, errMore
	}
	var v uint32
	for _, c := range b[2 : 2+size] {
		v = v<<8 | uint32(c)
	}
	if v > 1<<31-1-6 {
		return 0, 0, fmt.Errorf("%w: length %d", ErrMalformed, v)
	}
	return 2 + size, int(v), nil
}

// Parse reads the first element of b, and returns what follows it.
func Parse(b []byte) (e Element, rest []byte, err error) {
	at, n, err := header(b)
	if err != nil {
		return Element{}, nil, err
	}
	if len(b)-at < n {
		return Element{}, nil, errMore
	}
	return Element{b[0], b[at : at+n : at+n]}, b[at+n:], nil
}

// Read reads one element whole from a stream, its header included; one of more
// than limit bytes is an error.
func Read(r io.Reader, limit int) ([]byte, error) {
	b := make([]byte, 2, 6) // the longest header: a length of four bytes
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	at, n, err := header(b)
	if err == errMore {
		b = b[:2+int(b[1]&0x7f)]
		if _, err := io.ReadFull(r, b[2:]); err != nil {
			return nil, err
		}
		at, n, err = header(b)
	}
	if err != nil {
		return nil, err
	}
	if at+n > limit {
		return nil, fmt.Errorf("%w: an element of %d bytes", ErrMalformed, at+n)
	}
	b = append(b, make([]byte, n)...)
	_, err = io.ReadFull(r, b[at:])
	return b, err
}

// Children reads the elements that e holds.
func (e Element) Children() (all []Element, err error) {
	for b := e.Value; len(b) > 0; {
		var c Element
		if c, b, err = Parse(b); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Want reads the children of e, whose first have to have these tags; 0 is any.
func (e Element) Want(tags ...byte) ([]Element, error) {
	all, err := e.Children()
	if err != nil {
		return nil, err
	}
	if len(all) < len(tags) {
		return nil, fmt.Errorf("%w: %d elements in 0x%02x, not %d", ErrMalformed, len(all), e.Tag, len(tags))
	}
	for i, t := range tags {
		if t != 0 && all[i].Tag != t {
			return nil, fmt.Errorf("%w: 0x%02x in 0x%02x, not 0x%02x", ErrMalformed, all[i].Tag, e.Tag, t)
		}
	}
	return all, nil
}

// Int is the whole number that e holds, whatever its tag.
func (e Element) Int() (int64, error) {
	if len(e.Value) == 0 || len(e.Value) > 8 {
		return 0, fmt.Errorf("%w: a number of %d bytes", ErrMalformed, len(e.Value))
	}
	v := int64(int8(e.Value[0]))
	for _, c := range e.Value[1:] {
		v = v<<8 | int64(c)
	}
	return v, nil
}

// Uint is the number without a sign that e holds, such as a counter.
func (e Element) Uint() (uint64, error) {
	b := e.Value
	if len(b) == 9 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 8 {
		return 0, fmt.Errorf("%w: a number of %d bytes", ErrMalformed, len(b))
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}

// Dotted is the object identifier that e holds, "1.3.6.1"; "" when it holds none.
func (e Element) Dotted() string {
	var arcs []string
	var v uint64
	for i, c := range e.Value {
		if v > 1<<56 {
			return ""
		}
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			if i == len(e.Value)-1 {
				return ""
			}
			continue
		}
		if arcs == nil { // the first two arcs are in one number
			top := min(v/40, 2)
			arcs = append(arcs, strconv.FormatUint(top, 10))
			v -= top * 40
		}
		arcs = append(arcs, strconv.FormatUint(v, 10))
		v = 0
	}
	return strings.Join(arcs, ".")
}
