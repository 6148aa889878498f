package quic_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/quic"
)

// TestWhoseAnswer: a negotiation for another's packet is no answer to ours.
func TestWhoseAnswer(t *testing.T) {
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
		dst, src := q[6:14], q[15:23]
		mine := append([]byte{0x80, 0, 0, 0, 0, 8}, src...)
		mine = append(append(mine, 8), dst...)
		mine = append(mine, 0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a)
		stranger := append([]byte{}, mine...)
		stranger[6]++
		stranger[len(stranger)-5] = 9
		return [][]byte{stranger, mine}
	})
	if a := probetest.Ask(t, quic.Prober{}, probe.UDP, addr); a.Summary != "QUIC v1" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, quic.Prober{}, probe.UDP)
}
