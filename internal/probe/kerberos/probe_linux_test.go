package kerberos_test

import (
	"net/netip"
	"strings"
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
			realm := map[probe.Proto]string{probe.TCP: "EXAMPLE.TEST"}[proto]
			if a.Get("error") != "6 KDC_ERR_C_PRINCIPAL_UNKNOWN" || a.Get("realm") != realm || a.Get("clock skew") == "" || !strings.HasPrefix(a.Get("likely"), "MIT Kerberos") {
				t.Errorf("%v: %+v", proto, a)
			}
		})
	}
}
