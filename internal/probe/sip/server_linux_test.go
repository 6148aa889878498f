package sip_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/sip"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestKamailio asks a real proxy by both transports.
func TestKamailio(t *testing.T) {
	s := server.Start(t, "kamailio")
	for _, proto := range []probe.Proto{probe.UDP, probe.TCP} {
		a := probetest.AskIn(t, s.NS, sip.Prober{}, proto, netip.AddrPortFrom(s.Addr, 5060))
		if a.Summary != "SIP, 200 Keepalive, exchange of the test" {
			t.Errorf("%v: %+v", proto, a)
		}
	}
}
