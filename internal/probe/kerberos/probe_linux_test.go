package kerberos_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/kerberos"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks MIT's key distribution centre; Samba's is asked in probe/all,
// with its password server.
func TestServer(t *testing.T) {
	s := server.Start(t, "krb5kdc")
	for _, proto := range []probe.Proto{probe.UDP, probe.TCP} {
		s.NS.Do(func() {
			a := probetest.Ask(t, kerberos.Prober{}, proto, netip.AddrPortFrom(s.Addr, 88))
			if a.Get("error") != "6 KDC_ERR_C_PRINCIPAL_UNKNOWN" || a.Get("realm") != "" || a.Get("clock skew") == "" {
				t.Errorf("%v: %+v", proto, a)
			}
		})
	}
}
