package ldap

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
)

// entryMessage is a SearchResultEntry of "name: value, value" lines.
func entryMessage(id int64, lines ...string) []byte {
	var list []byte
	for _, l := range lines {
		name, values, _ := strings.Cut(l, ": ")
		var vs []byte
		for _, v := range strings.Split(values, "; ") {
			vs = append(vs, ber.Text(ber.OctetString, v)...)
		}
		list = append(list, ber.TLV(ber.Sequence, ber.Text(ber.OctetString, name), ber.TLV(set, vs))...)
	}
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, id), ber.TLV(opEntry, ber.Text(ber.OctetString, ""), ber.TLV(ber.Sequence, list)))
}

func doneMessage(id int64, op byte, code int64, text string) []byte {
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, id), ber.TLV(op, ber.Int(enumerated, code), ber.Text(ber.OctetString, ""), ber.Text(ber.OctetString, text)))
}

// TestPortQryShape: the fields give PortQry's text, one line an attribute with
// its first value.
func TestPortQryShape(t *testing.T) {
	var r result
	for _, b := range [][]byte{
		entryMessage(rootID, "currentTime: 20261124194501.0Z", "namingContexts: DC=corp,DC=example; CN=Configuration,DC=corp,DC=example",
			"supportedLDAPVersion: 3; 2", "dnsHostName: dc1.corp.example", "isSynchronized: TRUE"),
		doneMessage(rootID, opDone, 0, ""),
	} {
		if err := r.add(b, rootID); err != nil {
			t.Fatal(err)
		}
	}
	a := &probe.Answer{}
	r.describe(a)
	var text strings.Builder
	for _, f := range a.Fields {
		fmt.Fprintf(&text, "%s: %s\n", f.Name, f.Values[0])
	}
	want := `currentTime: 20261124194501.0Z
namingContexts: DC=corp,DC=example
supportedLDAPVersion: 3
dnsHostName: dc1.corp.example
isSynchronized: TRUE
`
	if d := cmp.Diff(want, text.String()); d != "" {
		t.Error(d)
	}
	if len(a.Fields[1].Values) != 2 || a.Summary != "dc1.corp.example, DC=corp,DC=example" || !r.done {
		t.Errorf("%+v, done %v", a, r.done)
	}
}

func TestResults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      []byte
		bad     bool
		summary string
	}{
		{"nothing visible", doneMessage(1, opDone, 0, ""), false, "0 attributes"},
		{"anonymous is not let in", doneMessage(1, opDone, 48, "anonymous bind disallowed"), false, "48 inappropriateAuthentication"},
		{"a code without a name", doneMessage(1, opDone, 99, ""), false, "99"},
		{"notice of disconnection", doneMessage(0, opExtended, 52, "going down"), false, "52 unavailable"},
		{"another's answer", doneMessage(7, opDone, 0, ""), true, ""},
		{"an operation that answers nothing", doneMessage(1, 0x61, 0, ""), true, ""},
		{"no message", []byte("220 mail ESMTP"), true, ""},
		{"an SNMP message", ber.TLV(ber.Sequence, ber.Int(ber.Integer, 1), ber.Text(ber.OctetString, "public")), true, ""},
		{"empty", ber.TLV(ber.Sequence), true, ""},
	} {
		var r result
		err := r.add(tt.in, rootID)
		var a probe.Answer
		r.describe(&a)
		if (err != nil) != tt.bad || a.Summary != tt.summary || r.done == tt.bad {
			t.Errorf("%s: %v, %+v", tt.name, err, a)
		}
	}
}

func TestTooMany(t *testing.T) {
	var r result
	if r.add(entryMessage(rootID, strings.Split(strings.Repeat("a: b\n", maxAttributes+1), "\n")...), rootID) == nil {
		t.Error("attributes without end")
	}
	r = result{}
	if r.add(entryMessage(rootID, "a: "+strings.Repeat("x; ", maxValues+1)), rootID) == nil {
		t.Error("values without end")
	}
}

// TestHear: a datagram with entry and end is heard whole; one cut short, or
// another's, leaves no trace.
func TestHear(t *testing.T) {
	entry, done := entryMessage(pingID, "a: b"), doneMessage(pingID, opDone, 0, "")
	var r result
	r.hear(append(bytes.Clone(entry), done[:5]...), pingID)
	r.hear(append(bytes.Clone(entry), done...), rootID)
	if r.done || r.attributes != nil {
		t.Errorf("heard %+v", r)
	}
	r.hear(append(bytes.Clone(entry), done...), pingID)
	r.hear(append(bytes.Clone(entry), done...), pingID) // twice asked, twice answered
	if !r.done || len(r.attributes) != 1 {
		t.Errorf("heard %+v", r)
	}
}

func TestRequests(t *testing.T) {
	for name, tt := range map[string]struct{ got, want string }{
		"root DSE": {fmt.Sprintf("%x", rootDSE()), "302b020101632604000a01000a0100020100020105010100870b6f626a656374436c617373300604012a04012b"},
		"ping":     {fmt.Sprintf("%x", netlogonPing()), "3033020102632e04000a01000a0100020100020105010100a00fa30d04054e745665720404" + "06000000" + "300a04084e65746c6f676f6e"},
		"unbind":   {fmt.Sprintf("%x", unbind()), "30050201034200"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
}

// FuzzAdd: a message that is taken is an answer of ours, and holds no more
// than was sent.
func FuzzAdd(f *testing.F) {
	f.Add(entryMessage(rootID, "a: b; c", "d: e"))
	f.Add(doneMessage(rootID, opDone, 1, "no"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r result
		if r.add(b, rootID) != nil {
			return
		}
		n := len(r.diagnostic)
		for _, a := range r.attributes {
			n += len(a.Name)
			for _, v := range a.Values {
				n += len(v)
			}
		}
		if n > len(b) {
			t.Fatalf("%d bytes hold %d", len(b), n)
		}
	})
}
