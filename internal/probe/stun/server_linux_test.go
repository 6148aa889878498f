package stun_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/stun"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestCoturn asks a real server by both transports.
func TestCoturn(t *testing.T) {
	s := server.Start(t, "turnserver")
	for _, proto := range []probe.Proto{probe.UDP, probe.TCP} {
		a := probetest.AskIn(t, s.NS, stun.Prober{}, proto, netip.AddrPortFrom(s.Addr, 3478))
		if !strings.HasPrefix(a.Get("mappedAddress"), "127.0.0.1:") || !strings.HasPrefix(a.Get("software"), "Coturn") {
			t.Errorf("%v: %+v", proto, a)
		}
	}
}
