package imap_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/imap"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks Dovecot.
func TestServer(t *testing.T) {
	s := server.Start(t, "dovecot")
	s.NS.Do(func() {
		a := probetest.Ask(t, imap.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 143))
		if a.Get("greeting") != "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot (Debian) ready." || a.Summary != "Dovecot (Debian) ready." {
			t.Errorf("%+v", a)
		}
		if i := slices.IndexFunc(a.Fields, func(f probe.Field) bool { return f.Name == "capabilities" }); i < 0 || !slices.Contains(a.Fields[i].Values, "AUTH=PLAIN") {
			t.Errorf("capabilities of %+v", a)
		}
	})
}
