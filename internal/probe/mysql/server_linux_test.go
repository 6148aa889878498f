package mysql_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mysql"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestMariaDB asks a real server, far more often than the three errors after
// which it locks a host out (max-connect-errors of the recipe). Another host,
// which breaks off, shows that the server does so.
func TestMariaDB(t *testing.T) {
	s := server.Start(t, "mariadbd")
	rude, polite := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	s.NS.Do(func() {
		for _, a := range []netip.Addr{rude, polite} {
			if err := netconf.AddAddr("lo", netip.PrefixFrom(a, 32)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for range 5 {
		c, err := probetest.Dialer{Addr: netip.AddrPortFrom(rude, 3306), NS: s.NS}.TCP(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 200))
		_, _ = c.Write([]byte("\x01\x00\x00\x01?"))
		_, _ = c.Read(make([]byte, 200))
		c.Close()
	}
	if a := probetest.AskIn(t, s.NS, mysql.Prober{}, probe.TCP, netip.AddrPortFrom(rude, 3306)); a.Get("errorCode") != "1129" {
		t.Errorf("who breaks off is not locked out, so that the rest shows nothing: %+v", a)
	}
	for range 10 {
		a := probetest.AskIn(t, s.NS, mysql.Prober{}, probe.TCP, netip.AddrPortFrom(polite, 3306))
		if !strings.Contains(a.Summary, "-MariaDB") || a.Get("error") != "" || a.Get("message") == "" || a.Get("subject") != "CN=shop.example.test" {
			t.Fatalf("%+v", a)
		}
	}
}
