package ftp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/ftp"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks vsftpd, which lets anonymous in.
func TestServer(t *testing.T) {
	s := server.Start(t, "vsftpd")
	s.NS.Do(func() {
		a := probetest.Ask(t, ftp.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 21))
		if a.Get("greeting") != "220 ready" || a.Get("anonymous login") != "password asked" || !strings.HasPrefix(a.Get("likely"), "vsftpd") || a.Summary != "ready; anonymous: password asked" {
			t.Errorf("%+v", a)
		}
		i := slices.IndexFunc(a.Fields, func(f probe.Field) bool { return f.Name == "features" })
		if i < 0 || !slices.Contains(a.Fields[i].Values, "EPSV") {
			t.Errorf("features of %+v", a)
		}
	})
}
