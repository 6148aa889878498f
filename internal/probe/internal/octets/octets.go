// Package octets takes a received message apart from its front, with every
// bound checked: what is read beyond the end is zero and makes the whole
// message bad, so that a decoder looks at Err once, at its end.
package octets

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrShort says that a message ends before its last field does.
var ErrShort = errors.New("message is cut short")

// Reader reads one message. It aliases the bytes, and copies none of them.
type Reader struct {
	b     []byte
	at    int
	short bool
}

// New reads b from its first byte.
func New(b []byte) *Reader { return &Reader{b: b} }

// Err is ErrShort once more was read than there is.
func (r *Reader) Err() error {
	if r.short {
		return ErrShort
	}
	return nil
}

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.b) - r.at }

// At is how many bytes were read.
func (r *Reader) At() int { return r.at }

// Take returns the next n bytes, nil when there are fewer or n is negative.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > r.Len() {
		r.short, r.at = true, len(r.b)
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

// Skip passes over n bytes.
func (r *Reader) Skip(n int) { r.Take(n) }

// Rest returns all that is left.
func (r *Reader) Rest() []byte { return r.Take(r.Len()) }

// Until returns the bytes before the next end, and passes over it. Without an
// end the message is short.
func (r *Reader) Until(end byte) []byte {
	i := bytes.IndexByte(r.b[r.at:], end)
	if i < 0 {
		r.short, r.at = true, len(r.b)
		return nil
	}
	v := r.Take(i)
	r.Skip(1)
	return v
}

// U8 reads one byte.
func (r *Reader) U8() byte {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads two bytes in network order.
func (r *Reader) U16() uint16 { return r.order16(binary.BigEndian) }

// U32 reads four bytes in network order.
func (r *Reader) U32() uint32 { return r.order32(binary.BigEndian) }

// LE16 reads two bytes, the lowest first.
func (r *Reader) LE16() uint16 { return r.order16(binary.LittleEndian) }

// LE32 reads four bytes, the lowest first.
func (r *Reader) LE32() uint32 { return r.order32(binary.LittleEndian) }

func (r *Reader) order16(o binary.ByteOrder) uint16 {
	if b := r.Take(2); b != nil {
		return o.Uint16(b)
	}
	return 0
}

func (r *Reader) order32(o binary.ByteOrder) uint32 {
	if b := r.Take(4); b != nil {
		return o.Uint32(b)
	}
	return 0
}
