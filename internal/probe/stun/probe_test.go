package stun_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/stun"
)

// TestRefused: a server that wants credentials has answered.
func TestRefused(t *testing.T) {
	says := func(q []byte) []byte {
		b := append([]byte{0x01, 0x11, 0, 20}, q[4:20]...)
		return append(b, "\x00\x09\x00\x10\x00\x00\x04\x01Unauthorized"...)
	}
	overTCP := probetest.Serve(t, func(c net.Conn) {
		q := make([]byte, 20)
		_, _ = c.Read(q)
		_, _ = c.Write(says(q))
	})
	overUDP := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{says(q)[:30], says(q)} }) // cut short first
	if a := probetest.Ask(t, stun.Prober{}, probe.TCP, overTCP); a.Summary != "STUN, 401 Unauthorized" {
		t.Errorf("%+v", a)
	}
	if a := probetest.Ask(t, stun.Prober{}, probe.UDP, overUDP); a.Summary != "STUN, 401 Unauthorized" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, stun.Prober{}, probe.TCP)
	probetest.Strangers(t, stun.Prober{}, probe.UDP)
}
