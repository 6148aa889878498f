package vnc_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/vnc"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestTigerVNC asks a real server.
func TestTigerVNC(t *testing.T) {
	s := server.Start(t, "Xvnc")
	a := probetest.AskIn(t, s.NS, vnc.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 5901))
	if a.Summary != "RFB 3.8, VeNCrypt, VNC Authentication" {
		t.Errorf("%+v", a)
	}
}
