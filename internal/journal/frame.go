package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/portreporter/portreporter/internal/activity"
)

// A live log is a magic and frames:
//
//	"PRJLIVE\x01"
//	+---------+-----------+------+---------------+
//	| len u32 | crc32c u32| type | body          |   len counts type and body,
//	+---------+-----------+------+---------------+   so does the CRC
//
// Integers are little-endian. The first frame is the header. Bodies are the
// binary forms of package activity.
const (
	liveMagic   = "PRJLIVE\x01"
	frameHead   = 8
	maxFrame    = 1 << 20 // no record is longer: the codecs' inputs are bounded far below
	maxLiveFile = 1 << 30 // a longer live log is not this package's work
)

// Types of a frame.
const (
	frameHeader byte = iota + 1
	frameEvent
	frameProcess
	frameModules
	numFrames
)

// castagnoli is the CRC-32C table of RFC 3720, which amd64 and arm64 compute in
// hardware; MakeTable returns the one shared table.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// beginFrame appends room for a frame's head, and its type.
func beginFrame(b []byte, typ byte) []byte {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0, typ)
}

// endFrame fills the head of the frame that began at start.
func endFrame(b []byte, start int, crc *crc32.Table) {
	payload := b[start+frameHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, crc))
}

// header is the first frame of a live log.
type header struct {
	host     [16]byte
	hostName string
	boot     string
	first    pos
}

func appendHeader(b []byte, h *header) []byte {
	b = append(b, liveMagic...)
	start := len(b)
	b = beginFrame(b, frameHeader)
	b = append(b, h.host[:]...)
	b = binary.AppendUvarint(b, h.first.epoch)
	b = binary.AppendUvarint(b, h.first.seq)
	for _, s := range []string{h.boot, h.hostName} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	endFrame(b, start, castagnoli())
	return b
}

// parseHeader reads a header frame's body. Bytes after what it knows belong to
// a later version.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < 16 {
		return header{}, fmt.Errorf("live log header: %w", activity.ErrCorrupt)
	}
	h.host, b = [16]byte(b), b[16:]
	ok := true
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok, n, v = false, 0, 0
		}
		b = b[n:]
		return v
	}
	text := func() string {
		n := number()
		if n > uint64(len(b)) {
			ok, n = false, 0
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	h.first = pos{number(), number()}
	h.boot, h.hostName = text(), text()
	if !ok {
		return header{}, fmt.Errorf("live log header: %w", activity.ErrCorrupt)
	}
	return h, nil
}

// span is a stretch of a file, in bytes.
type span struct{ from, to int32 }

// scanner walks the frames of a live log's bytes. Bytes that are no frame are
// skipped when a whole frame follows them, and are the torn tail when none
// does.
type scanner struct {
	b       []byte
	off     int    // of the next frame; at the end, of the torn tail
	skipped []span // damage with whole frames after it
	budget  int    // bytes that looking for the next frame may still check
	crc     *crc32.Table
}

func newScanner(b []byte) *scanner {
	s := &scanner{b: b, crc: castagnoli(), budget: 64<<20 + len(b)}
	if len(b) >= len(liveMagic) && string(b[:len(liveMagic)]) == liveMagic {
		s.off = len(liveMagic)
	}
	return s
}

// next returns the next whole frame. Its body aliases the scanner's bytes.
func (s *scanner) next() (typ byte, body []byte, ok bool) {
	for at := s.off; at < len(s.b); at++ {
		n := s.frame(at)
		if n == 0 {
			continue
		}
		if at > s.off {
			s.skipped = append(s.skipped, span{int32(s.off), int32(at)})
		}
		s.off = at + n
		p := s.b[at+frameHead : s.off]
		return p[0], p[1:], true
	}
	return 0, nil, false
}

// frame returns the length of the whole frame at offset at, 0 if there is none.
func (s *scanner) frame(at int) int {
	rest := s.b[at:]
	if len(rest) <= frameHead {
		return 0
	}
	n := int(binary.LittleEndian.Uint32(rest))
	if n == 0 || n > maxFrame || n > len(rest)-frameHead || rest[frameHead] == 0 || rest[frameHead] >= numFrames || n > s.budget {
		return 0
	}
	if at != s.off { // looking for a way on in damage is bounded, reading is not
		s.budget -= n
	}
	if crc32.Checksum(rest[frameHead:frameHead+n], s.crc) != binary.LittleEndian.Uint32(rest[4:]) {
		return 0
	}
	return frameHead + n
}
