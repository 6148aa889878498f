package journal

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
)

// TestDecodeLikeTheLibrary decodes what the Parquet library encoded.
func TestDecodeLikeTheLibrary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for width := range uint(65) {
		for _, n := range []int{0, 1, 7, 8, 9, 127, 128, 129, 130, 1000, 2048} {
			longs, codes, levels := make([]int64, n), make([]int32, n), make([]byte, n)
			for i := range n {
				longs[i] = int64(rnd.Uint64()) >> (64 - max(width, 1)) // shifts by 64 are 0
				codes[i] = int32(rnd.Uint32N(1 << min(width, 20)))
				if i > 0 && rnd.IntN(5) > 0 {
					codes[i] = codes[i-1]
				}
				levels[i] = byte(rnd.IntN(2))
			}
			b, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, longs)
			check(t, err)
			got := make([]int64, n)
			if err := decodeDelta(got, b); err != nil || !slices.Equal(got, longs) {
				t.Fatalf("delta of %d values of %d bits: %v, %v, want %v", n, width, err, got, longs)
			}
			b, err = new(rle.DictionaryEncoding).EncodeInt32(nil, codes)
			check(t, err)
			indices := make([]int32, n)
			if n > 0 {
				if err := decodeHybrid(indices, b[1:], uint(b[0])); err != nil || !slices.Equal(indices, codes) {
					t.Fatalf("%d indices of %d bits: %v, %v, want %v", n, width, err, indices, codes)
				}
			}
			b, err = (&rle.Encoding{BitWidth: 1}).EncodeLevels(nil, levels)
			check(t, err)
			bits := make([]byte, n)
			if err := decodeHybrid(bits, b, 1); err != nil || !bytes.Equal(bits, levels) {
				t.Fatalf("%d levels: %v, %v, want %v", n, err, bits, levels)
			}
		}
	}
}

// TestDecodeExtremes: deltas that overflow wrap around, as the format has it.
func TestDecodeExtremes(t *testing.T) {
	want := []int64{math.MaxInt64, math.MinInt64, 0, -1, math.MinInt64, math.MaxInt64, 1}
	b, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, want)
	check(t, err)
	got := make([]int64, len(want))
	if err := decodeDelta(got, b); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", err, got, want)
	}
}

func TestSpread(t *testing.T) {
	present := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1}
	vs := []int32{10, 20, 30, 40, -9, -9, -9, -9, -9, -9, -9}
	spread(vs, present, ones(present), -1)
	if want := []int32{-1, 10, 20, -1, -1, 30, -1, -1, -1, -1, 40}; !slices.Equal(vs, want) {
		t.Errorf("%v, want %v", vs, want)
	}
}

// FuzzDecodePage: any bytes give an error or exactly the values asked for, and
// what the decoders accept is a prefix of what the library makes of it.
func FuzzDecodePage(f *testing.F) {
	b, _ := new(delta.BinaryPackedEncoding).EncodeInt64(nil, []int64{1, 5, -7, 1 << 40})
	f.Add(b, uint16(4), byte(3))
	b, _ = new(rle.DictionaryEncoding).EncodeInt32(nil, []int32{1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4})
	f.Add(b[1:], uint16(12), b[0])
	f.Fuzz(func(t *testing.T, b []byte, n uint16, width byte) {
		n %= 4096
		got := make([]int64, n)
		if decodeDelta(got, b) == nil && n > 0 {
			c, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, got)
			check(t, err)
			again := make([]int64, n)
			if err := decodeDelta(again, c); err != nil || !slices.Equal(got, again) {
				t.Fatalf("%v does not survive encoding: %v, %v", got, err, again)
			}
		}
		codes := make([]int32, n)
		w := uint(width % 40)
		if err := decodeHybrid(codes, b, w); err == nil && w < 31 {
			for _, c := range codes {
				if c < 0 || c >= 1<<w {
					t.Fatalf("%d is wider than %d bits", c, w)
				}
			}
		} else if err == nil && w > 32 {
			t.Fatal("a width over 32 bits")
		}
	})
}
