package nats_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/nats"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestNATS asks a real server.
func TestNATS(t *testing.T) {
	s := server.Start(t, "nats")
	a := probetest.AskIn(t, s.NS, nats.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 4222))
	if !strings.HasPrefix(a.Summary, "NATS 2.") || !strings.HasSuffix(a.Summary, ", open to anyone") || a.Get("server_name") != "hub" {
		t.Errorf("%+v", a)
	}
}
