package dns_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/dns"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks BIND, which refuses recursion, knows its own zone and tells
// its version.
func TestServer(t *testing.T) {
	s := server.Start(t, "named")
	for _, proto := range []probe.Proto{probe.UDP, probe.TCP} {
		s.NS.Do(func() {
			addr := netip.AddrPortFrom(s.Addr, 53)
			a := probetest.Ask(t, dns.Prober{}, proto, addr)
			if a.Get("rcode") != "REFUSED" || !strings.HasPrefix(a.Get("version.bind"), "9.") || a.Get("nsid") != "ns1.example.test" || a.Get("id.server") != "ns1.example.test" {
				t.Errorf("%v: %+v", proto, a)
			}
			a = probetest.Ask(t, dns.Prober{Name: "example.test"}, proto, addr)
			if a.Get("rcode") != "NOERROR" || a.Get("flags") != "AA" || a.Get("answers") != "example.test 60 NS ns.example.test" {
				t.Errorf("%v: %+v", proto, a)
			}
		})
	}
}
