package smb

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Dialects of SMB 2 and 3 (MS-SMB2 2.2.3), the newest first.
const (
	dialect311 = 0x0311
	dialect302 = 0x0302
	dialect300 = 0x0300
	dialect210 = 0x0210
	dialect202 = 0x0202
)

func dialects() []uint16 {
	return []uint16{dialect311, dialect302, dialect300, dialect210, dialect202}
}

func dialectName(d uint16) string {
	switch d {
	case dialect311, dialect302:
		return fmt.Sprintf("SMB %d.%d.%d", d>>8, d>>4&15, d&15)
	case dialect202:
		return "SMB 2.0.2"
	}
	return fmt.Sprintf("SMB %d.%d", d>>8, d>>4&15)
}

const headerSize = 64

// negotiateRequest offers these dialects (MS-SMB2 2.2.3). Where 3.1.1 is among
// them, it has the contexts that a server of it demands: preauthentication by
// SHA-512, and the ciphers, so that the server names its choice.
//
//	length | header, 64 bytes | body, 36 | dialects | padding | contexts
func negotiateRequest(offer ...uint16) []byte {
	b := append([]byte{0xfe, 'S', 'M', 'B', headerSize, 0}, make([]byte, headerSize-6)...)
	body := make([]byte, 36)
	binary.LittleEndian.PutUint16(body, 36)
	binary.LittleEndian.PutUint16(body[2:], uint16(len(offer)))
	body[4] = 1    // signing enabled
	body[8] = 0x7f // every capability, so that the server names those it has
	_, _ = rand.Read(body[12:28])
	b = append(b, body...)
	for _, d := range offer {
		b = binary.LittleEndian.AppendUint16(b, d)
	}
	if offer[0] == dialect311 {
		b = align(b)
		binary.LittleEndian.PutUint32(b[headerSize+28:], uint32(len(b)))
		binary.LittleEndian.PutUint16(b[headerSize+32:], 2)
		b = append(b, contexts()...)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func align(b []byte) []byte {
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

func contexts() []byte {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // it never fails
	pre := append([]byte{1, 0, 32, 0, 1, 0}, salt...)
	b := align(append([]byte{contextPreauth, 0, byte(len(pre)), 0, 0, 0, 0, 0}, pre...))
	ciphers := []byte{4, 0, 2, 0, 4, 0, 1, 0, 3, 0} // 128-GCM, 256-GCM, 128-CCM, 256-CCM
	return append(append(b, contextCiphers, 0, byte(len(ciphers)), 0, 0, 0, 0, 0), ciphers...)
}

const (
	contextPreauth = 1
	contextCiphers = 2
)

// negotiated is what a server answers (MS-SMB2 2.2.4).
type negotiated struct {
	dialect              uint16
	security             byte // 1 signing enabled, 2 required
	guid                 [16]byte
	capabilities         uint32
	transact, read, writ uint32
	system, start        time.Time // zero: not told
	cipher               uint16    // of 3.1.1; 0: none
}

var errOther = errors.New("no answer to an SMB2 NEGOTIATE")

// parseNegotiated reads the answer, which follows the length field.
func parseNegotiated(b []byte) (n negotiated, err error) {
	r := octets.New(b)
	if !bytes.Equal(r.Take(4), []byte{0xfe, 'S', 'M', 'B'}) {
		return n, errOther
	}
	r.Skip(4)
	status := r.LE32()
	command := r.LE16()
	r.Skip(headerSize - 14)
	if r.Err() != nil || command != 0 {
		return n, errOther
	}
	if status != 0 {
		return n, fmt.Errorf("status %#08x", status)
	}
	if r.LE16() != 65 {
		return n, errOther
	}
	n.security = byte(r.LE16())
	n.dialect = r.LE16()
	count := int(r.LE16())
	copy(n.guid[:], r.Take(16))
	n.capabilities = r.LE32()
	n.transact, n.read, n.writ = r.LE32(), r.LE32(), r.LE32()
	n.system, n.start = filetime(r), filetime(r)
	r.Skip(4) // where the security token is
	offset := int(r.LE32())
	if r.Err() != nil {
		return n, r.Err()
	}
	if n.dialect == dialect311 && offset >= headerSize && offset <= len(b) {
		n.cipher = cipher(b[offset:], count)
	}
	return n, nil
}

// cipher looks for the choice of a cipher among count contexts.
func cipher(b []byte, count int) uint16 {
	r := octets.New(b)
	for range count {
		r.Skip(-r.At() & 7)
		kind, size := r.LE16(), int(r.LE16())
		r.Skip(4)
		data := octets.New(r.Take(size))
		if kind == contextCiphers && r.Err() == nil && data.LE16() == 1 {
			return data.LE16()
		}
	}
	return 0
}

// filetime reads Windows's time: 100 ns since 1601.
func filetime(r *octets.Reader) time.Time {
	v := uint64(r.LE32()) | uint64(r.LE32())<<32
	const since1601 = 11644473600
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(int64(v/1e7)-since1601, int64(v%1e7)*100).UTC()
}

func cipherName(c uint16) string {
	names := []string{"none", "AES-128-CCM", "AES-128-GCM", "AES-256-CCM", "AES-256-GCM"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("%#04x", c)
}

// capabilityNames names the bits of MS-SMB2 2.2.4.
func capabilityNames(c uint32) (all []string) {
	for i, name := range []string{"DFS", "LEASING", "LARGE_MTU", "MULTI_CHANNEL", "PERSISTENT_HANDLES", "DIRECTORY_LEASING", "ENCRYPTION", "NOTIFICATIONS"} {
		if c&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return all
}

// spelled is the name that an identifier spells, "" as a rule: Samba copies its
// NetBIOS name there, with zeros behind it, where others have random bits.
func spelled(g [16]byte) string {
	name := bytes.TrimRight(g[:], "\x00")
	if len(name) == 0 || len(name) == len(g) {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return string(name)
}

// guid words the server's identifier in Microsoft's mixed order.
func guid(g [16]byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(g[:]), binary.LittleEndian.Uint16(g[4:]), binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:])
}

// smb1Request offers SMB 1's last dialect alone (MS-CIFS 2.2.4.52).
func smb1Request() []byte {
	const dialect = "\x02NT LM 0.12\x00"
	b := append([]byte{0xff, 'S', 'M', 'B', 0x72, 0, 0, 0, 0, 0x18, 0x01, 0x28}, make([]byte, 20)...)
	b = append(b, 0, byte(len(dialect)), 0)
	b = append(b, dialect...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// smb1Accepted tells whether an answer takes SMB 1: not an error, and a dialect
// chosen.
func smb1Accepted(b []byte) bool {
	r := octets.New(b)
	if !bytes.Equal(r.Take(5), []byte{0xff, 'S', 'M', 'B', 0x72}) {
		return false
	}
	status := r.LE32()
	r.Skip(32 - 9)
	words, chosen := r.U8(), r.LE16()
	return r.Err() == nil && status == 0 && words >= 1 && chosen == 0
}
