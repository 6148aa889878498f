package ldap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/netlogon"
)

// Message ids, by which answers are told apart.
const (
	rootID = 1
	pingID = 2
)

// Tags of RFC 4511.
const (
	opUnbind    = 0x42
	opSearch    = 0x63
	opEntry     = 0x64
	opDone      = 0x65
	opReference = 0x73
	opExtended  = 0x78

	boolean         = 0x01
	enumerated      = 0x0a
	set             = 0x31
	filterAnd       = 0xa0
	filterEquality  = 0xa3
	filterPresent   = 0x87
	protocolError   = 2
	maxAttributes   = 512
	maxValues       = 4096
	searchTimeLimit = 5 // seconds
)

// searchRequest is a search of the root DSE (RFC 4511 section 4.5.1).
func searchRequest(id int64, filter []byte, attributes ...string) []byte {
	var list []byte
	for _, a := range attributes {
		list = append(list, ber.Text(ber.OctetString, a)...)
	}
	const baseObject, neverDeref = 0, 0
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, id), ber.TLV(opSearch,
		ber.Text(ber.OctetString, ""), ber.Int(enumerated, baseObject), ber.Int(enumerated, neverDeref),
		ber.Int(ber.Integer, 0), ber.Int(ber.Integer, searchTimeLimit), ber.TLV(boolean, []byte{0}),
		filter, ber.TLV(ber.Sequence, list)))
}

// rootDSE asks for all attributes, the operational ones too (RFC 3673).
func rootDSE() []byte {
	return searchRequest(rootID, ber.Text(filterPresent, "objectClass"), "*", "+")
}

// netlogonPing is (&(NtVer=\06\00\00\00)) for the attribute Netlogon: NtVer asks
// for the extended form of the answer (MS-ADTS section 6.3.1.1).
func netlogonPing() []byte {
	equal := ber.TLV(filterEquality, ber.Text(ber.OctetString, "NtVer"), ber.TLV(ber.OctetString, []byte{6, 0, 0, 0}))
	return searchRequest(pingID, ber.TLV(filterAnd, equal), "Netlogon")
}

func unbind() []byte {
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, rootID+pingID), ber.TLV(opUnbind))
}

// result is what a search found.
type result struct {
	attributes []probe.Field
	values     int
	code       int64
	diagnostic string
	done       bool
}

// hear adds what a datagram holds; one that is no answer to the search is
// passed over.
func (r *result) hear(b []byte, id int64) {
	if r.done {
		return
	}
	got := *r
	for len(b) > 0 {
		_, rest, err := ber.Parse(b)
		if err != nil || got.add(b[:len(b)-len(rest)], id) != nil {
			return
		}
		b = rest
	}
	*r = got
}

// add adds one message, and refuses what a search is not answered with.
func (r *result) add(b []byte, id int64) error {
	e, _, err := ber.Parse(b)
	if err != nil {
		return err
	}
	m, err := e.Want(ber.Integer, 0)
	if err != nil || e.Tag != ber.Sequence {
		return fmt.Errorf("message 0x%02x: %w", e.Tag, ber.ErrMalformed)
	}
	// The notice of disconnection has id 0 (RFC 4511 section 4.4.1).
	if n, err := m[0].Int(); err != nil || n != id && (n != 0 || m[1].Tag != opExtended) {
		return fmt.Errorf("message %d answers nothing: %w", n, ber.ErrMalformed)
	}
	switch m[1].Tag {
	case opEntry:
		return r.entry(m[1])
	case opReference:
		return nil
	case opDone, opExtended:
		return r.end(m[1])
	}
	return fmt.Errorf("operation 0x%02x: %w", m[1].Tag, ber.ErrMalformed)
}

// entry is SearchResultEntry: name, then attributes of type and set of values.
func (r *result) entry(e ber.Element) error {
	parts, err := e.Want(ber.OctetString, ber.Sequence)
	if err != nil {
		return err
	}
	list, err := parts[1].Children()
	if err != nil {
		return err
	}
	for _, a := range list {
		kv, err := a.Want(ber.OctetString, set)
		if err != nil {
			return err
		}
		values, err := kv[1].Children()
		if err != nil {
			return err
		}
		r.values += len(values)
		if len(r.attributes) == maxAttributes || r.values > maxValues {
			return fmt.Errorf("more than %d attributes or %d values", maxAttributes, maxValues)
		}
		f := probe.Field{Name: string(kv[0].Value)}
		for _, v := range values {
			f.Values = append(f.Values, string(v.Value))
		}
		if len(f.Values) > 0 {
			r.attributes = append(r.attributes, f)
		}
	}
	return nil
}

// end is LDAPResult: code, matched name, message.
func (r *result) end(e ber.Element) error {
	parts, err := e.Want(enumerated, ber.OctetString, ber.OctetString)
	if err != nil {
		return err
	}
	if r.code, err = parts[0].Int(); err != nil {
		return err
	}
	r.diagnostic, r.done = string(parts[2].Value), true
	return nil
}

// netlogon takes the attribute of that name apart, which answers the ping.
func (r *result) netlogon() (netlogon.Response, error) {
	for _, f := range r.attributes {
		if strings.EqualFold(f.Name, "netlogon") {
			return netlogon.Parse([]byte(f.Values[0]))
		}
	}
	return netlogon.Response{}, netlogon.Err
}

// describe adds the result to an answer, with a gist after what it has.
func (r *result) describe(a *probe.Answer) {
	a.Fields = append(a.Fields, r.attributes...)
	if r.code != 0 {
		a.Add("resultCode", codeName(r.code))
		if r.diagnostic != "" {
			a.Add("diagnosticMessage", r.diagnostic)
		}
		gist(a, codeName(r.code))
	}
	for _, name := range []string{"dnsHostName", "defaultNamingContext", "namingContexts", "vendorName", "vendorVersion"} {
		if v := a.Get(name); v != "" && (name != "namingContexts" || a.Get("defaultNamingContext") == "") {
			gist(a, v)
		}
	}
	if slices.ContainsFunc(r.attributes, func(f probe.Field) bool { return slices.Contains(f.Values, "OpenLDAProotDSE") }) {
		a.Add("likely", "OpenLDAP, whose class OpenLDAProotDSE is")
	}
	if r.done && r.code == 0 && a.Summary == "" {
		a.Summary = strconv.Itoa(len(r.attributes)) + " attributes"
	}
}

// gist adds to the summary.
func gist(a *probe.Answer, s string) {
	if a.Summary != "" {
		a.Summary += ", "
	}
	a.Summary += s
}

// codeName is a result code with its name (RFC 4511 appendix A).
func codeName(code int64) string {
	names := map[int64]string{1: "operationsError", protocolError: "protocolError", 3: "timeLimitExceeded", 4: "sizeLimitExceeded",
		7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded", 13: "confidentialityRequired",
		32: "noSuchObject", 48: "inappropriateAuthentication", 49: "invalidCredentials", 50: "insufficientAccessRights",
		51: "busy", 52: "unavailable", 53: "unwillingToPerform", 80: "other"}
	if n, ok := names[code]; ok {
		return fmt.Sprintf("%d %s", code, n)
	}
	return strconv.FormatInt(code, 10)
}
