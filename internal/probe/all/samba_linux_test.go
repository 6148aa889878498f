package all_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/dns"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/kerberos"
	"github.com/portreporter/portreporter/internal/probe/ldap"
	"github.com/portreporter/portreporter/internal/probe/netbios"
	"github.com/portreporter/portreporter/internal/probe/rpc"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestDomainController asks Samba's directory domain controller all that a
// domain's clients do. It takes five seconds to provision, so the probers that
// need one share it here.
func TestDomainController(t *testing.T) {
	s := server.Start(t, "samba")
	for _, tt := range []struct {
		name  string
		p     probe.Prober
		proto probe.Proto
		port  uint16
		want  map[string]string // fields, by the start of their first value
	}{
		{"ldap", ldap.Prober{}, probe.TCP, 389, map[string]string{"dnsHostName": "dc1.ad.example.test", "defaultNamingContext": "DC=ad,DC=example,DC=test", "isGlobalCatalogReady": "TRUE"}},
		{"gc", ldap.Prober{}, probe.TCP, 3268, map[string]string{"dnsHostName": "dc1.ad.example.test"}},
		{"ldaps", ldap.Secure{}, probe.TCP, 636, map[string]string{"dnsHostName": "dc1.ad.example.test", "protocol": "TLS 1."}},
		{"gc over tls", ldap.Prober{}, probe.TCP, 3269, map[string]string{"dnsHostName": "dc1.ad.example.test", "protocol": "TLS 1."}},
		{"ldap over udp", ldap.Prober{}, probe.UDP, 389, map[string]string{"dnsHostName": "dc1.ad.example.test", "DnsForestName": "ad.example.test", "NetbiosDomainName": "EXAMPLE", "DcSiteName": "Default-First-Site-Name", "Flags": "PDC"}},
		{"kerberos", kerberos.Prober{}, probe.TCP, 88, map[string]string{"error": "6 KDC_ERR_C_PRINCIPAL_UNKNOWN", "text": "No client in request"}},
		{"kerberos over udp", kerberos.Prober{}, probe.UDP, 88, map[string]string{"error": "6 KDC_ERR_C_PRINCIPAL_UNKNOWN", "text": "No client in request"}},
		{"kpasswd", kerberos.Prober{}, probe.TCP, 464, map[string]string{"error": "2", "realm": "AD.EXAMPLE.TEST", "service": "kadmin/changepw"}},
		{"kpasswd over udp", kerberos.Prober{}, probe.UDP, 464, map[string]string{"error": "2", "realm": "AD.EXAMPLE.TEST", "service": "kadmin/changepw"}},
		{"adapter status", netbios.Prober{}, probe.UDP, 137, map[string]string{"names": ""}},
		{"session", netbios.Prober{}, probe.TCP, 139, map[string]string{"session": "accepted", "dialects": "SMB 3.1.1", "serverName": "dc1", "likely": "Samba"}},
		{"dns", dns.Prober{Name: "ad.example.test"}, probe.UDP, 53, map[string]string{"rcode": "NOERROR", "flags": "AA"}},
		{"dns, the root", dns.Prober{}, probe.UDP, 53, map[string]string{"question": "localhost"}},
		{"dns over tcp", dns.Prober{Name: "ad.example.test"}, probe.TCP, 53, map[string]string{"rcode": "NOERROR", "answers": "ad.example.test"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.NS.Do(func() {
				a := probetest.Ask(t, tt.p, tt.proto, netip.AddrPortFrom(s.Addr, tt.port))
				for name, want := range tt.want {
					if got := a.Get(name); got == "" || !strings.HasPrefix(got, want) {
						t.Errorf("%s is %q, want %q: %+v", name, got, want, a)
					}
				}
			})
		})
	}
	t.Run("netlogon", func(t *testing.T) {
		named(t, s)
		s.NS.Do(func() {
			controller(t, probetest.Ask(t, netbios.Netlogon{}, probe.UDP, netip.AddrPortFrom(s.Addr, 138)))
		})
	})
	t.Run("rpc", func(t *testing.T) {
		s.NS.Do(func() { endpoints(t, probetest.Ask(t, rpc.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 135))) })
	})
}

// named waits until the server has its domain's names: Samba takes them two
// seconds after it has bound the port.
func named(t *testing.T, s *server.Server) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-poll.C {
		var names string
		s.NS.Do(func() {
			a := probetest.Ask(t, netbios.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 137))
			names = strings.Join(a.Fields[0].Values, ",")
		})
		if strings.Contains(names, "<1c>") {
			return
		}
	}
	t.Fatal("no domain among its names")
}

func controller(t *testing.T, a *probe.Answer) {
	t.Helper()
	for name, want := range map[string]string{"DnsHostName": "dc1.ad.example.test", "DnsForestName": "ad.example.test", "NetbiosDomainName": "EXAMPLE",
		"NetbiosComputerName": "DC1", "DcSiteName": "Default-First-Site-Name", "Flags": "PDC"} {
		if got := a.Get(name); got != want {
			t.Errorf("%s is %q, want %q: %+v", name, got, want, a)
		}
	}
	if a.Summary != "dc1.ad.example.test of EXAMPLE, site Default-First-Site-Name" {
		t.Error(a.Summary)
	}
}

// endpoints looks for all that the mapper has: a first lookup alone gives part.
func endpoints(t *testing.T, a *probe.Answer) {
	t.Helper()
	var uuids, bindings []string
	for _, f := range a.Fields {
		switch f.Name {
		case "UUID":
			uuids = append(uuids, f.Values...)
		case "binding":
			bindings = append(bindings, f.Values...)
		}
	}
	if len(uuids) < 40 || len(bindings) != len(uuids) || a.Get("incomplete") != "" {
		t.Errorf("%d endpoints, %d bindings: %s", len(uuids), len(bindings), a.Summary)
	}
	for _, want := range []string{"12345778-1234-abcd-ef00-0123456789ac", "e3514235-4b06-11d1-ab04-00c04fc2dcd2", "12345678-1234-abcd-ef00-01234567cffb"} {
		if !slices.Contains(uuids, want) {
			t.Errorf("no %s among %q", want, uuids)
		}
	}
	if !slices.ContainsFunc(bindings, func(b string) bool { return strings.HasPrefix(b, "ncacn_ip_tcp:") }) ||
		!slices.ContainsFunc(bindings, func(b string) bool { return strings.HasPrefix(b, `ncacn_np:[\pipe\`) }) {
		t.Errorf("bindings %q", bindings)
	}
}
