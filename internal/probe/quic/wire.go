package quic

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	// greased is a version that is reserved to force negotiation (RFC 9000
	// section 15): no server takes it.
	greased = 0x1a2a3a4a
	// minimum is the size of a first datagram (section 14.1); with less, servers
	// stay silent so as not to amplify.
	minimum = 1200
	idLen   = 8
)

// question is a long header packet of an unknown version, padded, and the
// connection identifiers that its answer must return, exchanged:
//
//	1100 0000 | version | len, destination id | len, source id | padding
func question() (packet, dst, src []byte) {
	ids := make([]byte, 2*idLen)
	_, _ = rand.Read(ids) // it never fails
	dst, src = ids[:idLen], ids[idLen:]
	packet = binary.BigEndian.AppendUint32([]byte{0xc0}, greased)
	packet = append(append(packet, idLen), dst...)
	packet = append(append(packet, idLen), src...)
	return append(packet, make([]byte, minimum-len(packet))...), dst, src
}

// negotiation reads a Version Negotiation packet (section 17.2.1): whom it is
// to, whom from, and the versions.
func negotiation(b []byte) (dst, src []byte, versions []uint32, err error) {
	r := octets.New(b)
	if r.U8()&0x80 == 0 || r.U32() != 0 {
		return nil, nil, nil, errors.New("no version negotiation")
	}
	dst = r.Take(int(r.U8()))
	src = r.Take(int(r.U8()))
	for r.Len() >= 4 {
		versions = append(versions, r.U32())
	}
	if r.Err() != nil || r.Len() > 0 || len(versions) == 0 {
		return nil, nil, nil, errors.New("version negotiation is cut short")
	}
	return dst, src, versions, nil
}

// answers tells whether b answers the question with these identifiers.
func answers(b, dst, src []byte) bool {
	d, s, _, err := negotiation(b)
	return err == nil && bytes.Equal(d, src) && bytes.Equal(s, dst)
}

// versionName words a version, as people call it.
func versionName(v uint32) string {
	switch {
	case v == 1:
		return "v1"
	case v == 0x6b3343cf, v == 0x709a50c4:
		return "v2"
	case v>>8 == 0xff0000:
		return fmt.Sprintf("draft-%d", v&0xff)
	case v&0x0f0f0f0f == 0x0a0a0a0a:
		return "" // reserved: it only keeps clients used to negotiation
	case v>>24 == 'Q':
		return "Google " + string(binary.BigEndian.AppendUint32(nil, v))
	}
	return fmt.Sprintf("%#08x", v)
}
