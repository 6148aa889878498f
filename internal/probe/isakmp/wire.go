package isakmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of RFC 2408 section 3, RFC 2409 appendix A and RFC 7296 section 3.
const (
	headerSize   = 28
	version1     = 0x10
	version2     = 0x20
	mainModeType = 2
	informative1 = 5
	saInitType   = 34
	informative2 = 37
	flagInitiate = 0x08
	flagResponse = 0x20

	payloadSA1     = 1
	payloadNotify1 = 11
	payloadVendor1 = 13
	payloadSA2     = 33
	payloadKE2     = 34
	payloadNonce2  = 40
	payloadNotify2 = 41
	payloadVendor2 = 43

	publicSize  = 32 // of a Curve25519 value (RFC 8031)
	nonceSize   = 32
	group25519  = 31
	maxPayloads = 64
	maxVendors  = 32
)

var errNoAnswer = errors.New("not IKE")

// exchange is one try in both versions, told apart by their version numbers.
type exchange struct {
	cookie  [8]byte // ours
	marked  bool    // messages go behind four zero bytes, as ESP's do not (RFC 3948 section 2.2)
	one     string  // what IKEv1 answered
	two     string
	vendors []string
}

// mark puts the marker before a message where there has to be one.
func (e *exchange) mark(b []byte) []byte {
	if e.marked {
		return append(make([]byte, 4), b...)
	}
	return b
}

// message is a header, which both versions share, before payloads:
//
//	cookie 8 | peer's cookie 8 | next payload | version | exchange | flags | message id 4 | length 4
func (e *exchange) message(next, version, kind, flags byte, payloads []byte) []byte {
	b := append(bytes.Clone(e.cookie[:]), make([]byte, 8)...)
	b = append(b, next, version, kind, flags, 0, 0, 0, 0)
	return append(binary.BigEndian.AppendUint32(b, uint32(headerSize+len(payloads))), payloads...)
}

// payload is a generic header, the same in both versions, before a body.
func payload(next byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint16([]byte{next, 0}, uint16(4+len(body))), body...)
}

// attribute is a short one: type and value in two bytes each.
func attribute(typ, value uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 0x8000|typ), value)
}

// mainMode offers what gateways of all ages may take: AES and 3DES, SHA-2 and
// SHA-1, MODP groups 14 and 2, each with a shared key and with signatures.
func (e *exchange) mainMode() []byte {
	suites := [][]byte{
		bytes.Join([][]byte{attribute(1, 7), attribute(14, 256), attribute(2, 4), attribute(4, 14)}, nil),
		bytes.Join([][]byte{attribute(1, 7), attribute(14, 128), attribute(2, 2), attribute(4, 14)}, nil),
		bytes.Join([][]byte{attribute(1, 7), attribute(14, 128), attribute(2, 2), attribute(4, 2)}, nil),
		bytes.Join([][]byte{attribute(1, 5), attribute(2, 2), attribute(4, 2)}, nil),
	}
	var transforms []byte
	const last, more, sharedKey, signatures = 0, 3, 1, 3
	n := byte(0)
	for i, s := range suites {
		for _, auth := range []uint16{sharedKey, signatures} {
			n++
			next := byte(more)
			if i == len(suites)-1 && auth == signatures {
				next = last
			}
			transforms = append(transforms, payload(next, []byte{n, 1, 0, 0}, s, attribute(3, auth), attribute(11, 1), attribute(12, 28800))...)
		}
	}
	proposal := payload(last, []byte{1, 1, 0, n}, transforms)
	const ipsec, identityOnly = 1, 1
	sa := payload(0, binary.BigEndian.AppendUint32(nil, ipsec), binary.BigEndian.AppendUint32(nil, identityOnly), proposal)
	return e.message(payloadSA1, version1, mainModeType, 0, sa)
}

