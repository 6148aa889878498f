package mongodb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	opMsg      = 2013 // OP_MSG of MongoDB's wire protocol, since 3.6
	headSize   = 16
	maxMessage = 48 << 10
	maxFields  = 200
	maxDepth   = 4
)

// message is an OP_MSG that runs one command on the database admin:
//
//	length | id | to | 2013 | flags | kind 0 | BSON
func message(id uint32, command string) []byte {
	doc := append([]byte{0x10}, command...)
	doc = append(doc, 0, 1, 0, 0, 0)
	doc = append(doc, "\x02$db\x00\x06\x00\x00\x00admin\x00\x00"...)
	doc = append(binary.LittleEndian.AppendUint32(nil, uint32(4+len(doc))), doc...)
	b := binary.LittleEndian.AppendUint32(nil, uint32(headSize+5+len(doc)))
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, opMsg)
	b = append(b, 0, 0, 0, 0, 0)
	return append(b, doc...)
}

// length reads a header, and says how many bytes follow it.
func length(head []byte, id uint32) (int, error) {
	r := octets.New(head)
	n := r.LE32()
	r.Skip(4)
	to, op := r.LE32(), r.LE32()
	if r.Err() != nil || op != opMsg || to != id || n < headSize+5+5 || n > maxMessage {
		return 0, errors.New("no answer of MongoDB")
	}
	return int(n) - headSize, nil
}

// field is one of a document, those within it by their path.
type field struct {
	name   string
	values []string
}

// parse reads what follows a header.
func parse(b []byte) ([]field, error) {
	r := octets.New(b)
	r.Skip(4)
	if r.U8() != 0 {
		return nil, errors.New("no document in the answer")
	}
	return document(r, "", 0)
}

// document reads a BSON document (bsonspec.org, version 1.1).
func document(r *octets.Reader, path string, depth int) (fields []field, err error) {
	n := int(r.LE32())
	d := octets.New(r.Take(n - 4))
	if r.Err() != nil || depth > maxDepth {
		return nil, errors.New("no document of BSON")
	}
	for {
		kind := d.U8()
		if d.Err() != nil || len(fields) > maxFields {
			return nil, errors.New("document without an end")
		}
		if kind == 0 {
			return fields, nil
		}
		name := path + string(d.Until(0))
		var more []field
		switch kind {
		case 3: // a document
			more, err = document(d, name+".", depth+1)
		case 4: // an array: its values, without their numbers
			more, err = document(d, "", depth+1)
			more = []field{{name, flat(more)}}
		default:
			var v string
			v, err = value(d, kind)
			more = []field{{name, []string{v}}}
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, more...)
	}
}

func flat(fields []field) (values []string) {
	for _, f := range fields {
		values = append(values, strings.Join(f.values, " "))
	}
	return values
}

// value words one that holds no others; binary ones only by their length.
func value(r *octets.Reader, kind byte) (string, error) {
	long := func() uint64 { return uint64(r.LE32()) | uint64(r.LE32())<<32 }
	var v string
	switch kind {
	case 1:
		v = fmt.Sprint(math.Float64frombits(long()))
	case 2, 13, 14: // string, code, symbol
		v = strings.TrimSuffix(string(r.Take(int(r.LE32()))), "\x00")
	case 5:
		n := int(r.LE32())
		r.Skip(1)
		v = fmt.Sprintf("%d bytes", len(r.Take(n)))
	case 7:
		v = fmt.Sprintf("%x", r.Take(12))
	case 8:
		v = fmt.Sprint(r.U8() != 0)
	case 9:
		v = time.UnixMilli(int64(long())).UTC().Format(time.RFC3339Nano)
	case 10, 6, 0x7f, 0xff:
		v = "null"
	case 16:
		v = fmt.Sprint(int32(r.LE32()))
	case 17: // a timestamp: increment, seconds
		i := r.LE32()
		v = fmt.Sprintf("%d.%d", r.LE32(), i)
	case 18:
		v = fmt.Sprint(int64(long()))
	default:
		return "", fmt.Errorf("a value of type %#02x", kind)
	}
	return v, r.Err()
}

// get finds a field's first value.
func get(fields []field, name string) string {
	for _, f := range fields {
		if f.name == name && len(f.values) > 0 {
			return f.values[0]
		}
	}
	return ""
}
