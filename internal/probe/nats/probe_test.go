package nats_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/nats"
)

func TestAuth(t *testing.T) {
	for says, want := range map[string]string{
		`INFO {"version":"2.9.10","auth_required":true}`: "NATS 2.9.10, asks who you are",
		`INFO {"version":"2.9.10","tls_required":true}`:  "NATS 2.9.10",
	} {
		addr := probetest.Serve(t, func(c net.Conn) { _, _ = c.Write([]byte(says + "\r\n")) })
		if a := probetest.Ask(t, nats.Prober{}, probe.TCP, addr); a.Summary != want {
			t.Errorf("%q, want %q", a.Summary, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, nats.Prober{}, probe.TCP)
}
