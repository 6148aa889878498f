package filter

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestParseAddr(t *testing.T) {
	c := compiler{testOptions()}
	for in, want := range map[string]string{
		"10.0.0.1":            "10.0.0.1",
		"10.1.2.3/8":          "10.0.0.0/8",
		"10.0.0.1/32":         "10.0.0.1",
		"10.1.*":              "10.1.0.0/16",
		"10.*.*.*":            "10.0.0.0/8",
		"10.0.0.1:443":        "10.0.0.1:443",
		"10.0.0.1:https":      "10.0.0.1:443",
		"10.0.0.1:our-app":    "10.0.0.1:4711",
		"10.0.0.0/8:80-90":    "10.0.0.0/8:80-90",
		"::1":                 "::1",
		"[::1]":               "::1",
		"[::1]:80":            "[::1]:80",
		"fe80::/10":           "fe80::/10",
		"[fe80::/10]:80":      "[fe80::/10]:80",
		"fe80::1%eth0":        "fe80::1",
		"::ffff:10.0.0.1":     "10.0.0.1",
		"::ffff:10.0.0.0/104": "10.0.0.0/8",
		"2001:DB8::5":         "2001:db8::5",
		"*":                   "*",
		"*:80":                "*:80",
		":80":                 "*:80",
		"Loopback":            "loopback",
		"private:22":          "private:22",
		"public":              "public",
		"link-local:mdns":     "link-local:5353",
		"[10.0.0.1]:80":       "10.0.0.1:80",
	} {
		p, err := c.parseAddr(in)
		if err != nil || p.String() != want {
			t.Errorf("%q = %s, %v, want %s", in, p.String(), err, want)
			continue
		}
		again, err := c.parseAddr(p.String())
		if err != nil || again.String() != want {
			t.Errorf("%q is read back as %s, %v", want, again.String(), err)
		}
	}
	for _, in := range []string{"", "[]", "[*]", "[loopback]:80", "10.0.0", "10.0.0.256", "10.0.0.0/33", "::1:99999:", "[::1", "[::1]x", "[::1]:", "10.0.0.1:", "10.0.0.1:99999", "10.0.0.1:nothing", "x.*", "1.2.3.4.*", "host.example"} {
		if p, err := c.parseAddr(in); err == nil {
			t.Errorf("%q = %s, want an error", in, p.String())
		}
	}
}

func TestAddrHas(t *testing.T) {
	c := compiler{testOptions()}
	for _, x := range []struct {
		pattern, end string
		want         bool
	}{
		{"10.0.0.0/8", "10.255.0.1:1", true},
		{"10.0.0.0/8", "11.0.0.1:1", false},
		{"10.0.0.1:80", "10.0.0.1:80", true},
		{"10.0.0.1:80", "10.0.0.1:81", false},
		{"*:80-90", "[::1]:85", true},
		{"fe80::1", "[fe80::1%eth0]:5", true},
		{"::/0", "10.0.0.1:1", false},
		{"0.0.0.0/0", "10.0.0.1:1", true},
		{"loopback", "127.9.9.9:1", true},
		{"shared", "100.64.0.1:1", true},
		{"public", "100.64.0.1:1", false},
		{"public", "8.8.8.8:53", true},
		{"unspecified", "0.0.0.0:80", true},
		{"multicast", "224.0.0.251:5353", true},
	} {
		p, err := c.parseAddr(x.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.has(netip.MustParseAddrPort(x.end)); got != x.want {
			t.Errorf("%s has %s: %v, want %v", x.pattern, x.end, got, x.want)
		}
	}
	any := addrPattern{}
	if any.has(netip.AddrPort{}) {
		t.Error("no address matches any address")
	}
}

// TestScopePrefixes checks that a scope's push-down covers just what it matches,
// for addresses in and around its prefixes.
func TestScopePrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	draw := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{pick[byte](r, 0, 10, 100, 127, 169, 172, 192, 224, 239, 240), pick[byte](r, 0, 15, 16, 31, 32, 63, 64, 128, 168, 254), byte(r.IntN(3)), 0})
		}
		return netip.AddrFrom16([16]byte{pick[byte](r, 0, 0x20, 0xfc, 0xfd, 0xfe, 0xff), pick[byte](r, 0, 0x7f, 0x80, 0xbf, 0xc0), 15: byte(r.IntN(3))})
	}
	for s := scopeLoopback; s < scopePublic; s++ {
		hits := 0
		for range 20_000 {
			a, covered := draw(), false
			for _, p := range s.prefixes() {
				covered = covered || p.Contains(a)
			}
			if covered != s.has(a) {
				t.Fatalf("%s: %s is matched: %v, covered: %v", s, a, s.has(a), covered)
			}
			if covered {
				hits++
			}
		}
		if hits == 0 {
			t.Errorf("%s was not tried", s)
		}
	}
}
