package rsync_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/rsync"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestRsync asks a real daemon with one module that it shows, and one that it
// does not.
func TestRsync(t *testing.T) {
	s := server.Start(t, "rsync")
	a := probetest.AskIn(t, s.NS, rsync.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 873))
	if a.Get("modules") != "pub all of it" || a.Get("motd") != "be gentle" || a.Get("error") != "" || a.Get("protocol") == "" {
		t.Errorf("%+v", a)
	}
}
