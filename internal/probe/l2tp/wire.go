package l2tp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of RFC 2661 sections 3.1, 3.2 and 4.4.
const (
	controlFlags = 0xc802 // type, length and sequence present; version 2
	mandatory    = 0x8000
	hidden       = 0x4000

	startTunnel = 1 // SCCRQ
	startReply  = 2 // SCCRP
	stopTunnel  = 4 // StopCCN

	avpMessage  = 0
	avpResult   = 1
	avpProtocol = 2
	avpFraming  = 3
	avpBearer   = 4
	avpFirmware = 6
	avpHost     = 7
	avpVendor   = 8
	avpTunnel   = 9
	avpWindow   = 10

	clearTunnel = 1 // result: general request to clear
	maxAVPs     = 64
)

var errNoAnswer = errors.New("not L2TP")

// avp is an attribute and its value:
//
//	M, H, length 2 | vendor 2 (0: IETF) | type 2 | value
func avp(typ uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, mandatory|uint16(6+len(value)))
	b = binary.BigEndian.AppendUint16(append(b, 0, 0), typ)
	return append(b, value...)
}

// control is a control message:
//
//	flags 2 | length 2 | tunnel 2 | session 2 | sent 2 | received 2 | AVPs
func control(tunnel, sent, received uint16, avps ...[]byte) []byte {
	var body []byte
	for _, a := range avps {
		body = append(body, a...)
	}
	b := binary.BigEndian.AppendUint16(nil, controlFlags)
	for _, v := range []uint16{uint16(12 + len(body)), tunnel, 0, sent, received} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return append(b, body...)
}

func number(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// startRequest is SCCRQ with what it has to have (RFC 2661 section 6.1).
func startRequest(tunnel uint16) []byte {
	return control(0, 0, 0,
		avp(avpMessage, 0, startTunnel), avp(avpProtocol, 1, 0), avp(avpFraming, 0, 0, 0, 3), avp(avpBearer, 0, 0, 0, 0),
		avp(avpHost, []byte("portreporter")...), avp(avpTunnel, number(tunnel)...), avp(avpWindow, 0, 4))
}

// stop is StopCCN, which acknowledges the answer too.
func stop(theirs, ours uint16) []byte {
	return control(theirs, 1, 1, avp(avpMessage, 0, stopTunnel), avp(avpTunnel, number(ours)...), avp(avpResult, 0, clearTunnel))
}

// reply is an answer to SCCRQ: SCCRP or StopCCN.
type reply struct {
	kind         uint16
	tunnel       uint16 // theirs
	host, vendor string
	version      string
	firmware     string
	result       string
}

// parse reads the answer to the request for the tunnel. A bare acknowledgement,
// which may come first, is none.
func parse(b []byte, tunnel uint16) (reply, error) {
	r := octets.New(b)
	flags, size, to := r.U16(), int(r.U16()), r.U16()
	r.Skip(6)
	if r.Err() != nil || flags != controlFlags || size != len(b) || to != tunnel {
		return reply{}, errNoAnswer
	}
	var out reply
	for n := 0; r.Len() > 0; n++ {
		head, vendor, typ := r.U16(), r.U16(), r.U16()
		value := r.Take(int(head&0x3ff) - 6)
		if r.Err() != nil || n == maxAVPs || n == 0 && typ != avpMessage {
			return reply{}, errNoAnswer
		}
		if vendor == 0 && head&hidden == 0 {
			out.read(typ, value)
		}
	}
	if out.kind != startReply && out.kind != stopTunnel {
		return reply{}, errNoAnswer
	}
	return out, nil
}

func (r *reply) read(typ uint16, value []byte) {
	v := octets.New(value)
	switch typ {
	case avpMessage:
		r.kind = v.U16()
	case avpResult:
		r.result = resultName(v.U16())
		if v.Skip(2); v.Len() > 0 {
			r.result += ": " + string(v.Rest())
		}
	case avpProtocol:
		r.version = fmt.Sprintf("%d.%d", v.U8(), v.U8())
	case avpFirmware:
		r.firmware = fmt.Sprintf("0x%04x", v.U16())
	case avpHost:
		r.host = string(value)
	case avpVendor:
		r.vendor = strings.TrimRight(string(value), "\x00")
	case avpTunnel:
		r.tunnel = v.U16()
	}
}

// resultName words a result of StopCCN (RFC 2661 section 4.4.2).
func resultName(code uint16) string {
	names := []string{"reserved", "general request to clear", "general error", "control channel already exists", "not authorized",
		"protocol version not supported", "being shut down", "finite state machine error"}
	if int(code) < len(names) {
		return fmt.Sprintf("%d %s", code, names[code])
	}
	return fmt.Sprint(code)
}
