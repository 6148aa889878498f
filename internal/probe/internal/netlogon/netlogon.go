// Package netlogon reads what a domain controller says of itself to a client
// that looks for one (MS-ADTS section 6.3): the answer to an LDAP ping, and to
// the same question in a NetBIOS mailslot.
package netlogon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Operation codes of MS-ADTS section 6.3.1.3, with those that the answers share.
const (
	samLogonResponse   = 19
	samPauseResponse   = 20
	samUserUnknown     = 21
	samLogonResponseEx = 23
	samPauseResponseEx = 24
	samUserUnknownEx   = 25
)

// version is NtVersion of what is asked for: the extended answer, and the old one
// of those who know no other (section 6.3.1.1: V1, V5, V5EX).
const version = 7

// Response is NETLOGON_SAM_LOGON_RESPONSE_EX (MS-ADTS section 6.3.1.9), all
// numbers with the lowest byte first:
//
//	Opcode 2 | Sbz 2 | Flags 4 | DomainGuid 16 | eight compressed names | ...
//
// or NETLOGON_SAM_LOGON_RESPONSE_NT40 (section 6.3.1.7), of domains before Active
// Directory, which has three of the names, in UTF-16:
//
//	Opcode 2 | UnicodeLogonServer | UnicodeUserName | UnicodeDomainName | ...
type Response struct {
	flags  uint32
	guid   string // "" in the old form
	names  [8]string
	paused bool
}

// The names' places in a message of the extended form.
const (
	dnsHost         = 2
	netbiosDomain   = 3
	netbiosComputer = 4
	user            = 5
	site            = 6
)

func nameWords() [8]string {
	return [8]string{"DnsForestName", "DnsDomainName", "DnsHostName", "NetbiosDomainName", "NetbiosComputerName", "UserName", "DcSiteName", "ClientSiteName"}
}

// Err is wrapped by the error of what is no such answer.
var Err = errors.New("no domain controller's answer")

// Parse reads the extended form, the only one over LDAP.
func Parse(b []byte) (Response, error) {
	r := octets.New(b)
	op := r.LE16()
	r.Skip(2)
	l := Response{flags: r.LE32(), guid: guid(r.Take(16)), paused: op == samPauseResponseEx}
	if r.Err() != nil || op != samLogonResponseEx && op != samUserUnknownEx && op != samPauseResponseEx {
		return Response{}, Err
	}
	at := r.At()
	for i := range l.names {
		var err error
		if l.names[i], at, err = dnsname.Read(b, at); err != nil {
			return Response{}, fmt.Errorf("%w: %w", Err, err)
		}
		if l.names[i] == "." {
			l.names[i] = ""
		}
	}
	return l, nil
}

// ParseMailslot reads either form, as a mailslot brings them.
func ParseMailslot(b []byte) (Response, error) {
	r := octets.New(b)
	op := r.LE16()
	if op < samLogonResponse || op > samUserUnknown {
		return Parse(b)
	}
	l := Response{paused: op == samPauseResponse}
	for _, i := range []int{netbiosComputer, user, netbiosDomain} {
		l.names[i] = unicode(r)
	}
	for len(l.names[netbiosComputer]) > 0 && l.names[netbiosComputer][0] == '\\' { // \\DC1
		l.names[netbiosComputer] = l.names[netbiosComputer][1:]
	}
	if r.Err() != nil || l.names[netbiosComputer] == "" {
		return Response{}, Err
	}
	return l, nil
}

// unicode reads a name of UTF-16, up to its zero.
func unicode(r *octets.Reader) string {
	var s []uint16
	for c := r.LE16(); c != 0; c = r.LE16() {
		s = append(s, c)
	}
	return string(utf16.Decode(s))
}

// guid words 16 bytes as MS-DTYP section 2.3.4.2 does, its first parts with the
// lowest byte first.
func guid(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	return fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:])
}

// Describe adds what the domain controller said to an answer, named as in MS-ADTS
// section 6.3.1.9 ("DnsHostName", "ClientSiteName"), and "state" where it has
// paused.
func (l Response) Describe(a *probe.Answer) {
	for i, name := range nameWords() {
		if l.names[i] != "" {
			a.Add(name, l.names[i])
		}
	}
	if l.guid != "" {
		a.Add("DomainGuid", l.guid)
		a.Add("Flags", roles(l.flags)...)
	}
	if l.paused {
		a.Add("state", "paused")
	}
}

// Host is the domain controller's name, its DNS name where it tells one.
func (l Response) Host() string {
	if l.names[dnsHost] != "" {
		return l.names[dnsHost]
	}
	return l.names[netbiosComputer]
}

// Site is where the domain controller is, "" it does not tell.
func (l Response) Site() string { return l.names[site] }

// Domain is the NetBIOS name of the domain.
func (l Response) Domain() string { return l.names[netbiosDomain] }

// roles words DS_FLAG (MS-ADTS section 6.3.1.2).
func roles(flags uint32) (all []string) {
	for i, name := range []string{"PDC", "", "GC", "LDAP", "DS", "KDC", "TIMESERV", "CLOSEST", "WRITABLE", "GOOD_TIMESERV", "NDNC",
		"SELECT_SECRET_DOMAIN_6", "FULL_SECRET_DOMAIN_6", "WS", "DS_8", "DS_9", "DS_10"} {
		if flags&(1<<i) != 0 && name != "" {
			all = append(all, name)
		}
	}
	return all
}

// Request is NETLOGON_SAM_LOGON_REQUEST (MS-ADTS section 6.3.1.6) of a computer
// of this name, for nobody's account, to be answered in this mailslot:
//
//	Opcode 2 | RequestCount 2 | UnicodeComputerName | UnicodeUserName | MailslotName
//	AllowableAccountControlBits 4 | DomainSidSize 4 | NtVersion 4 | LmNtToken 2 | Lm20Token 2
func Request(computer, mailslot string) []byte {
	const samLogonRequest = 18
	b := []byte{samLogonRequest, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(computer + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	b = append(b, 0, 0) // no user
	b = append(append(b, mailslot...), 0)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, version)
	return append(b, 0xff, 0xff, 0xff, 0xff)
}