// saInit offers the common suites of IKEv2, with a public value and a nonce
// from random bytes: nothing is computed with them.
func (e *exchange) saInit(random []byte) []byte {
	const last, more = 0, 3
	kinds := []struct {
		kind byte
		id   uint16
		attr []byte
	}{{1, 12, attribute(14, 256)}, {1, 12, attribute(14, 128)}, {1, 3, nil}, {2, 5, nil}, {2, 2, nil}, {3, 12, nil}, {3, 2, nil}, {4, group25519, nil}, {4, 14, nil}, {4, 2, nil}}
	var transforms []byte
	for i, k := range kinds {
		next := byte(more)
		if i == len(kinds)-1 {
			next = last
		}
		transforms = append(transforms, payload(next, []byte{k.kind, 0}, binary.BigEndian.AppendUint16(nil, k.id), k.attr)...)
	}
	proposal := payload(last, []byte{1, 1, 0, byte(len(kinds))}, transforms)
	return e.message(payloadSA2, version2, saInitType, flagInitiate, bytes.Join([][]byte{
		payload(payloadKE2, proposal),
		payload(payloadNonce2, []byte{0, group25519, 0, 0}, random[:publicSize]),
		payload(0, random[publicSize:]),
	}, nil))
}

// hear takes a datagram, or passes over what answers neither.
func (e *exchange) hear(b []byte) {
	if e.marked {
		if len(b) < 4 || binary.BigEndian.Uint32(b) != 0 {
			return
		}
		b = b[4:]
	}
	m, err := e.parse(b)
	if err != nil {
		return
	}
	if m.version == version1 {
		e.one = m.said
	} else {
		e.two = m.said
	}
	for _, v := range m.vendors {
		if n := vendorName(v); !slices.Contains(e.vendors, n) && len(e.vendors) < maxVendors {
			e.vendors = append(e.vendors, n)
		}
	}
}

// answered is a message taken apart.
type answered struct {
	version byte
	said    string
	vendors [][]byte
}

func (e *exchange) parse(b []byte) (answered, error) {
	r := octets.New(b)
	cookie, peers := r.Take(8), r.Take(8)
	next, version, kind, flags := r.U8(), r.U8(), r.U8(), r.U8()
	r.Skip(4)
	size := r.U32()
	m := answered{version: version &^ 0x0f}
	switch {
	case r.Err() != nil || !bytes.Equal(cookie, e.cookie[:]) || uint64(size) != uint64(len(b)):
		return answered{}, errNoAnswer
	case m.version == version1 && kind == mainModeType && !bytes.Equal(peers, make([]byte, 8)): // without one it is our own, echoed
	case m.version == version1 && kind == informative1:
	case m.version == version2 && (kind == saInitType || kind == informative2) && flags&flagResponse != 0:
	default:
		return answered{}, errNoAnswer
	}
	for range maxPayloads {
		if next == 0 {
			break
		}
		this := next
		next = r.U8()
		r.Skip(1)
		body := r.Take(int(r.U16()) - 4)
		if r.Err() != nil {
			return answered{}, errNoAnswer
		}
		m.payload(this, body)
	}
	if m.said == "" {
		return answered{}, errNoAnswer
	}
	return m, nil
}

func (m *answered) payload(kind byte, body []byte) {
	said := ""
	switch kind {
	case payloadVendor1, payloadVendor2:
		m.vendors = append(m.vendors, body)
	case payloadNotify1:
		r := octets.New(body)
		r.Skip(6) // domain, protocol, size of its index
		said = notifyName(version1, r.U16())
	case payloadNotify2:
		r := octets.New(body)
		r.Skip(2)
		// Codes from 16384 on are status, which come with an answer that is none
		// of refusal, but for the demand for a cookie.
		if n := r.U16(); n < statusCodes || n == cookieWanted {
			said = notifyName(version2, n)
		}
	case payloadSA1:
		said = "chose " + chosen1(body)
	case payloadSA2:
		said = "chose " + chosen2(body)
	}
	if said != "" && m.said == "" {
		m.said = said
	}
}
