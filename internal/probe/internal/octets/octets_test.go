package octets

import (
	"errors"
	"testing"
)

func TestReader(t *testing.T) {
	r := New([]byte{1, 0, 2, 0, 0, 0, 3, 4, 0, 5, 0, 0, 0, 'a', 'b', 0, 9, 8})
	got := []uint32{uint32(r.U8()), uint32(r.U16()), r.U32(), uint32(r.LE16()), r.LE32()}
	for i, want := range []uint32{1, 2, 3, 4, 5} {
		if got[i] != want {
			t.Errorf("number %d is %d, want %d", i, got[i], want)
		}
	}
	if s := string(r.Until(0)); s != "ab" {
		t.Errorf("until: %q", s)
	}
	if r.At() != 16 || r.Len() != 2 || string(r.Rest()) != "\x09\x08" || r.Err() != nil {
		t.Errorf("rest: at %d, %d left, %v", r.At(), r.Len(), r.Err())
	}
}

// TestShort: each way to read too much gives zero, once and for all.
func TestShort(t *testing.T) {
	for name, read := range map[string]func(*Reader) bool{
		"u8":       func(r *Reader) bool { r.Skip(3); return r.U8() == 0 },
		"u16":      func(r *Reader) bool { r.Skip(2); return r.U16() == 0 },
		"u32":      func(r *Reader) bool { return r.U32() == 0 },
		"le16":     func(r *Reader) bool { r.Skip(2); return r.LE16() == 0 },
		"le32":     func(r *Reader) bool { return r.LE32() == 0 },
		"take":     func(r *Reader) bool { return r.Take(4) == nil },
		"negative": func(r *Reader) bool { return r.Take(-1) == nil },
		"until":    func(r *Reader) bool { return r.Until(9) == nil },
	} {
		r := New([]byte{1, 2, 3})
		if !read(r) || !errors.Is(r.Err(), ErrShort) || r.Len() != 0 || r.U8() != 0 {
			t.Errorf("%s: %v, %d left", name, r.Err(), r.Len())
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x05hello\x00"), byte(3))
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		r := New(b)
		total := 0
		for r.Len() > 0 {
			before := r.Len()
			total += len(r.Take(int(step%7) + 1))
			if r.Len() >= before {
				t.Fatal("does not move on")
			}
		}
		if (r.Err() == nil) != (total == len(b)) {
			t.Fatalf("%d of %d bytes, %v", total, len(b), r.Err())
		}
	})
}
