package mqtt_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mqtt"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestMosquitto asks a real broker that lets anybody in.
func TestMosquitto(t *testing.T) {
	s := server.Start(t, "mosquitto")
	a := probetest.AskIn(t, s.NS, mqtt.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 1883))
	if !strings.HasPrefix(a.Summary, "MQTT 3.1.1 and 5, accepted, mosquitto version ") || !strings.HasPrefix(a.Get("$SYS/broker/version"), "mosquitto version ") || a.Get("topicAliasMaximum") == "" {
		t.Errorf("%+v", a)
	}
}
