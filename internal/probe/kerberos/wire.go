package kerberos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Tags and numbers of RFC 4120.
const (
	version       = 5
	asReq         = 10
	krbErrorType  = 30
	tagASReq      = 0x6a
	tagKRBError   = 0x7e
	bitString     = 0x03
	generalTime   = 0x18
	generalString = 0x1b
	serviceAndKey = 2 // name type NT-SRV-INST
	maxMessage    = 32 << 10
	aes256        = 18
	aes128        = 17
	rc4           = 23
	passwordV1    = 1 // of RFC 3244
	timeLayout    = "20060102150405Z"
)

var errNoAnswer = errors.New("no Kerberos error message")

// field is an element behind its number in a sequence.
func field(n byte, v []byte) []byte { return ber.TLV(0xa0|n, v) }

// ticketRequest is an AS-REQ without a client's name, which no centre grants.
func ticketRequest(realm string) []byte {
	text := func(s string) []byte { return ber.Text(generalString, s) }
	number := func(v int64) []byte { return ber.Int(ber.Integer, v) }
	body := ber.TLV(ber.Sequence,
		field(0, ber.TLV(bitString, []byte{0, 0, 0, 0, 0})),
		field(2, text(realm)),
		field(3, ber.TLV(ber.Sequence, field(0, number(serviceAndKey)), field(1, ber.TLV(ber.Sequence, text("krbtgt"), text(realm))))),
		field(5, ber.Text(generalTime, "20370913024805Z")),
		field(7, number(0x1e2b3c4d)),
		field(8, ber.TLV(ber.Sequence, number(aes256), number(aes128), number(rc4))))
	return ber.TLV(tagASReq, ber.TLV(ber.Sequence, field(1, number(version)), field(2, number(asReq)), field(4, body)))
}

// passwordRequest is a request of RFC 3244 section 2 with an AP-REQ of no bytes:
// Samba's server answers that with an error, and an AP-REQ of none of its
// fields with silence.
//
//	length 2 | version 2 | length of AP-REQ 2 | AP-REQ | KRB-PRIV
func passwordRequest() []byte {
	nothing := ber.TLV(0x6e, ber.TLV(ber.Sequence))
	b := binary.BigEndian.AppendUint16(nil, uint16(6+len(nothing)))
	b = binary.BigEndian.AppendUint16(b, passwordV1)
	return append(append(b, 0, 0), nothing...)
}

// parsePasswordReply reads the error in a reply, which stands where AP-REP,
// of length 0, would be followed by KRB-PRIV (RFC 3244 section 2). Some servers
// send the error alone.
func parsePasswordReply(b []byte) (krbError, error) {
	if e, err := parseError(b); err == nil {
		return e, nil
	}
	r := octets.New(b)
	size, _, ticket := int(r.U16()), r.U16(), r.U16()
	if r.Err() != nil || ticket != 0 || size != len(b) {
		return krbError{}, errNoAnswer
	}
	return parseError(r.Rest())
}

// krbError is KRB-ERROR (RFC 4120 section 5.9.1).
type krbError struct {
	code    int64
	time    time.Time // to the second
	realm   string
	service string
	text    string
}

func parseError(b []byte) (krbError, error) {
	e, _, err := ber.Parse(b)
	if err != nil || e.Tag != tagKRBError {
		return krbError{}, errNoAnswer
	}
	inner, err := e.Want(ber.Sequence)
	if err != nil {
		return krbError{}, err
	}
	fields, err := inner[0].Children()
	if err != nil {
		return krbError{}, err
	}
	out := krbError{code: -1}
	for _, f := range fields {
		if err := out.read(f); err != nil {
			return krbError{}, err
		}
	}
	if out.code < 0 {
		return krbError{}, errNoAnswer
	}
	return out, nil
}

// read reads one field of the sequence, by its number.
func (e *krbError) read(f ber.Element) error {
	v, _, err := ber.Parse(f.Value)
	if err != nil {
		return err
	}
	switch f.Tag & 0x1f {
	case 1: // the type of message
		if n, err := v.Int(); err != nil || n != krbErrorType {
			return errNoAnswer
		}
	case 4:
		e.time, err = time.Parse(timeLayout, string(v.Value))
	case 6:
		e.code, err = v.Int()
	case 9:
		e.realm = string(v.Value)
	case 10:
		e.service, err = principal(v)
	case 11:
		e.text = string(v.Value)
	}
	return err
}

// principal joins the components of PrincipalName.
func principal(e ber.Element) (string, error) {
	parts, err := e.Want(0, 0)
	if err != nil {
		return "", err
	}
	list, _, err := ber.Parse(parts[1].Value)
	if err != nil {
		return "", err
	}
	names, err := list.Children()
	if err != nil {
		return "", err
	}
	var s []string
	for _, n := range names {
		s = append(s, string(n.Value))
	}
	return strings.Join(s, "/"), nil
}

// echoes: the realm is that of the question, or none.
func (e krbError) echoes(asked string) bool { return e.realm == "" || e.realm == asked }

// answer tells the error, as heard at now by who asked for the realm. Centres
// say that they don't know a client in the words of the question: a realm that
// is no more than its echo is nobody's.
func (e krbError) answer(protocol, asked string, now time.Time) *probe.Answer {
	a := &probe.Answer{Protocol: protocol, Summary: errorName(e.code)}
	a.Add("error", errorName(e.code))
	if !e.echoes(asked) {
		a.Add("realm", e.realm)
		a.Summary = "realm " + e.realm + ", " + a.Summary
	}
	if e.service != "" && !strings.HasSuffix(e.service, "/"+asked) {
		a.Add("service", e.service)
	}
	if !e.time.IsZero() {
		skew := e.time.Sub(now.Truncate(time.Second))
		a.Add("time", e.time.Format(time.RFC3339))
		a.Add("clock skew", fmt.Sprintf("%+ds", int64(skew/time.Second)))
	}
	if e.text != "" {
		a.Add("text", e.text)
	}
	if e.text == "NULL_CLIENT" {
		a.Add("likely", "MIT Kerberos, whose word NULL_CLIENT is")
	}
	return a
}

// errorName is an error code with its name (RFC 4120 section 7.5.9).
func errorName(code int64) string {
	name, ok := map[int64]string{
		0: "KDC_ERR_NONE", 6: "KDC_ERR_C_PRINCIPAL_UNKNOWN", 7: "KDC_ERR_S_PRINCIPAL_UNKNOWN", 12: "KDC_ERR_POLICY",
		14: "KDC_ERR_ETYPE_NOSUPP", 16: "KDC_ERR_PADATA_TYPE_NOSUPP", 24: "KDC_ERR_PREAUTH_FAILED", 25: "KDC_ERR_PREAUTH_REQUIRED",
		29: "KDC_ERR_SVC_UNAVAILABLE", 31: "KRB_AP_ERR_BAD_INTEGRITY", 37: "KRB_AP_ERR_SKEW", 39: "KRB_AP_ERR_BADVERSION",
		40: "KRB_AP_ERR_MSG_TYPE", 52: "KRB_ERR_RESPONSE_TOO_BIG", 60: "KRB_ERR_GENERIC", 68: "KDC_ERR_WRONG_REALM",
	}[code]
	if !ok {
		return fmt.Sprint(code)
	}
	return fmt.Sprintf("%d %s", code, name)
}
