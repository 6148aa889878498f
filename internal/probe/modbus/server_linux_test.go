package modbus_test

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/modbus"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestPymodbus asks a real server.
func TestPymodbus(t *testing.T) {
	s := server.Start(t, "modbus")
	a := probetest.AskIn(t, s.NS, modbus.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 502))
	if a.Summary != "Modbus, Example, PLC-7, 1.2" || a.Get("VendorName") != "Example" {
		t.Errorf("%+v", a)
	}
}
