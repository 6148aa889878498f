package radius_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/radius"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestFreeRADIUS asks a real server: with the secret that Debian gives to
// clients of this host, and with another, with which it turns a login away and is
// silent otherwise.
func TestFreeRADIUS(t *testing.T) {
	s := server.Start(t, "freeradius")
	for port, want := range map[uint16]string{1812: "RADIUS, Access-Accept", 1813: "RADIUS, Accounting-Response"} {
		a := probetest.AskIn(t, s.NS, radius.Prober{Secret: "testing123"}, probe.UDP, netip.AddrPortFrom(s.Addr, port))
		if a.Summary != want {
			t.Errorf("%d: %+v", port, a)
		}
	}
	a := probetest.AskIn(t, s.NS, radius.Prober{Secret: "guess"}, probe.UDP, netip.AddrPortFrom(s.Addr, 1812))
	if a.Summary != "RADIUS, Access-Reject, not signed with our secret" {
		t.Errorf("a login with a wrong secret: %+v", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	d := probetest.Dialer{Addr: netip.AddrPortFrom(s.Addr, 1813), NS: s.NS, Timeout: 200 * time.Millisecond}
	if a, err := (radius.Prober{Secret: "guess"}).Ask(ctx, d, probe.Target{}); err == nil || errors.Is(err, probe.ErrProtocol) {
		t.Errorf("a wrong secret: %+v, %v", a, err)
	}
}
