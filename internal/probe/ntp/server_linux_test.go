package ntp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ntp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestChrony asks a real server that has this machine's own clock.
func TestChrony(t *testing.T) {
	s := server.Start(t, "chronyd")
	a := probetest.AskIn(t, s.NS, ntp.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 123))
	if !strings.HasPrefix(a.Summary, "NTPv4, stratum 8, ") || a.Get("leap") != "none" {
		t.Errorf("%+v", a)
	}
	if d, err := time.ParseDuration(a.Get("offset")); err != nil || d.Abs() > time.Second {
		t.Errorf("offset %v, %v", d, err)
	}
}
