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

// unpack fills dst with values of a width of at most 56 bits, least significant
// bit first. What src lacks is zero.
func unpack[T byte | int32 | int64](dst []T, src []byte, width uint) {
	mask := uint64(1)<<width - 1
	bit := uint(0)
	for len(dst) > 0 {
		room := len(src) - 8 // a value is read as eight bytes from the one in which it begins
		if room < 0 || int(bit/8) > room {
			var last [16]byte
			copy(last[:], src[min(int(bit/8), len(src)):])
			src, bit = last[:], bit%8
			continue
		}
		n := len(dst)
		if width > 0 {
			n = min(n, 1+(room*8+7-int(bit))/int(width))
		}
		for i := range dst[:n] {
			dst[i] = T(binary.LittleEndian.Uint64(src[bit/8:]) >> (bit % 8) & mask)
			bit += width
		}
		dst = dst[n:]
	}
}

// unpackWide is unpack for widths over 56 bits, of which a value may begin in
// one byte and end in the ninth from it.
func unpackWide(dst []int64, src []byte, width uint) {
	var part [32*8 + 16]byte // of 32 values, which end with a byte, and zeros
	for len(dst) > 0 {
		n, size := min(len(dst), 32), min(len(src), int(4*width))
		clear(part[copy(part[:], src[:size]):])
		bit := uint(0)
		for i := range dst[:n] {
			at := part[bit/8:]
			v := binary.LittleEndian.Uint64(at)>>(bit%8) | uint64(at[8])<<(64-bit%8)
			dst[i] = int64(v & (1<<width - 1))
			bit += width
		}
		dst, src = dst[n:], src[size:]
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
			unpack(dst[:n], src[:size], width)
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
		if uint64(v)>>width != 0 {
			return errPage
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
			last = undelta(dst[:n], src, uint(w), least, last)
			dst, src = dst[n:], src[whole:]
		}
	}
	return nil
}

// undelta decodes one miniblock, with which src begins, and returns its last value.
func undelta(dst []int64, src []byte, width uint, least, last int64) int64 {
	switch {
	case width == 0:
		clear(dst)
	case width <= 56:
		unpack(dst, src, width)
	default:
		unpackWide(dst, src, width)
	}
	for i, v := range dst {
		last += least + v
		dst[i] = last
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
