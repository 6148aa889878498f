package proc

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Bounds of the search for a build id: real files have about 12 program headers
// and notes of a few hundred bytes.
const (
	maxProgHeaders = 128
	maxNotes       = 64 << 10
	maxBuildID     = 64 // bytes; SHA-1 has 20
)

// errNoBuildID says that a file has none, or is no ELF file at all.
var errNoBuildID = errors.New("no build id")

// elfShape is where the fields of an ELF class stand (elf(5)).
type elfShape struct {
	order                    binary.ByteOrder
	wide                     bool // 64 bit
	phoff, phentsize, phnum  int  // in the file header
	pOffset, pFileSz, pAlign int  // in a program header
	headSize, progSize       int
}

// BuildID returns the GNU build id of an ELF file in lower-case hex, found in
// its note segments (ELF-64 object file format; NT_GNU_BUILD_ID is type 3 of
// owner "GNU"). It reads at most some tens of kilobytes, and takes any bytes:
// a file that is not ELF, or has no build id, gives an error.
func BuildID(r io.ReaderAt) (string, error) {
	head := make([]byte, 64)
	if n, err := r.ReadAt(head, 0); n < 52 {
		return "", fmt.Errorf("read build id: %w", cmpErr(err, errNoBuildID))
	}
	s, ok := shapeOf(head)
	if !ok {
		return "", fmt.Errorf("read build id: not an ELF file: %w", errNoBuildID)
	}
	size, count := int(s.order.Uint16(head[s.phentsize:])), int(s.order.Uint16(head[s.phnum:]))
	if size < s.progSize || size > 1024 || count > maxProgHeaders {
		return "", fmt.Errorf("read build id: %d program headers of %d bytes: %w", count, size, errNoBuildID)
	}
	table := make([]byte, size*count)
	if _, err := r.ReadAt(table, int64(s.word(head[s.phoff:]))); err != nil {
		return "", fmt.Errorf("read build id: program headers: %w", err)
	}
	const ptNote = 4
	for i := range count {
		h := table[i*size:]
		if s.order.Uint32(h) != ptNote {
			continue
		}
		if id := s.noteSegment(r, h); id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("read build id: %w", errNoBuildID)
}

func cmpErr(err, otherwise error) error {
	if err == nil || err == io.EOF {
		return otherwise
	}
	return err
}

// shapeOf tells class and byte order from the identification bytes.
func shapeOf(head []byte) (elfShape, bool) {
	if string(head[:4]) != "\x7fELF" {
		return elfShape{}, false
	}
	var s elfShape
	switch head[4] {
	case 1:
		s = elfShape{phoff: 28, phentsize: 42, phnum: 44, pOffset: 4, pFileSz: 16, pAlign: 28, headSize: 52, progSize: 32}
	case 2:
		s = elfShape{wide: true, phoff: 32, phentsize: 54, phnum: 56, pOffset: 8, pFileSz: 32, pAlign: 48, headSize: 64, progSize: 56}
	default:
		return elfShape{}, false
	}
	switch head[5] {
	case 1:
		s.order = binary.LittleEndian
	case 2:
		s.order = binary.BigEndian
	default:
		return elfShape{}, false
	}
	return s, true
}

// word reads an address or offset of this class. One beyond an int64 becomes a
// negative offset, which ReadAt refuses.
func (s elfShape) word(b []byte) uint64 {
	if s.wide {
		return s.order.Uint64(b)
	}
	return uint64(s.order.Uint32(b))
}

// noteSegment looks for the build id in one note segment, "" when it has none.
func (s elfShape) noteSegment(r io.ReaderAt, h []byte) string {
	size, align := s.word(h[s.pFileSz:]), s.word(h[s.pAlign:])
	notes := make([]byte, min(size, maxNotes))
	n, _ := r.ReadAt(notes, int64(s.word(h[s.pOffset:]))) // a short read still holds whole notes
	return s.buildIDNote(notes[:max(n, 0)], align)
}

// buildIDNote walks notes: sizes of name and description, type, then both,
// each padded to the segment's alignment (8 in newer x86 property notes, else 4).
func (s elfShape) buildIDNote(b []byte, align uint64) string {
	if align != 8 {
		align = 4
	}
	pad := func(n uint32) uint64 { return (uint64(n) + align - 1) &^ (align - 1) }
	const ntGNUBuildID = 3
	for len(b) >= 12 {
		nameSize, descSize, kind := s.order.Uint32(b), s.order.Uint32(b[4:]), s.order.Uint32(b[8:])
		b = b[12:]
		if pad(nameSize) > uint64(len(b)) {
			return ""
		}
		name, rest := b[:nameSize], b[pad(nameSize):]
		if uint64(descSize) > uint64(len(rest)) {
			return ""
		}
		if kind == ntGNUBuildID && string(name) == "GNU\x00" && descSize > 0 && descSize <= maxBuildID {
			return hex.EncodeToString(rest[:descSize])
		}
		b = rest[min(pad(descSize), uint64(len(rest))):]
	}
	return ""
}
