package ntp_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ntp"
)

// TestForged: an answer that does not hold the question's number is not taken.
func TestForged(t *testing.T) {
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
		forged, real := make([]byte, 48), make([]byte, 48)
		forged[0], forged[1] = 4<<3|4, 1
		real[0], real[1] = 4<<3|4, 5
		copy(real[24:], q[40:])
		return [][]byte{forged, real}
	})
	if a := probetest.Ask(t, ntp.Prober{}, probe.UDP, addr); a.Get("stratum") != "5" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, ntp.Prober{}, probe.UDP)
}
