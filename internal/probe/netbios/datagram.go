package netbios

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/netlogon"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of RFC 1002 section 4.4.1, of SMB's header (MS-CIFS section 2.2.3.1)
// and of its transactions (section 2.2.4.33).
const (
	directUnique = 0x10
	directGroup  = 0x11
	broadcast    = 0x12
	datagramErr  = 0x13
	moreFollows  = 0x01 // flags: the first of several fragments
	onlyFragment = 0x02 // flags: the first, none follows, from a broadcast node

	smbTransaction = 0x25
	smbHeader      = 32
	words          = 17 // of a write to a mailslot: 14, and 3 of set-up
	writeMailslot  = 1
	unreliable     = 2 // second class: no reply by the transport
)

// mailslot is where domain controllers are asked (MS-ADTS section 6.3.5).
const mailslot = `\MAILSLOT\NET\NETLOGON`

// question is one to a domain controller, and how its answer is known.
type question struct {
	id     uint16
	self   netip.AddrPort // where the answer goes to, IPv4
	domain name
	reply  string // the mailslot of the answer: an answer's datagram has an id of its own
}

func newQuestion(self netip.AddrPort, domain name) question {
	id := newID()
	return question{id, self, domain, fmt.Sprintf(`\MAILSLOT\NET\PR%04X`, id)}
}

// bytes is the whole datagram (RFC 1002 section 4.4.2):
//
//	type 1 | flags 1 | id 2 | source address 4, port 2 | length 2 | offset 2
//	source name 34 | destination name 34 | an SMB
func (q question) bytes() []byte {
	kind := byte(directUnique)
	if q.domain.group {
		kind = directGroup
	}
	body := append(encode(computer, ' ', 0), encode(q.domain.text, ' ', q.domain.suffix)...)
	body = append(body, mailslotWrite(mailslot, netlogon.Request(computer, q.reply))...)
	b := binary.BigEndian.AppendUint16([]byte{kind, onlyFragment}, q.id)
	b = append(b, q.self.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, q.self.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(append(b, 0, 0), body...)
}

// mailslotWrite is an SMB_COM_TRANSACTION that writes to a mailslot (MS-MAIL
// section 2.2.1), numbers with the lowest byte first:
//
//	ff 'SMB' | 0x25 | 27 of header
//	words 1 | parameters 2, data 2 in all | three limits 6, flags 2, timeout 4, 2
//	parameters 2, at 2 | data 2, at 2 | set-up words 2 | write 2, priority 2, class 2
//	bytes 2 | name of the mailslot | data
func mailslotWrite(slot string, data []byte) []byte {
	le := binary.LittleEndian
	at := uint16(smbHeader + 1 + 2*words + 2 + len(slot) + 1)
	b := append([]byte{0xff, 'S', 'M', 'B', smbTransaction}, make([]byte, smbHeader-5)...)
	b = append(b, words, 0, 0)
	b = le.AppendUint16(b, uint16(len(data)))
	b = append(b, make([]byte, 18)...)
	b = le.AppendUint16(b, uint16(len(data)))
	b = le.AppendUint16(b, at)
	b = append(b, 3, 0, writeMailslot, 0, 0, 0, unreliable, 0)
	b = le.AppendUint16(b, uint16(len(slot)+1+len(data)))
	return append(append(append(b, slot...), 0), data...)
}

// delivery is what a datagram writes to our mailslot.
func (q question) delivery(b []byte) ([]byte, error) {
	r := octets.New(b)
	kind, flags := r.U8(), r.U8()
	r.Skip(8)
	size, offset := int(r.U16()), r.U16()
	if r.Err() != nil || kind < directUnique || kind > broadcast || flags&moreFollows != 0 || offset != 0 || size > r.Len() {
		return nil, errNotOurs
	}
	b = b[:r.At()+size]
	at := r.At()
	for range 2 { // source and destination
		var err error
		if _, at, err = dnsname.Read(b, at); err != nil {
			return nil, fmt.Errorf("%w: %w", errNotOurs, err)
		}
	}
	slot, data, err := readMailslot(b[at:])
	if err != nil || !strings.EqualFold(slot, q.reply) {
		return nil, errNotOurs
	}
	return data, nil
}

// readMailslot takes a write to a mailslot apart.
func readMailslot(smb []byte) (slot string, data []byte, err error) {
	r := octets.New(smb)
	magic, command := r.Take(4), r.U8()
	r.Skip(smbHeader - 5)
	n := r.U8()
	r.Skip(22)
	size, at := int(r.LE16()), int(r.LE16())
	setup, _ := r.U8(), r.U8()
	operation := r.LE16()
	r.Skip(2*words - 30 + 2) // to the name, past the count of bytes
	slot = string(r.Until(0))
	if r.Err() != nil || string(magic) != "\xffSMB" || command != smbTransaction || n != words || setup != 3 || operation != writeMailslot ||
		at < r.At() || at+size > len(smb) {
		return "", nil, errNotOurs
	}
	return slot, smb[at : at+size], nil
}

// refusal words a datagram error (RFC 1002 section 4.4.3) that answers ours: like
// its head, and then a code.
func (q question) refusal(b []byte) (string, error) {
	r := octets.New(b)
	kind := r.U8()
	r.Skip(1)
	id := r.U16()
	r.Skip(6)
	code := r.U8()
	if r.Err() != nil || kind != datagramErr || id != q.id {
		return "", errNotOurs
	}
	why, ok := map[byte]string{0x82: "destination name not present", 0x83: "invalid source name format", 0x84: "invalid destination name format"}[code]
	if !ok {
		why = "unspecified"
	}
	return fmt.Sprintf("%s (0x%02x)", why, code), nil
}
