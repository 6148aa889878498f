package snmp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/snmp"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServer asks Net-SNMP's agent, with its community and with a wrong one.
func TestServer(t *testing.T) {
	s := server.Start(t, "snmpd")
	addr := netip.AddrPortFrom(s.Addr, 161)
	s.NS.Do(func() {
		a := probetest.Ask(t, snmp.Prober{}, probe.UDP, addr)
		if a.Get("sysName") != "switch7" || a.Get("sysLocation") != "row 4" || !strings.HasPrefix(a.Get("engineID"), "80001f88") || a.Get("enterprise") != "8072 net-snmp" || !slices.Equal(a.Fields[0].Values, []string{"1", "2c", "3"}) {
			t.Errorf("%+v", a)
		}
	})
	s.NS.Do(func() {
		d := probetest.Dialer{Addr: addr, Timeout: 200 * time.Millisecond}
		a, err := snmp.Prober{Community: "wrong"}.Ask(t.Context(), d, probe.Target{Addr: s.Addr, Proto: probe.UDP, Port: 161})
		if err != nil || a.Get("versions") != "3" || a.Get("sysDescr") != "" {
			t.Errorf("a wrong community: %+v, %v", a, err)
		}
	})
}
