package mdns_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mdns"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestAvahi asks a real responder, which first makes sure for a second or two
// that its name is nobody else's.
func TestAvahi(t *testing.T) {
	s := server.Start(t, "avahi")
	ask := func() *probe.Answer {
		return probetest.AskIn(t, s.NS, mdns.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 5353))
	}
	patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a := ask()
	for patience.Err() == nil && len(a.Fields) < 2 { // its services come after its name
		a = ask()
	}
	if a.Summary != "mDNS, printer.local, _workstation._tcp" || a.Get("names") != "printer.local" {
		t.Errorf("%+v", a)
	}
}
