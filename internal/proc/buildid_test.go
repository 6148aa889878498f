package proc

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// elfFile makes an ELF file with one note segment.
func elfFile(order binary.ByteOrder, wide bool, align uint64, notes []byte) []byte {
	s := elfShape{phoff: 28, phentsize: 42, phnum: 44, pOffset: 4, pFileSz: 16, pAlign: 28, headSize: 52, progSize: 32}
	class := byte(1)
	if wide {
		class = 2
		s = elfShape{phoff: 32, phentsize: 54, phnum: 56, pOffset: 8, pFileSz: 32, pAlign: 48, headSize: 64, progSize: 56}
	}
	b := make([]byte, s.headSize+2*s.progSize, 4096)
	copy(b, "\x7fELF")
	b[4], b[5] = class, 1
	if order == binary.BigEndian {
		b[5] = 2
	}
	put := func(at int, v uint64) {
		if wide {
			order.PutUint64(b[at:], v)
		} else {
			order.PutUint32(b[at:], uint32(v))
		}
	}
	put(s.phoff, uint64(s.headSize))
	order.PutUint16(b[s.phentsize:], uint16(s.progSize))
	order.PutUint16(b[s.phnum:], 2)
	note := s.headSize + s.progSize // the first header is of another type
	order.PutUint32(b[s.headSize:], 1)
	order.PutUint32(b[note:], 4)
	put(note+s.pOffset, uint64(len(b)))
	put(note+s.pFileSz, uint64(len(notes)))
	put(note+s.pAlign, align)
	return append(b, notes...)
}

func note(order binary.AppendByteOrder, name string, kind uint32, desc string, align int) []byte {
	var b []byte
	b = order.AppendUint32(b, uint32(len(name)))
	b = order.AppendUint32(b, uint32(len(desc)))
	b = order.AppendUint32(b, kind)
	for _, s := range []string{name, desc} {
		b = append(b, s...)
		for len(s)%align != 0 {
			b, s = append(b, 0), s+"x"
		}
	}
	return b
}

func TestBuildID(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"64 bit", elfFile(le, true, 4, note(le, "GNU\x00", 3, "\xde\xad\xbe\xef", 4)), "deadbeef"},
		{"32 bit big endian", elfFile(be, false, 4, note(be, "GNU\x00", 3, "\x01\x02", 4)), "0102"},
		{"behind others", elfFile(le, true, 4, join(note(le, "Go\x00\x00", 4, "abc", 4), note(le, "GNU\x00", 1, "abi", 4),
			note(le, "GNU\x00", 3, "\xff", 4))), "ff"},
		{"8 byte alignment", elfFile(le, true, 8, join(note(le, "GNU\x00", 5, "12345", 8), note(le, "GNU\x00", 3, "\xaa", 8))), "aa"},
		{"other owner", elfFile(le, true, 4, note(le, "XXX\x00", 3, "\xff", 4)), ""},
		{"too long", elfFile(le, true, 4, note(le, "GNU\x00", 3, strings.Repeat("x", 65), 4)), ""},
		{"empty id", elfFile(le, true, 4, note(le, "GNU\x00", 3, "", 4)), ""},
		{"lying sizes", elfFile(le, true, 4, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00GNU\x00")), ""},
		{"script", []byte("#!/bin/sh\n" + strings.Repeat("#", 100)), ""},
		{"empty", nil, ""},
		{"head only", elfFile(le, true, 4, nil)[:64], ""},
		{"unknown class", append([]byte("\x7fELF\x07\x01"), make([]byte, 100)...), ""},
		{"unknown order", append([]byte("\x7fELF\x02\x07"), make([]byte, 100)...), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := BuildID(bytes.NewReader(tt.file))
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzBuildID(f *testing.F) {
	le := binary.LittleEndian
	f.Add(elfFile(le, true, 4, note(le, "GNU\x00", 3, "\xde\xad", 4)))
	f.Add(elfFile(binary.BigEndian, false, 8, note(binary.BigEndian, "GNU\x00", 3, "\xde\xad", 8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := BuildID(bytes.NewReader(b))
		if (err == nil) != (id != "") || len(id) > 2*maxBuildID {
			t.Errorf("%q, %v", id, err)
		}
	})
}
