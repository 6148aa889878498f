package amqp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	header    = "AMQP\x00\x00\x09\x01" // of AMQP 0-9-1 (section 4.2.2)
	headSize  = 7                      // of a frame
	frameEnd  = 0xce
	method    = 1
	maxFrame  = 16 << 10
	maxFields = 200
	maxDepth  = 8
)

// length reads a frame's header, and says how many bytes follow it, the end's
// included:
//
//	type | channel | size | payload | 0xce
func length(head []byte) (int, error) {
	r := octets.New(head)
	kind, channel, n := r.U8(), r.U16(), r.U32()
	if r.Err() != nil || kind != method || channel != 0 || n < 12 || n > maxFrame {
		return 0, errors.New("no frame of AMQP")
	}
	return int(n) + 1, nil
}

// start is a Connection.Start, what a broker says first (section 1.4.2.1).
type start struct {
	major, minor byte
	properties   []field
	mechanisms   []string
	locales      []string
}

type field struct{ name, value string }

// parseStart reads what follows a frame's header.
func parseStart(b []byte) (start, error) {
	r := octets.New(b)
	class, id := r.U16(), r.U16()
	if class != 10 || id != 10 || len(b) == 0 || b[len(b)-1] != frameEnd {
		return start{}, errors.New("no Connection.Start")
	}
	s := start{major: r.U8(), minor: r.U8()}
	var err error
	if s.properties, err = table(r.Take(int(r.U32())), "", 0); err != nil {
		return start{}, err
	}
	s.mechanisms = strings.Fields(string(r.Take(int(r.U32()))))
	s.locales = strings.Fields(string(r.Take(int(r.U32()))))
	if r.Err() != nil || r.Len() != 1 {
		return start{}, errors.New("Connection.Start is cut short")
	}
	return s, nil
}

// table reads a field table; those within it are told with their path,
// "capabilities.basic.nack".
func table(b []byte, path string, depth int) (fields []field, err error) {
	if depth > maxDepth {
		return nil, errors.New("tables within tables")
	}
	r := octets.New(b)
	for r.Len() > 0 && len(fields) < maxFields {
		name := path + string(r.Take(int(r.U8())))
		kind := r.U8()
		if kind == 'F' {
			inner, err := table(r.Take(int(r.U32())), name+".", depth+1)
			if err != nil {
				return nil, err
			}
			fields = append(fields, inner...)
			continue
		}
		v, ok := value(r, kind)
		if !ok || r.Err() != nil {
			return nil, fmt.Errorf("a field of type %q", kind)
		}
		fields = append(fields, field{name, v})
	}
	return fields, r.Err()
}

// value reads one that is not a table, by the types that brokers use (RabbitMQ's
// errata to section 4.2.1).
func value(r *octets.Reader, kind byte) (string, bool) {
	long := func() uint64 { return uint64(r.U32())<<32 | uint64(r.U32()) }
	switch kind {
	case 't':
		return fmt.Sprint(r.U8() != 0), true
	case 'b':
		return fmt.Sprint(int8(r.U8())), true
	case 'B':
		return fmt.Sprint(r.U8()), true
	case 's':
		return fmt.Sprint(int16(r.U16())), true
	case 'u':
		return fmt.Sprint(r.U16()), true
	case 'I':
		return fmt.Sprint(int32(r.U32())), true
	case 'i':
		return fmt.Sprint(r.U32()), true
	case 'l':
		return fmt.Sprint(int64(long())), true
	case 'T':
		return fmt.Sprint(long()), true
	case 'S', 'x':
		return string(r.Take(int(r.U32()))), true
	case 'A':
		return fmt.Sprintf("array of %d bytes", len(r.Take(int(r.U32())))), true
	case 'f':
		r.Skip(4)
		return "float", true
	case 'd':
		r.Skip(8)
		return "double", true
	case 'D':
		r.Skip(5)
		return "decimal", true
	case 'V':
		return "", true
	}
	return "", false
}

// otherVersion reads what a broker answers that does not speak 0-9-1: the
// version that it speaks, "1.0.0", and whether inside SASL or TLS (AMQP 1.0
// section 2.2).
func otherVersion(b []byte) (string, bool) {
	if len(b) < 8 || string(b[:4]) != "AMQP" {
		return "", false
	}
	layer := map[byte]string{2: " over TLS", 3: " over SASL"}[b[4]]
	if b[4] == 0 && b[5] == 0 { // the older form: 0, major, minor, revision
		return fmt.Sprintf("%d-%d-%d", b[5], b[6], b[7]), true
	}
	return fmt.Sprintf("%d.%d.%d%s", b[5], b[6], b[7], layer), true
}
