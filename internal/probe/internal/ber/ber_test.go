package ber

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"testing/iotest"
)

func TestTLV(t *testing.T) {
	for _, tt := range []struct {
		n    int
		head string
	}{{0, "0400"}, {127, "047f"}, {128, "048180"}, {255, "0481ff"}, {256, "04820100"}, {65536, "0483010000"}} {
		b := TLV(OctetString, make([]byte, tt.n))
		if got := hex.EncodeToString(b[:len(b)-tt.n]); got != tt.head {
			t.Errorf("%d bytes: %s, want %s", tt.n, got, tt.head)
		}
		e, rest, err := Parse(append(b, 7))
		if err != nil || e.Tag != OctetString || len(e.Value) != tt.n || string(rest) != "\x07" {
			t.Errorf("%d bytes: tag %x, %d bytes, rest %x, %v", tt.n, e.Tag, len(e.Value), rest, err)
		}
		r := iotest.OneByteReader(bytes.NewReader(append(b, 7)))
		if got, err := Read(r, 1<<20); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes from a stream: %d, %v", tt.n, len(got), err)
		}
	}
}

// TestInt compares with the standard library's DER.
func TestInt(t *testing.T) {
	for _, v := range []int64{0, 1, 127, 128, 255, 256, -1, -128, -129, 0x7fff, 0x8000, math.MaxInt64, math.MinInt64} {
		want, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b := Int(Integer, v)
		if !bytes.Equal(b, want) {
			t.Errorf("%d is %x, want %x", v, b, want)
		}
		e, _, _ := Parse(b)
		if got, err := e.Int(); got != v || err != nil {
			t.Errorf("%d reads as %d, %v", v, got, err)
		}
	}
	for hexed, want := range map[string]uint64{"00": 0, "ff": 255, "00ff": 255, "ffffffff": math.MaxUint32, "00ffffffffffffffff": math.MaxUint64} {
		b, _ := hex.DecodeString(hexed)
		if got, err := (Element{Value: b}).Uint(); got != want || err != nil {
			t.Errorf("%s reads as %d, %v", hexed, got, err)
		}
	}
	for _, n := range []int{0, 9, 10} {
		e := Element{Value: bytes.Repeat([]byte{1}, n)}
		if _, err := e.Int(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes are a number", n)
		}
		if _, err := e.Uint(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes are a number without a sign", n)
		}
	}
}

func TestDotted(t *testing.T) {
	for hexed, want := range map[string]string{
		"2b0601020101": "1.3.6.1.2.1.1", "2a864886f714010402": "1.2.840.113556.1.4.2", "883703": "2.999.3", "00": "0.0",
		"": "", "2b86": "", "2bffffffffffffffffff7f": "",
	} {
		b, _ := hex.DecodeString(hexed)
		if got := (Element{Value: b}).Dotted(); got != want {
			t.Errorf("%s is %q, want %q", hexed, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, hexed := range []string{"", "30", "3005", "30050102", "3080", "30850000000001", "3084ffffffff", "1f8101", "3081", "308201"} {
		b, _ := hex.DecodeString(hexed)
		if _, _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", hexed, err)
		}
		if _, err := Read(bytes.NewReader(b), 1000); err == nil {
			t.Errorf("%s is read from a stream", hexed)
		}
	}
	if _, err := Read(bytes.NewReader(TLV(4, make([]byte, 500))), 100); !errors.Is(err, ErrMalformed) {
		t.Errorf("a long element: %v", err)
	}
	e := Element{Sequence, []byte{2, 1, 5, 4, 0}}
	for _, want := range [][]byte{{Integer, OctetString, 0}, {OctetString}} {
		if _, err := e.Want(want...); !errors.Is(err, ErrMalformed) {
			t.Errorf("want %x: %v", want, err)
		}
	}
	if c, err := e.Want(Integer, 0); err != nil || len(c) != 2 {
		t.Errorf("want: %v, %v", c, err)
	}
	if _, err := (Element{Sequence, []byte{2, 1}}).Want(); err == nil {
		t.Error("children cut short are read")
	}
}

// FuzzParse: what is read, all levels of it, writes to bytes that read the same.
func FuzzParse(f *testing.F) {
	f.Add(TLV(Sequence, Int(Integer, 5), Text(OctetString, "x"), TLV(0xa0, TLV(5))))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := Parse(b)
		if err != nil {
			return
		}
		if len(rest)+len(e.Value) > len(b) {
			t.Fatal("more than there was")
		}
		again, _, err := Parse(TLV(e.Tag, e.Value))
		if err != nil || again.Tag != e.Tag || !bytes.Equal(again.Value, e.Value) {
			t.Fatalf("%x reads as %+v, then %+v, %v", b, e, again, err)
		}
		if all, err := e.Children(); err == nil {
			n := 0
			for _, c := range all {
				n += len(c.Value) + 2
			}
			if n > len(e.Value) {
				t.Fatalf("children of %d bytes in %d", n, len(e.Value))
			}
		}
		_, _ = e.Int()
		_ = e.Dotted()
	})
}
