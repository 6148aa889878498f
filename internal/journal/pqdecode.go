package journal

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// The decoders of pages take a page's bytes and the number of values that it is
// to have. They make neither more nor fewer, whatever the bytes say, so that
// damage costs no memory.

var errPage = errors.New("damaged page")

// unpacker reads values of a width of bits, least significant bit first.
type unpacker struct {
	b   []byte
	acc uint64
	n   uint // bits in acc
}

// next returns the next value of at most 56 bits. Past the end come zeros.
func (u *unpacker) next(width uint) uint64 {
	if u.n < width {
		u.fill()
	}
	v := u.acc & (1<<width - 1)
	u.acc >>= width
	u.n -= min(width, u.n)
	return v
}

// fill tops acc up to at least 56 bits, if there are as many.
func (u *unpacker) fill() {
	if len(u.b) >= 8 {
		u.acc |= binary.LittleEndian.Uint64(u.b) << u.n
		k := (63 - u.n) / 8
		u.b = u.b[k:]
		u.n += 8 * k
		u.acc &= 1<<u.n - 1
		return
	}
	for u.n <= 56 && len(u.b) > 0 {
		u.acc |= uint64(u.b[0]) << u.n
		u.b = u.b[1:]
		u.n += 8
	}
}

// decodeHybrid fills dst from Parquet's RLE/bit-packing hybrid.
//
//	run        = <varint: length<<1>       <value, whole bytes>
//	bit-packed = <varint: groups of 8<<1|1> <8*groups values>
func decodeHybrid[T byte | int32](dst []T, src []byte, width uint) error {
	if width > 32 {
		return errPage
	}
	for len(dst) > 0 {
		h, k := binary.Uvarint(src)
		if k <= 0 {
			return errPage
		}
		src = src[k:]
		if h&1 != 0 {
			n := int(min(h>>1*8, uint64(len(dst)), 1<<31))
			size := (n*int(width) + 7) / 8
			if size > len(src) {
				return errPage
			}
			u := unpacker{b: src[:size]}
			for i := range dst[:n] {
				dst[i] = T(u.next(width))
			}
			dst = dst[n:]
			src = src[min(uint64(len(src)), h>>1*uint64(width)):]
			continue
		}
		n, size := int(min(h>>1, uint64(len(dst)))), int(width+7)/8
		if n == 0 || size > len(src) {
			return errPage
		}
		var v uint32
		for i, b := range src[:size] {
			v |= uint32(b) << (8 * i)
		}
		src = src[size:]
		for i := range dst[:n] {
			dst[i] = T(v)
		}
		dst = dst[n:]
	}
	return nil
}

// decodeDelta fills dst from DELTA_BINARY_PACKED.
//
//	header = block size, miniblocks a block, values, first value (zig-zag); all varints
//	block  = least delta (zig-zag), a width for each miniblock (byte), miniblocks
func decodeDelta(dst []int64, src []byte) error {
	var head [4]uint64
	for i := range head {
		v, k := binary.Uvarint(src)
		if k <= 0 {
			return errPage
		}
		head[i], src = v, src[k:]
	}
	size, minis := head[0], head[1]
	if head[2] != uint64(len(dst)) || size == 0 || size > 1<<16 || minis == 0 || minis > 64 || size%minis != 0 {
		return errPage
	}
	if len(dst) == 0 {
		return nil
	}
	last := unzigzag(head[3])
	dst[0], dst = last, dst[1:]
	for len(dst) > 0 {
		v, k := binary.Uvarint(src)
		if k <= 0 || len(src)-k < int(minis) {
			return errPage
		}
		least, widths := unzigzag(v), src[k:k+int(minis)]
		src = src[k+int(minis):]
		for _, w := range widths {
			if len(dst) == 0 {
				break
			}
			n := min(len(dst), int(size/minis))
			whole := int(size/minis) * int(w) / 8
			if w > 64 || len(src) < whole {
				return errPage
			}
			last = undelta(dst[:n], src[:whole], uint(w), least, last)
			dst, src = dst[n:], src[whole:]
		}
	}
	return nil
}

// undelta decodes one miniblock and returns its last value.
func undelta(dst []int64, src []byte, width uint, least, last int64) int64 {
	u := unpacker{b: src}
	switch {
	case width == 0:
		for i := range dst {
			last += least
			dst[i] = last
		}
	case width <= 56:
		for i := range dst {
			last += least + int64(u.next(width))
			dst[i] = last
		}
	default:
		for i := range dst {
			lo := u.next(32)
			last += least + int64(lo|u.next(width-32)<<32)
			dst[i] = last
		}
	}
	return last
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// spread moves the first n values to the rows that have one, n being how many
// do; the others become null.
func spread[T int32 | int64](vs []T, present []byte, n int, null T) {
	for i := len(present) - 1; i >= 0; i-- {
		if present[i] == 0 {
			vs[i] = null
			continue
		}
		n--
		vs[i] = vs[n]
	}
}

// ones counts the rows that have a value.
func ones(present []byte) (n int) {
	for len(present) >= 8 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(present))
		present = present[8:]
	}
	for _, b := range present {
		n += int(b)
	}
	return n
}
