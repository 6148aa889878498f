package isakmp_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/isakmp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks strongSwan's charon, which has no connection to offer and
// says so, at both ports.
func TestServer(t *testing.T) {
	s := server.Start(t, "charon")
	for _, port := range []uint16{500, 4500} {
		s.NS.Do(func() {
			a := probetest.Ask(t, isakmp.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, port))
			if a.Get("IKEv1") != "notified NO-PROPOSAL-CHOSEN (14)" || a.Get("IKEv2") != "notified NO_PROPOSAL_CHOSEN (14)" {
				t.Errorf("port %d: %+v", port, a)
			}
		})
	}
}
