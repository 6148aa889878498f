package mdns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	services = "_services._dns-sd._udp.local" // RFC 6763 section 9
	typePTR  = 12
	classIN  = 1
	headSize = 12
	maxList  = 100
)

// request asks for the kinds of services and for the name of an address. It
// comes from another port than 5353, so that the answer comes to us alone and
// has our id (RFC 6762 section 6.7).
func request(id uint16, reverse string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0)
	for _, name := range []string{services, reverse} {
		b = dnsname.Append(b, name)
		b = append(b, 0, typePTR, 0, classIN)
	}
	return b
}

// reverseName is the name under which an address is looked up (RFC 1035
// section 3.5, RFC 3596 section 2.5).
func reverseName(a netip.Addr) string {
	var labels []string
	b := a.Unmap().WithZone("").AsSlice()
	for i := len(b) - 1; i >= 0; i-- {
		if len(b) == 4 {
			labels = append(labels, strconv.Itoa(int(b[i])))
		} else {
			labels = append(labels, string(hex[b[i]&15]), string(hex[b[i]>>4]))
		}
	}
	zone := ".in-addr.arpa"
	if len(b) == 16 {
		zone = ".ip6.arpa"
	}
	return strings.Join(labels, ".") + zone
}

const hex = "0123456789abcdef"

// reply is what an answer tells.
type reply struct {
	services []string // "_ipp._tcp.local"
	names    []string // of the host
}

// parse reads an answer to the request with this id.
func parse(b []byte, id uint16, reverse string) (reply, error) {
	var p reply
	r := octets.New(b)
	got, flags := r.U16(), r.U16()
	questions, answers := int(r.U16()), int(r.U16())
	// An answer, authoritative, without an error: what others' name servers say is
	// none (RFC 6762 sections 18.3, 18.4 and 18.11).
	if len(b) < headSize || got != id || flags&0xfc0f != 0x8400 || answers == 0 {
		return p, errors.New("no answer of mDNS")
	}
	at := headSize
	for range questions {
		_, next, err := dnsname.Read(b, at)
		if err != nil {
			return p, err
		}
		at = next + 4
	}
	for range answers {
		owner, next, err := dnsname.Read(b, at)
		if err != nil {
			return p, err
		}
		rest := octets.New(b[min(next, len(b)):])
		kind, class := rest.U16(), rest.U16()
		rest.Skip(4) // time to live
		n := int(rest.U16())
		rest.Skip(n)
		if rest.Err() != nil {
			return p, rest.Err()
		}
		at = next + 10 + n
		if kind != typePTR || class&0x7fff != classIN || len(p.services)+len(p.names) >= maxList {
			continue
		}
		target, _, err := dnsname.Read(b[:at], next+10)
		switch {
		case err != nil:
			return p, err
		case strings.EqualFold(owner, services):
			p.services = append(p.services, target)
		case strings.EqualFold(owner, reverse):
			p.names = append(p.names, target)
		}
	}
	return p, nil
}
