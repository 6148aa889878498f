package tftp_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/tftp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks tftpd-hpa, which answers from a port of its choice.
func TestServer(t *testing.T) {
	s := server.Start(t, "tftpd")
	s.NS.Do(func() {
		a := probetest.Ask(t, tftp.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 69))
		if a.Get("error") != "1 File not found" || a.Get("from port") == "69" {
			t.Errorf("%+v", a)
		}
	})
}
