package rpc

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// PDU types (C706 section 12.6.1), shared by both protocols where both have them.
const (
	pduRequest  = 0
	pduResponse = 2
	pduFault    = 3
	pduReject   = 6
	pduBind     = 11
	pduBindAck  = 12
	pduBindNak  = 13
)

const (
	headerSize   = 16
	datagramSize = 80 // header of the connectionless protocol
	handleSize   = 20
	firstAndLast = 3
	lastFragment = 2
	maxFragment  = 5840 // what Windows itself offers
	epmVersion   = 3
	ndrVersion   = 2
	opLookup     = 2 // ept_lookup
	idempotent   = 0x20
	fragment     = 0x04
)

// Interfaces (C706 appendices N and O).
const (
	epmUUID = "e1af8308-5d1f-11c9-91a4-08002b14a0fa"
	ndrUUID = "8a885d04-1ceb-11c9-9fe8-08002b104860"
)

var errOther = errors.New("not DCE RPC")

// header is the connection-oriented protocol's common header:
//
//	version 5 | minor | type | flags | data representation 4 | length 2 | auth length 2 | call id 4
type header struct {
	kind byte
	last bool
	size int // of the whole PDU
	auth int // of the verifier at its end
}

// parseHeader reads a header with the lowest byte first, which every server
// sends to a client that does.
func parseHeader(b []byte) (header, error) {
	r := octets.New(b)
	version, minor, kind, flags, rep := r.U8(), r.U8(), r.U8(), r.U8(), r.U8()
	r.Skip(3)
	h := header{kind: kind, last: flags&lastFragment != 0, size: int(r.LE16()), auth: int(r.LE16())}
	if r.Err() != nil || version != 5 || minor > 1 || rep>>4 != 1 || h.size < headerSize || kind > 19 {
		return header{}, errOther
	}
	return h, nil
}

// stub is a response's part of the reply: after allocation hint, context and
// cancel count, and before a verifier.
func (h header) stub(body []byte) ([]byte, error) {
	switch h.kind {
	case pduResponse:
		if len(body) < 8+h.auth {
			return nil, octets.ErrShort
		}
		return body[8 : len(body)-h.auth], nil
	case pduFault:
		r := octets.New(body)
		r.Skip(8)
		return nil, refusal{fmt.Sprintf("fault 0x%08x", r.LE32())}
	}
	return nil, fmt.Errorf("PDU %d for a request", h.kind)
}

// pdu puts a header before a body.
func pdu(kind byte, call uint32, body []byte) []byte {
	b := []byte{5, 0, kind, firstAndLast, 0x10, 0, 0, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(headerSize+len(body)))
	b = append(b, 0, 0)
	return append(binary.LittleEndian.AppendUint32(b, call), body...)
}

// bindPDU asks for the endpoint mapper in NDR.
func bindPDU() []byte {
	b := binary.LittleEndian.AppendUint16(nil, maxFragment)
	b = binary.LittleEndian.AppendUint16(b, maxFragment)
	b = append(b, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0) // no group; one context, of one transfer syntax
	b = binary.LittleEndian.AppendUint32(append(b, uuidBytes(epmUUID)...), epmVersion)
	b = binary.LittleEndian.AppendUint32(append(b, uuidBytes(ndrUUID)...), ndrVersion)
	return pdu(pduBind, 1, b)
}

func requestPDU(call uint32, stub []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(stub)))
	b = binary.LittleEndian.AppendUint16(b, 0) // context
	b = binary.LittleEndian.AppendUint16(b, opLookup)
	return pdu(pduRequest, call+1, append(b, stub...))
}

// lookup is the arguments of ept_lookup: all elements, going on after handle.
func lookup(handle []byte, most uint32) []byte {
	const allElements, noObject, noInterface, allVersions = 0, 0, 0, 1
	var b []byte
	for _, v := range []uint32{allElements, noObject, noInterface, allVersions} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return binary.LittleEndian.AppendUint32(append(b, handle...), most)
}

// datagram is a request of the connectionless protocol (C706 section 12.5.2.1).
func datagram(activity []byte, sequence uint32, stub []byte) []byte {
	b := []byte{4, pduRequest, idempotent, 0, 0x10, 0, 0, 0}
	b = append(b, make([]byte, 16)...) // no object
	b = append(b, uuidBytes(epmUUID)...)
	b = append(b, activity...)
	for _, v := range []uint32{0, epmVersion, sequence} { // the server's boot time, unknown
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for _, v := range []uint16{opLookup, 0xffff, 0xffff, uint16(len(stub)), 0} { // no hints, fragment 0
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return append(append(b, 0, 0), stub...)
}

// answers says whether b ends the call that q began: same activity and sequence.
func answers(q, b []byte) bool {
	const activity, sequence = 40, 64
	return len(b) >= datagramSize && b[0] == 4 && b[4]>>4 == 1 && (b[1] == pduResponse || b[1] == pduFault || b[1] == pduReject) &&
		string(b[activity:activity+16]) == string(q[activity:activity+16]) && string(b[sequence:sequence+4]) == string(q[sequence:sequence+4])
}

// datagramStub is the reply that a datagram holds whole.
func datagramStub(b []byte) ([]byte, error) {
	r := octets.New(b[datagramSize:])
	if b[1] != pduResponse {
		return nil, refusal{fmt.Sprintf("fault 0x%08x", r.LE32())}
	}
	if b[2]&fragment != 0 {
		return nil, refusal{"a reply in fragments"}
	}
	n := int(binary.LittleEndian.Uint16(b[74:]))
	stub := r.Take(n)
	return stub, r.Err()
}

// parseLookup takes the results of ept_lookup apart (C706 appendix O; NDR
// aligns on four bytes):
//
//	entry handle 20 | count 4 | maximum 4, offset 4, actual 4
//	each entry:  object 16 | tower's referent 4 | annotation's offset 4, length 4, text
//	each tower that is there: maximum 4 | length 4 | tower
//	status 4
//
// More says whether there is something to go on to, with the handle.
func parseLookup(b []byte) (all []endpoint, handle []byte, more bool, err error) {
	r := octets.New(b)
	handle = append([]byte{}, r.Take(handleSize)...)
	r.Skip(4 + 4 + 4)
	n := int(r.LE32())
	if r.Err() == nil && n > r.Len()/28 {
		return nil, nil, false, octets.ErrShort
	}
	for range n {
		align(r)
		r.Skip(16)
		e := endpoint{tower: r.LE32() != 0}
		r.Skip(4)
		e.annotation = strings.TrimRight(string(r.Take(int(r.LE32()))), "\x00 ")
		all = append(all, e)
	}
	for i := range all {
		if !all[i].tower {
			continue
		}
		align(r)
		r.Skip(4)
		if t := r.Take(int(r.LE32())); r.Err() == nil {
			all[i].read(t)
		}
	}
	align(r)
	status := r.LE32()
	if r.Err() != nil {
		return nil, nil, false, r.Err()
	}
	return all, handle, n > 0 && status == 0 && string(handle) != string(make([]byte, handleSize)), nil
}

func align(r *octets.Reader) { r.Skip(-r.At() & 3) }

// uuidBytes is the text form's bytes, its first three parts with the lowest
// byte first; "" for what is none.
func uuidBytes(s string) []byte {
	b, _ := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if len(b) != 16 {
		return make([]byte, 16)
	}
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// uuidText is the text form of 16 bytes.
func uuidText(b []byte) string {
	r := octets.New(b)
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", r.LE32(), r.LE16(), r.LE16(), r.Take(2), r.Take(6))
}
