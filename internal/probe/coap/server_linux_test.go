package coap_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/coap"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestLibcoap asks a real server.
func TestLibcoap(t *testing.T) {
	s := server.Start(t, "coap")
	a := probetest.AskIn(t, s.NS, coap.Prober{}, probe.UDP, netip.AddrPortFrom(s.Addr, 5683))
	if !strings.HasPrefix(a.Summary, "CoAP, 2.05 Content, ") || !strings.HasPrefix(a.Get("resources"), "</>") {
		t.Errorf("%+v", a)
	}
}
