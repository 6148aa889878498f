package dns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
)

// rr is a record with its data as it stands on the wire.
func rr(name string, typ, class uint16, ttl uint32, data string) []byte {
	b := dnsname.Append(nil, name)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// reply answers q with these flags and records, of which the first n are
// answers, the next is of the authority and the last is additional.
func reply(q []byte, flags uint16, n int, records ...[]byte) []byte {
	b := bytes.Clone(q[:2])
	for _, v := range []uint16{flagResponse | flags, 1, uint16(n), uint16(min(1, max(0, len(records)-n-1))), uint16(min(1, len(records)-n))} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = append(b, q[headerSize:questionEnd(q)]...)
	return append(b, bytes.Join(records, nil)...)
}

func TestQuestion(t *testing.T) {
	if got := fmt.Sprintf("%x", question(0x1234, "", typeNS, classIN)); got != "123401000001000000000001"+"0000020001"+"00002904d0000000000004"+"00030000" {
		t.Errorf("root: %s", got)
	}
	if q := question(1, "version.bind", typeTXT, classCH); string(q[headerSize:questionEnd(q)]) != "\x07version\x04bind\x00\x00\x10\x00\x03" || q[2] != 0 {
		t.Errorf("version: %q", q)
	}
}

func TestParse(t *testing.T) {
	q := question(7, "example", typeNS, classIN)
	soa := "\x02ns\xc0\x0c\x04root\x00" + "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05"
	b := reply(q, 0x0480, 7,
		rr("example", typeNS, 1, 60, "\x02ns\xc0\x0c"),
		rr("ns.example", typeA, 1, 60, "\xc0\x00\x02\x35"),
		rr("ns.example", typeAAAA, 1, 60, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		rr("example", typeTXT, 1, 60, "\x01a\x03b c"),
		rr("example", 99, 1, 60, "\x01\x02"),
		rr("example", typeA, 1, 60, "\x01\x02"),
		rr("example", typeTXT, 1, 60, "\x09a"),
		rr("example", typeSOA, 1, 60, soa),
		rr("", typeOPT, 1400, 1<<24, "\x00\x0a\x00\x02xx\x00\x03\x00\x03ns1"))
	m, err := parse(b, q)
	if err != nil {
		t.Fatal(err)
	}
	a := &probe.Answer{}
	m.describe(a)
	want := []probe.Field{
		{Name: "rcode", Values: []string{"BADVERS"}},
		{Name: "flags", Values: []string{"AA", "RA"}},
		{Name: "question", Values: []string{"example"}},
		{Name: "answers", Values: []string{"example 60 NS ns.example", "ns.example 60 A 192.0.2.53", "ns.example 60 AAAA 2001:db8::1",
			`example 60 TXT ["a" "b c"]`, `example 60 TYPE99 \# 2 0102`, `example 60 A \# 2 0102`, `example 60 TXT \# 2 0961`}},
		{Name: "authority", Values: []string{"example 60 SOA ns.example root 1 2 3 4 5"}},
		{Name: "payload", Values: []string{"1400"}},
		{Name: "nsid", Values: []string{"ns1"}},
	}
	if d := cmp.Diff(want, a.Fields); d != "" {
		t.Error(d)
	}
	for n := range b {
		if _, err := parse(b[:n], q); err == nil {
			t.Errorf("the first %d of %d bytes are an answer", n, len(b))
		}
	}
}

func TestNoAnswer(t *testing.T) {
	q := question(7, "", typeNS, classIN)
	whole := reply(q, 0, 0)
	for name, change := range map[string]func([]byte){
		"another id":       func(b []byte) { b[1]++ },
		"a question":       func(b []byte) { b[2] &^= 0x80 },
		"another opcode":   func(b []byte) { b[2] |= 0x10 },
		"another question": func(b []byte) { b[len(b)-3]++ },
	} {
		b := bytes.Clone(whole)
		change(b)
		if _, err := parse(b, q); err == nil {
			t.Errorf("%s is an answer", name)
		}
	}
	bare := bytes.Clone(whole[:headerSize])
	bare[3], bare[5] = 1, 0 // FORMERR without the question
	if m, err := parse(bare, q); err != nil || m.rcode != "FORMERR" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestNames(t *testing.T) {
	for code, want := range map[int]string{0: "NOERROR", 5: "REFUSED", 10: "NOTZONE", 11: "RCODE11", 16: "BADVERS", 4095: "RCODE4095"} {
		if got := rcodeName(code); got != want {
			t.Errorf("%d is %s", code, got)
		}
	}
	if nsid([]byte("ns1.example")) != "ns1.example" || nsid([]byte{1, 0xff}) != "01ff" {
		t.Error("nsid")
	}
}

// FuzzParse: an answer that is taken is one to our question, and holds a
// bounded number of records.
func FuzzParse(f *testing.F) {
	q := question(7, "example", typeNS, classIN)
	f.Add(reply(q, 0x0400, 1, rr("example", typeNS, 1, 60, "\x02ns\xc0\x0c"), rr("", typeOPT, 1400, 0, "\x00\x03\x00\x01x")))
	f.Add(reply(q, 5, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, q)
		if err != nil {
			return
		}
		if string(b[:2]) != string(q[:2]) || m.rcode == "" || len(m.answers) > maxRecords || len(m.authority) > maxRecords || len(m.answers)*11 > len(b) {
			t.Fatalf("%x gives %+v", b, m)
		}
	})
}
