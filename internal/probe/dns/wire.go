package dns

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of RFC 1035, RFC 6891 and RFC 5001.
const (
	headerSize = 12

	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeTXT   = 16
	typeAAAA  = 28
	typeOPT   = 41

	classIN = 1
	classCH = 3

	formErr = "FORMERR"

	flagResponse  = 0x8000
	flagRecursion = 0x0100 // wanted
	optionNSID    = 3
	payload       = 1232 // what passes every path whole
	maxRecords    = 64   // told, of each section
)

var errNoAnswer = errors.New("no answer to a DNS question")

// question is a query with an EDNS record that asks for the server's identity.
func question(id uint16, name string, typ, class uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	flags := uint16(flagRecursion)
	if class == classCH {
		flags = 0
	}
	for _, v := range []uint16{flags, 1, 0, 0, 1} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = dnsname.Append(b, name)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint16(append(b, 0), typeOPT)
	b = binary.BigEndian.AppendUint16(b, payload)
	return append(b, 0, 0, 0, 0, 0, 4, 0, optionNSID, 0, 0)
}

// answersTo says whether a message's header is that of q's answer.
func answersTo(b, q []byte) bool {
	r := octets.New(b)
	id, flags := r.U16(), r.U16()
	return len(b) >= headerSize && id == binary.BigEndian.Uint16(q) && flags&flagResponse != 0 && flags&0x7800 == 0
}

// message is an answer taken apart.
type message struct {
	rcode              string
	flags              []string
	question           string
	answers, authority []record
	payload            uint16
	nsid               []byte
}

// record is a resource record.
type record struct {
	name       string
	typ, class uint16
	ttl        uint32
	data       string   // as in master files
	text       []string // of TXT
}

// parse reads the answer to q. The question may be missing, as in some error
// answers (RFC 1035 leaves that open); a question that is there has to be ours.
func parse(b, q []byte) (message, error) {
	if !answersTo(b, q) {
		return message{}, errNoAnswer
	}
	r := octets.New(b[2:])
	flags := r.U16()
	counts := [4]int{int(r.U16()), int(r.U16()), int(r.U16()), int(r.U16())}
	m := message{}
	for _, f := range []struct {
		bit  uint16
		name string
	}{{0x0400, "AA"}, {0x0200, "TC"}, {0x0080, "RA"}, {0x0020, "AD"}} {
		if flags&f.bit != 0 {
			m.flags = append(m.flags, f.name)
		}
	}
	at := headerSize
	for range counts[0] {
		name, next, err := dnsname.Read(b, at)
		if err != nil || next+4 > len(b) {
			return message{}, errNoAnswer
		}
		if string(b[next:next+4]) != string(q[questionEnd(q)-4:questionEnd(q)]) {
			return message{}, errNoAnswer
		}
		m.question, at = name, next+4
	}
	code := int(flags & 15)
	for section, n := range counts[1:] {
		for i := range n {
			rec, next, err := m.record(b, at)
			if err != nil {
				return message{}, err
			}
			at = next
			switch {
			case rec.typ == typeOPT:
				code |= int(rec.ttl>>24) << 4
			case i >= maxRecords:
			case section == 0:
				m.answers = append(m.answers, rec)
			case section == 1:
				m.authority = append(m.authority, rec)
			}
		}
	}
	m.rcode = rcodeName(code)
	return m, nil
}

// questionEnd is where the only question of a query of ours ends.
func questionEnd(q []byte) int {
	_, next, err := dnsname.Read(q, headerSize)
	if err != nil {
		return len(q)
	}
	return next + 4
}

// record reads the record at b[at:], and what EDNS says into m.
func (m *message) record(b []byte, at int) (record, int, error) {
	name, at, err := dnsname.Read(b, at)
	if err != nil {
		return record{}, 0, err
	}
	r := octets.New(b[at:])
	rec := record{name: name, typ: r.U16(), class: r.U16(), ttl: r.U32()}
	n := int(r.U16())
	start := at + r.At()
	data := r.Take(n)
	if r.Err() != nil {
		return record{}, 0, r.Err()
	}
	if rec.typ == typeOPT {
		m.payload = rec.class
		m.options(data)
	} else {
		rec.data, rec.text = rdata(b[:start+n], start, rec.typ)
	}
	return rec, start + n, nil
}

