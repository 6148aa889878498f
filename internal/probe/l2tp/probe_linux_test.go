package l2tp_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/l2tp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks xl2tpd.
func TestServer(t *testing.T) {
	s := server.Start(t, "xl2tpd")
	s.NS.Do(func() {
		a := probetest.Ask(t, l2tp.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 1701))
		if a.Get("answer") != "SCCRP" || a.Get("vendorName") != "xelerance.com" || a.Get("firmware") != "0x0690" || a.Get("hostName") == "" {
			t.Errorf("%+v", a)
		}
	})
}
