package ldap_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ldap"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks OpenLDAP's slapd; Samba's directory is asked in probe/all.
func TestServer(t *testing.T) {
	s := server.Start(t, "slapd")
	s.NS.Do(func() {
		a := probetest.Ask(t, ldap.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 389))
		if a.Get("namingContexts") != "dc=example,dc=test" || a.Get("supportedLDAPVersion") != "3" || a.Get("structuralObjectClass") != "OpenLDAProotDSE" || !strings.HasPrefix(a.Get("likely"), "OpenLDAP") || a.Summary != "dc=example,dc=test" {
			t.Errorf("%+v", a)
		}
	})
}
