package mdns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe/internal/dnsname"
)

const reverse = "1.2.0.192.in-addr.arpa"

// ptr is one record of an answer.
func ptr(owner, target string) string {
	rdata := string(dnsname.Append(nil, target))
	return string(dnsname.Append(nil, owner)) + "\x00\x0c\x80\x01\x00\x00\x00\x0a\x00" + string([]byte{byte(len(rdata))}) + rdata
}

func TestParse(t *testing.T) {
	b := "\x12\x34\x84\x00\x00\x01\x00\x04\x00\x00\x00\x00" + string(request(0x1234, reverse)[12:12+30+4]) +
		ptr(services, "_ipp._tcp.local") + "\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x0a\x00\x02\xc0\x56" + ptr("1.2.0.192.IN-ADDR.arpa", "printer.local") + ptr("other.local", "x.local")
	got, err := parse([]byte(b), 0x1234, reverse)
	if d := cmp.Diff([]string{"printer.local"}, got.names); d != "" || err != nil || len(got.services) != 2 || got.services[0] != "_ipp._tcp.local" {
		t.Errorf("%v %+v", err, got)
	}
	for name, b := range map[string]string{"nothing": "", "another id": "\x12\x35" + b[2:], "a question": string(request(0x1234, reverse)), "cut": b[:60], "refused": "\x12\x34\x84\x05" + b[4:], "not authoritative": "\x12\x34\x80\x00" + b[4:], "empty": "\x12\x34\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00", "points nowhere": b[:12] + "\xff\xff"} {
		if got, err := parse([]byte(b), 0x1234, reverse); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestReverseName(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": reverse, "255.10.0.9": "9.0.10.255.in-addr.arpa", "::ffff:192.0.2.1": reverse,
		"2001:db8::1":  "1." + strings.Repeat("0.", 23) + "8.b.d.0.1.0.0.2.ip6.arpa",
		"fe80::1%eth0": "1." + strings.Repeat("0.", 28) + "8.e.f.ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

// FuzzParse: each name takes a record of eleven bytes at least.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x12\x34\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00" + ptr(services, "_ipp._tcp.local")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b, 0x1234, reverse)
		if n := len(got.services) + len(got.names); err == nil && (n > maxList || 11*n > len(b)) {
			t.Errorf("%d names in %d bytes", n, len(b))
		}
	})
}
