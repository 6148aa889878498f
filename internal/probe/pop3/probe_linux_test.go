package pop3_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/pop3"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks Dovecot.
func TestServer(t *testing.T) {
	s := server.Start(t, "dovecot")
	s.NS.Do(func() {
		a := probetest.Ask(t, pop3.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 110))
		if a.Get("greeting") != "+OK Dovecot (Debian) ready." || a.Summary != "Dovecot (Debian) ready." {
			t.Errorf("%+v", a)
		}
		if i := slices.IndexFunc(a.Fields, func(f probe.Field) bool { return f.Name == "capabilities" }); i < 0 || !slices.Contains(a.Fields[i].Values, "UIDL") {
			t.Errorf("capabilities of %+v", a)
		}
	})
}
