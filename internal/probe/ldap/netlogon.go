package ldap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Operation codes of MS-ADTS section 6.3.1.3.
const (
	samLogonResponseEx = 23
	samUserUnknownEx   = 25
	samPauseResponseEx = 24
)

// netlogon is NETLOGON_SAM_LOGON_RESPONSE_EX (MS-ADTS section 6.3.1.9), all
// numbers with the lowest byte first:
//
//	Opcode 2 | Sbz 2 | Flags 4 | DomainGuid 16 | eight compressed names | ...
type netlogon struct {
	flags uint32
	guid  string
	names [8]string
}

// netlogonNames are the names, in the message's order.
func netlogonNames() [8]string {
	return [8]string{"DnsForestName", "DnsDomainName", "DnsHostName", "NetbiosDomainName", "NetbiosComputerName", "UserName", "DcSiteName", "ClientSiteName"}
}

var errNoNetlogon = errors.New("no answer to an LDAP ping")

// netlogon takes the attribute of that name apart.
func (r *result) netlogon() (netlogon, error) {
	for _, f := range r.attributes {
		if strings.EqualFold(f.Name, "netlogon") {
			return parseNetlogon([]byte(f.Values[0]))
		}
	}
	return netlogon{}, errNoNetlogon
}

func parseNetlogon(b []byte) (netlogon, error) {
	r := octets.New(b)
	op := r.LE16()
	r.Skip(2)
	l := netlogon{flags: r.LE32(), guid: guid(r.Take(16))}
	if r.Err() != nil || op != samLogonResponseEx && op != samUserUnknownEx && op != samPauseResponseEx {
		return netlogon{}, errNoNetlogon
	}
	at := r.At()
	for i := range l.names {
		var err error
		if l.names[i], at, err = dnsname.Read(b, at); err != nil {
			return netlogon{}, fmt.Errorf("%w: %w", errNoNetlogon, err)
		}
		if l.names[i] == "." {
			l.names[i] = ""
		}
	}
	return l, nil
}

// guid words 16 bytes as MS-DTYP section 2.3.4.2 does, its first parts with the
// lowest byte first.
func guid(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	return fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:])
}

// describe adds what the domain controller said to an answer.
func (l netlogon) describe(a *probe.Answer) {
	for i, name := range netlogonNames() {
		if l.names[i] != "" {
			a.Add(name, l.names[i])
		}
	}
	a.Add("DomainGuid", l.guid)
	a.Add("Flags", roles(l.flags)...)
	if a.Get("dnsHostName") == "" {
		gist(a, l.names[2])
	}
	if site := l.names[6]; site != "" {
		gist(a, "site "+site)
	}
}

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
