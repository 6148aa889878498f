package smtp_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/smtp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks Postfix.
func TestServer(t *testing.T) {
	s := server.Start(t, "postfix")
	s.NS.Do(func() {
		a := probetest.Ask(t, smtp.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 25))
		if a.Get("name") != "mail.example.test" || a.Summary != "mail.example.test ESMTP Postfix" || a.Get("greeting") != "220 "+a.Summary {
			t.Errorf("%+v", a)
		}
		i := slices.IndexFunc(a.Fields, func(f probe.Field) bool { return f.Name == "extensions" })
		if i < 0 || !slices.Contains(a.Fields[i].Values, "8BITMIME") {
			t.Errorf("extensions of %+v", a)
		}
	})
}
