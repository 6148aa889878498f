package rdp_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/rdp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestXrdp asks a real server, which takes TLS and has a certificate.
func TestXrdp(t *testing.T) {
	s := server.Start(t, "xrdp")
	a := probetest.AskIn(t, s.NS, rdp.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 3389))
	if !strings.HasPrefix(a.Summary, "RDP, TLS, TLS 1.") || a.Get("subject") != "CN=desk.example.test" || !strings.HasPrefix(a.Get("likely"), "xrdp") {
		t.Errorf("%+v", a)
	}
}
