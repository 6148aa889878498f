package probe

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names is a resolver of a test's own.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	texts, ok := n[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var as []netip.Addr
	for _, t := range texts {
		as = append(as, netip.MustParseAddr(t))
	}
	return as, nil
}

// written is a list of hosts as text: names, "=" and the addresses.
func written(hosts []Host) string {
	var b strings.Builder
	for _, h := range hosts {
		b.WriteString(h.Name + "=")
		for i, a := range h.Addrs {
			if i > 0 {
				b.WriteString("+")
			}
			b.WriteString(a.String())
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

func TestResolve(t *testing.T) {
	dns := names{"web": {"192.0.2.1", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"}, "a-b.example.com": {"192.0.2.7"}, "empty": nil}
	for list, want := range map[string]string{
		"web":                           "web=192.0.2.1+2001:db8::1",
		"a-b.example.com.":              "a-b.example.com.=192.0.2.7",
		"192.0.2.9, web":                "192.0.2.9=192.0.2.9 web=192.0.2.1+2001:db8::1",
		"[2001:db8::7]":                 "[2001:db8::7]=2001:db8::7",
		"::ffff:192.0.2.3":              "::ffff:192.0.2.3=192.0.2.3",
		"fe80::1%eth0":                  "fe80::1%eth0=fe80::1%eth0",
		"192.0.2.5/30":                  "=192.0.2.4 =192.0.2.5 =192.0.2.6 =192.0.2.7",
		"2001:db8::/127":                "=2001:db8:: =2001:db8::1",
		"192.0.2.7/32":                  "192.0.2.7/32=192.0.2.7",
		"192.0.2.254-192.0.3.1":         "=192.0.2.254 =192.0.2.255 =192.0.3.0 =192.0.3.1",
		"192.0.2.10-12":                 "=192.0.2.10 =192.0.2.11 =192.0.2.12",
		"2001:db8::1-2001:db8::2":       "=2001:db8::1 =2001:db8::2",
		"255.255.255.254-255":           "=255.255.255.254 =255.255.255.255",
		"192.0.2.0/20":                  "4096 hosts",
		"192.0.0.0/19":                  "8192 targets are more than 4096: that must be allowed",
		"192.0.2.0/20,192.0.2.1":        "1 targets are more than 4096: that must be allowed",
		"::/0":                          "an unbounded number of targets are more than 4096: that must be allowed",
		"::-ffff:ffff:ffff:ffff::":      "an unbounded number of targets are more than 4096: that must be allowed",
		"192.0.2.9-8":                   `range "192.0.2.9-8": want two addresses, the lower one first`,
		"192.0.2.9-2001:db8::1":         `range "192.0.2.9-2001:db8::1": want two addresses, the lower one first`,
		"192.0.2.9-":                    `range "192.0.2.9-": want two addresses, the lower one first`,
		"web/24":                        `network "web/24": want an address and a number of bits, such as 192.0.2.0/24`,
		"192.0.2.0/33":                  `network "192.0.2.0/33": want an address and a number of bits, such as 192.0.2.0/24`,
		"nowhere":                       `resolve "nowhere": no such host`,
		"empty":                         `resolve "empty": it has no address`,
		" , ":                           `no host in " , "`,
		strings.Repeat("a", 300) + "-1": `resolve "` + strings.Repeat("a", 300) + `-1": no such host`,
	} {
		hosts, err := Resolve(t.Context(), dns, list, 0)
		got := written(hosts)
		if len(hosts) > 100 {
			got = "4096 hosts"
		}
		if err != nil {
			got = err.Error()
		}
		if len(hosts) > 100 && len(hosts) != 4096 || got != want {
			t.Errorf("%q (%d hosts):\n got %s\nwant %s", list, len(hosts), got, want)
		}
	}
}

// FuzzResolve: no text is more hosts than allowed, or anything but an address.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1-9", "::/0", "a,b", "[::1]", "1-2", "fe80::1%eth0-9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := Resolve(t.Context(), names{}, list, 100)
		if err != nil && hosts != nil || len(hosts) > 100 {
			t.Fatalf("%d hosts, %v", len(hosts), err)
		}
		for _, h := range hosts {
			if len(h.Addrs) != 1 || !h.Addrs[0].IsValid() || h.Addrs[0].Is4In6() {
				t.Fatalf("%q: %v", list, h)
			}
		}
	})
}

func TestTargets(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	hosts := []Host{{Name: "web", Addrs: []netip.Addr{a, b}}, {Addrs: []netip.Addr{a}}}
	ports := []Port{{TCP, 80, "http"}, {UDP, 53, ""}}
	seq, err := Targets(hosts, ports, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{
		{Host: "web", Addr: a, Proto: TCP, Port: 80, Service: "http"},
		{Host: "web", Addr: b, Proto: TCP, Port: 80, Service: "http"},
		{Addr: a, Proto: TCP, Port: 80, Service: "http"},
		{Host: "web", Addr: a, Proto: UDP, Port: 53},
		{Host: "web", Addr: b, Proto: UDP, Port: 53},
		{Addr: a, Proto: UDP, Port: 53},
	}
	if diff := cmp.Diff(want, slices.Collect(seq), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for range seq { // it may be left early
		break
	}
	for limit, ok := range map[int]bool{5: false, 6: true, 0: true, -1: true} {
		_, err := Targets(hosts, ports, limit)
		var many *TooManyError
		if (err == nil) != ok || err != nil && (!errors.As(err, &many) || many.Count != 6 || many.Limit != 5) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	if _, err := Targets(hosts, make([]Port, math.MaxUint16), 0); err == nil {
		t.Error("196,605 targets are allowed")
	}
}
