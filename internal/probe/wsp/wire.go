package wsp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// The messages both ways begin alike:
//
//	client's id 4 | version 4 | server's id 4 | acknowledged 1, 3 | sequence 1, 7 | "RWSP" | 8 | command 2
//
// and are of 172 bytes at least. A hello's strings follow at 220; its answer has
// a port and an address at 98.
const (
	signature   = "RWSP"
	signatureAt = 24
	commandAt   = 36
	headSize    = 38
	minSize     = 172
	stringsAt   = 220
	controlAt   = 98

	firstClient = 0x0a000000
	version     = 0x00010200
	helloAsk    = 0x0500
	helloAck    = 0x10 // the high byte: the low one varies
)

var errNoAnswer = errors.New("not the Winsock proxy")

// hello is a client's first message. The numbers before its strings (user,
// an empty one, application, computer) are those that all clients send, their
// meaning unknown.
func hello() []byte {
	b := make([]byte, stringsAt)
	binary.BigEndian.PutUint32(b, firstClient)
	binary.BigEndian.PutUint32(b[4:], version)
	copy(b[signatureAt:], signature)
	binary.BigEndian.PutUint16(b[commandAt:], helloAsk)
	for _, n := range []struct{ at, value uint16 }{{172, 0x4b00}, {176, 0x1400}, {180, 0x0400}, {188, 0x5704}, {190, 0x0004},
		{192, 0x0100}, {196, 0x4a02}, {208, 0x3000}, {212, 0x4400}, {216, 0x3900}} {
		binary.BigEndian.PutUint16(b[n.at:], n.value)
	}
	return append(b, "portreporter\x00\x00portreporter\x00portreporter\x00"...)
}

// reply is what the server says to a hello.
type reply struct {
	command uint16
	server  uint32
	control netip.AddrPort
}

func parse(b []byte) (reply, error) {
	if len(b) < minSize || string(b[signatureAt:signatureAt+4]) != signature {
		return reply{}, errNoAnswer
	}
	r := octets.New(b[8:])
	out := reply{server: r.U32(), command: binary.BigEndian.Uint16(b[commandAt:])}
	if out.command == helloAsk { // our own, echoed
		return reply{}, errNoAnswer
	}
	c := octets.New(b[controlAt:])
	port := c.U16()
	if addr, ok := netip.AddrFromSlice(c.Take(4)); ok {
		out.control = netip.AddrPortFrom(addr, port)
	}
	return out, nil
}