// options reads EDNS options.
func (m *message) options(b []byte) {
	for r := octets.New(b); r.Len() >= 4; {
		code := r.U16()
		if v := r.Take(int(r.U16())); code == optionNSID && len(v) > 0 {
			m.nsid = v
		}
	}
}

// rdata words a record's data; what is not known, or malformed, as RFC 3597
// section 5 does.
func rdata(msg []byte, at int, typ uint16) (string, []string) {
	data := msg[at:]
	switch typ {
	case typeA, typeAAAA:
		if a, ok := netip.AddrFromSlice(data); ok {
			return a.String(), nil
		}
	case typeNS, typeCNAME:
		if name, _, err := dnsname.Read(msg, at); err == nil {
			return name, nil
		}
	case typeSOA:
		if s, ok := soa(msg, at); ok {
			return s, nil
		}
	case typeTXT:
		if text, ok := strs(data); ok {
			return fmt.Sprintf("%q", text), text
		}
	}
	return fmt.Sprintf(`\# %d %x`, len(data), data), nil
}

func soa(msg []byte, at int) (string, bool) {
	primary, at, err := dnsname.Read(msg, at)
	if err != nil {
		return "", false
	}
	mailbox, at, err := dnsname.Read(msg, at)
	if err != nil {
		return "", false
	}
	r := octets.New(msg[at:])
	s := fmt.Sprintf("%s %s %d %d %d %d %d", primary, mailbox, r.U32(), r.U32(), r.U32(), r.U32(), r.U32())
	return s, r.Err() == nil
}

// strs reads the character strings of a TXT record.
func strs(b []byte) (all []string, ok bool) {
	r := octets.New(b)
	for r.Len() > 0 {
		all = append(all, string(r.Take(int(r.U8()))))
	}
	return all, r.Err() == nil
}

// text is all text of the answers.
func (m message) text() (all []string) {
	for _, r := range m.answers {
		all = append(all, r.text...)
	}
	return all
}

func (m message) describe(a *probe.Answer) {
	a.Add("rcode", m.rcode)
	a.Add("flags", m.flags...)
	if m.question != "" {
		a.Add("question", m.question)
	}
	a.Add("answers", lines(m.answers)...)
	a.Add("authority", lines(m.authority)...)
	if m.payload > 0 {
		a.Add("payload", strconv.Itoa(int(m.payload)))
	}
	if len(m.nsid) > 0 {
		a.Add("nsid", nsid(m.nsid))
	}
}

// nsid is the identity as text where it is text, which it mostly is (RFC 5001
// section 3.1), else in hexadecimal.
func nsid(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return hex.EncodeToString(b)
		}
	}
	return string(b)
}

func lines(rs []record) (all []string) {
	for _, r := range rs {
		all = append(all, fmt.Sprintf("%s %d %s %s", r.name, r.ttl, typeName(r.typ), r.data))
	}
	return all
}

func typeName(t uint16) string {
	if n, ok := map[uint16]string{typeA: "A", typeNS: "NS", typeCNAME: "CNAME", typeSOA: "SOA", typeTXT: "TXT", typeAAAA: "AAAA", 43: "DS", 46: "RRSIG", 47: "NSEC"}[t]; ok {
		return n
	}
	return fmt.Sprintf("TYPE%d", t) // RFC 3597 section 5
}

// rcodeName is a response code's name (IANA's registry of DNS parameters).
func rcodeName(code int) string {
	names := []string{"NOERROR", formErr, "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}
	switch {
	case code < len(names):
		return names[code]
	case code == 16:
		return "BADVERS"
	}
	return fmt.Sprintf("RCODE%d", code)
}
