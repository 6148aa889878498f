package postgres_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/postgres"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestPostgreSQL asks a real server, with TLS, which asks for a password; or
// says that it is still starting, which is an answer like another.
func TestPostgreSQL(t *testing.T) {
	s := server.Start(t, "postgres")
	a := probetest.AskIn(t, s.NS, postgres.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 5432))
	for a.Get("sqlState") == "57P03" {
		a = probetest.AskIn(t, s.NS, postgres.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 5432))
	}
	if !strings.HasPrefix(a.Summary, "PostgreSQL, asks for sasl SCRAM-SHA-256") || a.Get("subject") != "CN=db.example.test" || a.Get("tls") != "yes" || !strings.HasPrefix(a.Get("likely"), "PostgreSQL 11 or later") {
		t.Errorf("%+v", a)
	}
}
