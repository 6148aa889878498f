package coap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Message types and options of RFC 7252, with Block2 and Size2 of RFC 7959.
const (
	typeCon = 0
	typeAck = 2
	typeRst = 3

	optContentFormat = 12
	optBlock2        = 23
	optSize2         = 28

	codeGet   = 1
	tokenSize = 4
)

// request is GET /.well-known/core (RFC 6690), which lists what there is:
//
//	version 1, type, token length | code | message id | token | options
func request(id uint16, token []byte) []byte {
	b := append([]byte{1<<6 | typeCon<<4 | byte(len(token)), codeGet, byte(id >> 8), byte(id)}, token...)
	b = append(b, 0xbb) // Uri-Path, 11 bytes
	b = append(b, ".well-known"...)
	b = append(b, 4) // again, 4 bytes
	b = append(b, "core"...)
	// Blocks of 256 bytes: an answer no larger than that.
	return append(b, (optBlock2-11)<<4&0xf0|1, 4)
}

// message is an answer.
type message struct {
	kind    byte
	code    byte
	id      uint16
	format  uint32 // content format, noFormat: none
	size    uint32 // of all of it; 0 unknown
	more    bool   // there are more blocks
	payload []byte
}

const noFormat = 0xffffffff

// parse reads an answer to the request with this id and token.
func parse(b []byte, id uint16, token []byte) (message, error) {
	r := octets.New(b)
	first := r.U8()
	m := message{kind: first >> 4 & 3, code: r.U8(), id: r.U16(), format: noFormat}
	got := r.Take(int(first & 15))
	switch {
	case r.Err() != nil || first>>6 != 1 || first&15 > 8:
		return message{}, errors.New("no message of CoAP")
	case m.kind == typeRst && m.code == 0 && m.id == id && r.Len() == 0: // knows no such thing, and speaks CoAP
		return m, nil
	case m.code>>5 != 2 && m.code>>5 != 4 && m.code>>5 != 5 || string(got) != string(token) || m.kind == typeAck && m.id != id || m.kind == typeRst:
		return message{}, errors.New("no answer to our request")
	}
	return m, m.options(r)
}

// options reads the options up to the payload (RFC 7252 section 3.1): each is
// told by its distance to the one before.
func (m *message) options(r *octets.Reader) error {
	number := 0
	for r.Len() > 0 {
		b := r.U8()
		if b == 0xff {
			if m.payload = r.Rest(); len(m.payload) == 0 {
				return errors.New("a marker without a payload")
			}
			return nil
		}
		delta, n := extended(r, b>>4), extended(r, b&15)
		if delta < 0 || n < 0 {
			return errors.New("a reserved option")
		}
		number += delta
		v := uint32(0)
		for _, c := range r.Take(n) {
			v = v<<8 | uint32(c)
		}
		switch {
		case r.Err() != nil:
			return r.Err()
		case number == optContentFormat && n <= 2:
			m.format = v
		case number == optBlock2 && n <= 3:
			m.more = v&8 != 0
		case number == optSize2 && n <= 4:
			m.size = v
		}
	}
	return r.Err()
}

// extended reads the rest of a number of which four bits are known, -1 for the
// reserved one.
func extended(r *octets.Reader, nibble byte) int {
	switch nibble {
	case 13:
		return 13 + int(r.U8())
	case 14:
		return 269 + int(r.U16())
	case 15:
		return -1
	}
	return int(nibble)
}

// codeName words a code, "4.04 Not Found".
func codeName(c byte) string {
	names := map[byte]string{0x41: "Created", 0x42: "Deleted", 0x43: "Valid", 0x44: "Changed", 0x45: "Content",
		0x80: "Bad Request", 0x81: "Unauthorized", 0x82: "Bad Option", 0x83: "Forbidden", 0x84: "Not Found", 0x85: "Method Not Allowed", 0x86: "Not Acceptable",
		0xa0: "Internal Server Error", 0xa1: "Not Implemented", 0xa2: "Bad Gateway", 0xa3: "Service Unavailable", 0xa4: "Gateway Timeout"}
	return strings.TrimSpace(fmt.Sprintf("%d.%02d %s", c>>5, c&31, names[c]))
}

// links splits a list in the link format (RFC 6690) at the commas outside of
// quotation marks; a last link that was cut is left out when there is more.
func links(text string, more bool) (all []string) {
	quoted, from := false, 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			all, from = append(all, text[from:i]), i+1
		}
	}
	if rest := text[from:]; rest != "" && !more {
		all = append(all, rest)
	}
	return all
}
