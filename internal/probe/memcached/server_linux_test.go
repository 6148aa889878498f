package memcached_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/memcached"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestMemcached asks a real server by both transports.
func TestMemcached(t *testing.T) {
	s := server.Start(t, "memcached")
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		a := probetest.AskIn(t, s.NS, memcached.Prober{}, proto, netip.AddrPortFrom(s.Addr, 11211))
		if !strings.HasPrefix(a.Summary, "memcached 1.") || (a.Get("uptime") != "") != (proto == probe.TCP) {
			t.Errorf("%v: %+v", proto, a)
		}
	}
}
