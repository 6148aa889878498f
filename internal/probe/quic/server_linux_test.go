package quic_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/quic"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestCaddy asks a real server of HTTP/3.
func TestCaddy(t *testing.T) {
	s := server.Start(t, "caddy")
	a := probetest.AskIn(t, s.NS, quic.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 8443))
	if !strings.HasPrefix(a.Summary, "QUIC ") || !strings.Contains(a.Summary, "v1") {
		t.Errorf("%+v", a)
	}
}
