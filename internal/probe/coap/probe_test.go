package coap_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/coap"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// TestKinds: devices that reset, and that know no such resource.
func TestKinds(t *testing.T) {
	for want, says := range map[string]func([]byte) []byte{
		"CoAP, reset":          func(q []byte) []byte { return []byte{0x70, 0, q[2], q[3]} },
		"CoAP, 4.04 Not Found": func(q []byte) []byte { return append([]byte{0x64, 0x84, q[2], q[3]}, q[4:8]...) },
	} {
		addr := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{says(q)} })
		if a := probetest.Ask(t, coap.Prober{}, probe.UDP, addr); a.Summary != want {
			t.Errorf("%+v, want %q", a, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, coap.Prober{}, probe.UDP)
}
