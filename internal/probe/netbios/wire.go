package netbios

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Numbers of RFC 1002 sections 4.2 and 4.3.
const (
	typeStatus = 0x21
	classIN    = 1
	nameSize   = 18 // of one name in a status: 15 characters, suffix, flags
	groupFlag  = 0x8000

	sessionAsk      = 0x81
	sessionAccepted = 0x82
	sessionRefused  = 0x83
	sessionRetarget = 0x84
)

var errNoAnswer = errors.New("not NetBIOS")

// encode writes a NetBIOS name of 16 bytes as one label of 32 letters, half a
// byte each (RFC 1001 section 14.1), and the root scope.
func encode(name string, pad byte, suffix byte) []byte {
	b := []byte{32}
	for i := range 16 {
		c := pad
		if i < len(name) {
			c = name[i]
		}
		if i == 15 {
			c = suffix
		}
		b = append(b, 'A'+c>>4, 'A'+c&15)
	}
	return append(b, 0)
}

// statusRequest asks for the status of the name *, which every node has (RFC
// 1002 section 4.2.17).
func statusRequest(id uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	b = append(b, encode("*", 0, 0)...)
	return append(b, 0, typeStatus, 0, classIN)
}

// adapterStatus is a node's names and its unit's id.
type adapterStatus struct {
	names []name
	mac   net.HardwareAddr
}

type name struct {
	text   string
	suffix byte
	group  bool
}

// parseStatus reads the answer (RFC 1002 section 4.2.18): header and name, then
// type, class, time to live, length, a count of names, the names, and
// statistics that begin with the unit id.
func parseStatus(b []byte, id uint16) (adapterStatus, error) {
	r := octets.New(b)
	gotID, flags, questions, answers := r.U16(), r.U16(), r.U16(), r.U16()
	if r.Err() != nil || gotID != id || flags&0xf800 != 0x8000 || questions != 0 || answers != 1 {
		return adapterStatus{}, errNoAnswer
	}
	_, at, err := dnsname.Read(b, 12)
	if err != nil {
		return adapterStatus{}, errNoAnswer
	}
	r = octets.New(b[at:])
	typ, class := r.U16(), r.U16()
	r.Skip(6)
	n := int(r.U8())
	var s adapterStatus
	for range n {
		text, suffix, flags := r.Take(15), r.U8(), r.U16()
		s.names = append(s.names, name{strings.TrimRight(string(text), " \x00"), suffix, flags&groupFlag != 0})
	}
	s.mac = append(s.mac, r.Take(6)...)
	if r.Err() != nil || typ != typeStatus || class != classIN {
		return adapterStatus{}, errNoAnswer
	}
	return s, nil
}

func (s adapterStatus) lines() (all []string) {
	for _, n := range s.names {
		all = append(all, n.String())
	}
	return all
}

// gist is the machine's name and its domain's.
func (s adapterStatus) gist() string {
	var parts []string
	for _, group := range []bool{false, true} {
		for _, n := range s.names {
			if n.suffix == 0 && n.group == group && n.text != "__SAMBA__" {
				parts = append(parts, n.text)
				break
			}
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d names", len(s.names))
	}
	return strings.Join(parts, " of ")
}

// String is the name as other tools write it, and what its suffix stands for.
func (n name) String() string {
	kind := "unique"
	if n.group {
		kind = "group"
	}
	s := fmt.Sprintf("%s <%02x> %s", n.text, n.suffix, kind)
	if w := meaning(n.suffix, n.group); w != "" {
		s += ", " + w
	}
	return s
}

// meaning is what Microsoft's networks use a suffix for (MS-NBTE section 1.8,
// MS-BRWS section 2.1.1).
func meaning(suffix byte, group bool) string {
	type key struct {
		suffix byte
		group  bool
	}
	return map[key]string{
		{0x00, false}: "workstation", {0x00, true}: "domain or workgroup", {0x01, true}: "master browser", {0x03, false}: "messenger",
		{0x1b, false}: "domain master browser", {0x1c, true}: "domain controllers", {0x1d, false}: "master browser",
		{0x1e, true}: "browser elections", {0x20, false}: "file server", {0x21, false}: "remote access client",
	}[key{suffix, group}]
}

// sessionRequest asks for a session with whoever serves files (RFC 1002 section
// 4.3.2): a header of type, flags and length, then the name called, then ours.
func sessionRequest() []byte {
	names := append(encode("*SMBSERVER", ' ', 0x20), encode("PORTREPORTER", ' ', 0)...)
	return append(binary.BigEndian.AppendUint16([]byte{sessionAsk, 0}, uint16(len(names))), names...)
}

// sessionReply is how long the body of a reply with this header is.
func sessionReply(head []byte) (int, error) {
	r := octets.New(head)
	typ, flags, size := r.U8(), r.U8(), int(r.U16())
	want := map[byte]int{sessionAccepted: 0, sessionRefused: 1, sessionRetarget: 6}
	if n, ok := want[typ]; r.Err() != nil || !ok || n != size || flags != 0 {
		return 0, errNoAnswer
	}
	return size, nil
}

const accepted = "accepted"

// sessionWords puts a reply in words.
func sessionWords(typ byte, body []byte) string {
	r := octets.New(body)
	switch typ {
	case sessionAccepted:
		return accepted
	case sessionRetarget:
		a, _ := netip.AddrFromSlice(r.Take(4))
		return "go to " + netip.AddrPortFrom(a, r.U16()).String()
	}
	code := r.U8()
	why, ok := map[byte]string{0x80: "not listening on called name", 0x81: "not listening for calling name",
		0x82: "called name not present", 0x83: "insufficient resources"}[code]
	if !ok {
		why = "unspecified error"
	}
	return fmt.Sprintf("refused: %s (0x%02x)", why, code)
}
