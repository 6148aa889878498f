package ssdp_test

import (
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ssdp"
)

// TestDevice asks a device written from UPnP Device Architecture 2.0, section
// 1.3.3: Debian's minissdpd has no device of its own to tell of.
func TestDevice(t *testing.T) {
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
		if !strings.HasPrefix(string(q), "M-SEARCH * HTTP/1.1\r\n") || !strings.Contains(string(q), "Man: \"ssdp:discover\"") {
			return nil
		}
		return [][]byte{[]byte("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\nServer: Example/2\r\n\r\n")}
	})
	if a := probetest.Ask(t, ssdp.Prober{}, probe.UDP, addr); a.Summary != "UPnP device, Example/2" || a.Get("usn") != "uuid:1::upnp:rootdevice" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, ssdp.Prober{}, probe.UDP)
}
