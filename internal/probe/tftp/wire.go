package tftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Operations (RFC 1350 section 5, RFC 2347).
const (
	opRead    = 1
	opData    = 3
	opError   = 5
	opOptions = 6

	maxBlock        = 512
	unknownTransfer = 5
)

var errNoAnswer = errors.New("not TFTP")

// reply is what a server answers a read request with.
type reply struct {
	op, code uint16
	text     string
}

// readRequest is RRQ: operation, name and mode, each of those ended by 0.
func readRequest(name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, opRead)
	return append(b, name+"\x00octet\x00"...)
}

// goodbye ends a transfer that was not meant to begin.
func goodbye() []byte {
	b := binary.BigEndian.AppendUint16(nil, opError)
	return append(binary.BigEndian.AppendUint16(b, unknownTransfer), "not wanted\x00"...)
}

// parse reads ERROR, the first DATA, or OACK.
func parse(b []byte) (reply, error) {
	r := octets.New(b)
	out := reply{op: r.U16()}
	switch out.op {
	case opError:
		out.code = r.U16()
		text := r.Rest()
		if n := len(text); n > 0 && text[n-1] == 0 {
			text = text[:n-1]
		}
		out.text = string(text)
		if out.code > 8 {
			return reply{}, errNoAnswer
		}
	case opData:
		if block := r.U16(); block != 1 || r.Len() > maxBlock {
			return reply{}, errNoAnswer
		}
	case opOptions:
		if r.Len() == 0 || b[len(b)-1] != 0 {
			return reply{}, errNoAnswer
		}
	default:
		return reply{}, errNoAnswer
	}
	return out, r.Err()
}

// String is the gist of a reply.
func (r reply) String() string {
	switch r.op {
	case opData:
		return "DATA"
	case opOptions:
		return "OACK"
	}
	if r.text == "" {
		return errorName(r.code)
	}
	return fmt.Sprintf("error %d, %s", r.code, r.text)
}

// errorName is an error code with its name (RFC 1350's appendix, RFC 2347).
func errorName(code uint16) string {
	names := []string{"Not defined", "File not found", "Access violation", "Disk full or allocation exceeded", "Illegal TFTP operation",
		"Unknown transfer ID", "File already exists", "No such user", "Option negotiation failed"}
	if int(code) < len(names) {
		return fmt.Sprintf("%d %s", code, names[code])
	}
	return strconv.Itoa(int(code))
}
