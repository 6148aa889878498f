package modbus_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/modbus"
)

// TestException: most devices know no identification, and say so.
func TestException(t *testing.T) {
	addr := probetest.Serve(t, func(c net.Conn) {
		b := make([]byte, 20)
		_, _ = c.Read(b)
		_, _ = c.Write([]byte{b[0], b[1], 0, 0, 0, 3, b[6], 0xab, 1})
	})
	if a := probetest.Ask(t, modbus.Prober{}, probe.TCP, addr); a.Summary != "Modbus, ILLEGAL FUNCTION" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, modbus.Prober{}, probe.TCP)
}
