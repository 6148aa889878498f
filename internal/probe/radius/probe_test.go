package radius_test

import (
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/radius"
)

// TestUnsigned: an answer that anybody could have sent says so.
func TestUnsigned(t *testing.T) {
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{append([]byte{5, q[1], 0, 20}, make([]byte, 16)...)} })
	a := probetest.Ask(t, radius.Prober{Secret: "x"}, probe.UDP, addr)
	if a.Summary != "RADIUS, Accounting-Response, not signed with our secret" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, radius.Prober{}, probe.UDP)
}
