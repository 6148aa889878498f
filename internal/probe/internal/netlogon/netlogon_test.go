package netlogon_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/netlogon"
)

// extended is an answer as MS-ADTS section 6.3.1.9 lays it out.
const extended = "\x17\x00\x00\x00\xfd\xf3\x01\x00" + "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff" +
	"\x04corp\x07example\x00" + "\xc0\x18" + "\x03dc1\xc0\x18" + "\x04CORP\x00" + "\x03DC1\x00" + "\x00" + "\x06Berlin\x00" + "\xc0\x3a" +
	"\x05\x00\x00\x00\xff\xff\xff\xff"

// wide writes words in UTF-16, each with its zero.
func wide(words ...string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(strings.Join(words, "\x00") + "\x00")) {
		b.Write([]byte{byte(c), byte(c >> 8)})
	}
	return b.String()
}

func TestDescribe(t *testing.T) {
	field := func(name string, values ...string) probe.Field { return probe.Field{Name: name, Values: values} }
	for name, tt := range map[string]struct {
		in           string
		host, domain string
		want         []probe.Field
	}{
		"extended": {extended, "dc1.corp.example", "CORP", []probe.Field{
			field("DnsForestName", "corp.example"),
			field("DnsDomainName", "corp.example"),
			field("DnsHostName", "dc1.corp.example"),
			field("NetbiosDomainName", "CORP"),
			field("NetbiosComputerName", "DC1"),
			field("DcSiteName", "Berlin"),
			field("ClientSiteName", "Berlin"),
			field("DomainGuid", "00112233-4455-6677-8899-aabbccddeeff"),
			field("Flags", "PDC", "GC", "LDAP", "DS", "KDC", "TIMESERV", "CLOSEST", "WRITABLE", "GOOD_TIMESERV", "FULL_SECRET_DOMAIN_6", "WS", "DS_8", "DS_9", "DS_10"),
		}},
		"paused": {"\x18" + extended[1:4] + "\x00\x00\x00\x00" + extended[8:24] + strings.Repeat("\x00", 16), "", "", []probe.Field{
			field("DomainGuid", "00112233-4455-6677-8899-aabbccddeeff"),
			field("state", "paused"),
		}},
		"old": {"\x13\x00" + wide(`\\DC1`, "", "CORP") + "\x01\x00\x00\x00\xff\xff\xff\xff", "DC1", "CORP", []probe.Field{
			field("NetbiosDomainName", "CORP"),
			field("NetbiosComputerName", "DC1"),
		}},
		"old, an account unknown, and paused": {"\x14\x00" + wide(`\\DÄ1`, "guest", "CORP"), "DÄ1", "CORP", []probe.Field{
			field("NetbiosDomainName", "CORP"),
			field("NetbiosComputerName", "DÄ1"),
			field("UserName", "guest"),
			field("state", "paused"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := netlogon.ParseMailslot([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			a := &probe.Answer{}
			l.Describe(a)
			if d := cmp.Diff(tt.want, a.Fields); d != "" || l.Host() != tt.host || l.Domain() != tt.domain {
				t.Errorf("host %q of %q: %s", l.Host(), l.Domain(), d)
			}
		})
	}
	if l, err := netlogon.Parse([]byte(extended)); err != nil || l.Site() != "Berlin" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestNoAnswer(t *testing.T) {
	old := "\x13\x00" + wide(`\\DC1`, "", "CORP")
	bad := map[string]string{"another operation": "\x12" + extended[1:], "no server": "\x13\x00" + wide(`\\`, "", "CORP"), "a name that runs in a circle": extended[:24] + strings.Repeat("\xc0\x18", 8)}
	for n := range 50 {
		bad["extended, cut to "+string(rune('0'+n))] = extended[:n]
	}
	for n := range len(old) {
		bad["old, cut to "+string(rune('0'+n))] = old[:n]
	}
	for name, in := range bad {
		if l, err := netlogon.ParseMailslot([]byte(in)); !errors.Is(err, netlogon.Err) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	if _, err := netlogon.Parse([]byte(old)); !errors.Is(err, netlogon.Err) {
		t.Errorf("the old form is taken over LDAP: %v", err)
	}
}

// TestRequest: as MS-ADTS section 6.3.1.6 lays it out.
func TestRequest(t *testing.T) {
	want := "\x12\x00\x00\x00" + "P\x00R\x00\x00\x00" + "\x00\x00" + `\MAILSLOT\X` + "\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x07\x00\x00\x00" + "\xff\xff\xff\xff"
	if got := string(netlogon.Request("PR", `\MAILSLOT\X`)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzParse: an answer that is taken names itself or its domain's id, in no more
// than was sent; over LDAP nothing is taken that a mailslot would not bring.
func FuzzParse(f *testing.F) {
	f.Add([]byte(extended))
	f.Add([]byte("\x17\x00\x00\x00\xfd\xf3\x01\x00" + extended[8:24] + "\x01a\x00\xc0\x18\xc0\x18\xc0\x18\xc0\x18\x00\x00\x00"))
	f.Add([]byte("\x13\x00" + wide(`\\DC1`, "u", "CORP")))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := netlogon.ParseMailslot(b)
		if _, over := netlogon.Parse(b); over == nil && err != nil {
			t.Fatalf("%x is taken over LDAP alone", b)
		}
		if err != nil {
			return
		}
		a := &probe.Answer{}
		l.Describe(a)
		if len(a.Get("DomainGuid")) != 36 && l.Host() == "" {
			t.Fatalf("%x gives %+v", b, a)
		}
		for f := range slices.Values(a.Fields) {
			if f.Name != "Flags" && f.Name != "DomainGuid" && len(f.Values[0]) > 4*255+4*len(b) {
				t.Fatalf("%x has a %s of %d bytes", b, f.Name, len(f.Values[0]))
			}
		}
	})
}
