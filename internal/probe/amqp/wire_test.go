package amqp

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func long(s string) string  { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
func short(s string) string { return string([]byte{byte(len(s))}) + s }

// greeting is a Connection.Start in the shape of AMQP 0-9-1, sections 4.2.1 to
// 4.2.5 and 1.4.2.1.
func greeting() string {
	table := short("capabilities") + "F" + long(short("basic.nack")+"t\x01") + short("product") + "S" + long("Broker") + short("version") + "S" + long("3.10.8") + short("n") + "I\xff\xff\xff\xff" + short("v") + "V"
	return "\x00\x0a\x00\x0a\x00\x09" + long(table) + long("AMQPLAIN PLAIN") + long("en_US") + "\xce"
}

func TestParseStart(t *testing.T) {
	s, err := parseStart([]byte(greeting()))
	want := start{0, 9, []field{{"capabilities.basic.nack", "true"}, {"product", "Broker"}, {"version", "3.10.8"}, {"n", "-1"}, {"v", ""}}, []string{"AMQPLAIN", "PLAIN"}, []string{"en_US"}}
	if d := cmp.Diff(want, s, cmp.AllowUnexported(start{}, field{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	deep := short("x") + "V"
	for range 20 {
		deep = short("t") + "F" + long(deep)
	}
	for name, b := range map[string]string{
		"nothing": "", "another method": "\x00\x0a\x00\x0b\xce", "no end": strings.TrimSuffix(greeting(), "\xce"), "cut": greeting()[:30] + "\xce", "more": strings.TrimSuffix(greeting(), "\xce") + "\x00\xce",
		"unknown type": "\x00\x0a\x00\x0a\x00\x09" + long(short("x")+"?") + long("") + long("") + "\xce", "too deep": "\x00\x0a\x00\x0a\x00\x09" + long(deep) + long("") + long("") + "\xce",
	} {
		if s, err := parseStart([]byte(b)); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestTypes(t *testing.T) {
	all := short("b") + "b\xff" + short("B") + "B\xff" + short("s") + "s\xff\xff" + short("u") + "u\xff\xff" + short("i") + "i\xff\xff\xff\xff" +
		short("l") + "l\xff\xff\xff\xff\xff\xff\xff\xff" + short("T") + "T\x00\x00\x00\x00\x00\x00\x00\x09" + short("f") + "f1234" + short("d") + "d12345678" + short("D") + "D12345" + short("A") + "A" + long("abc") + short("x") + "x" + long("y")
	fields, err := table([]byte(all), "", 0)
	var got []string
	for _, f := range fields {
		got = append(got, f.name+"="+f.value)
	}
	if s := strings.Join(got, " "); s != "b=-1 B=255 s=-1 u=65535 i=4294967295 l=-1 T=9 f=float d=double D=decimal A=array of 3 bytes x=y" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
}

func TestHeads(t *testing.T) {
	for b, want := range map[string]int{"\x01\x00\x00\x00\x00\x01\x00": 257, "\x01\x00\x00\x7f\x00\x01\x00": 0, "\x01\x00\x01\x00\x00\x01\x00": 0, "\x02\x00\x00\x00\x00\x01\x00": 0, "220 mai": 0, "": 0} {
		if n, err := length([]byte(b)); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
	for b, want := range map[string]string{"AMQP\x00\x01\x00\x00": "1.0.0", "AMQP\x03\x01\x00\x00": "1.0.0 over SASL", "AMQP\x00\x00\x09\x01": "0-9-1", "AMQP": "", "amqp\x00\x01\x00\x00": ""} {
		if v, ok := otherVersion([]byte(b)); v != want || ok != (want != "") {
			t.Errorf("%q: %q", b, v)
		}
	}
}

// FuzzParseStart: texts are no longer than what they were read from, but for
// the paths of tables within tables.
func FuzzParseStart(f *testing.F) {
	f.Add([]byte(greeting()))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStart(b)
		if err != nil {
			return
		}
		if len(s.properties) > maxFields*maxDepth || len(s.mechanisms)+len(s.locales) > len(b) {
			t.Errorf("%d properties, %d mechanisms", len(s.properties), len(s.mechanisms))
		}
		for _, p := range s.properties {
			if len(p.name) > 256*(maxDepth+2) || len(p.value) > max(len(b), 24) {
				t.Errorf("%d bytes of name, %d of value", len(p.name), len(p.value))
			}
		}
	})
}
