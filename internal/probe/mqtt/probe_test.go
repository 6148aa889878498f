package mqtt_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mqtt"
)

// TestVersions: servers that know one version only refuse the other in its own
// manner, or by hanging up (MQTT 3.1.1 section 3.1.2.2).
func TestVersions(t *testing.T) {
	for _, tt := range []struct{ to3, to5, want string }{
		{"\x20\x02\x00\x00", "\x20\x02\x00\x01", "MQTT 3.1.1, accepted"},
		{"\x20\x02\x00\x05", "", "MQTT 3.1.1, not authorized"},
		{"\x20\x02\x00\x01", "\x20\x03\x00\x87\x00", "MQTT 5, not authorized"},
		{"\x20\x02\x00\x01", "\x20\x02\x00\x01", "MQTT of another version, unacceptable protocol version"},
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			b := make([]byte, 100)
			_, _ = c.Read(b)
			_, _ = c.Write([]byte(map[byte]string{4: tt.to3, 5: tt.to5}[b[8]]))
		})
		if a := probetest.Ask(t, mqtt.Prober{}, probe.TCP, addr); a.Summary != tt.want {
			t.Errorf("%q, want %q", a.Summary, tt.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, mqtt.Prober{}, probe.TCP)
}
