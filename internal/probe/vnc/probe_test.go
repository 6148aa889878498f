package vnc_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/vnc"
)

// TestServers: answers in the layouts of RFC 6143 section 7.1.
func TestServers(t *testing.T) {
	for _, tt := range []struct{ greeting, says, want string }{
		{"RFB 003.008\n", "\x02\x01\x02", "RFB 3.8, None, VNC Authentication: open to anyone"},
		{"RFB 003.008\n", "\x00\x00\x00\x00\x08too many", "RFB 3.8, refused: too many"},
		{"RFB 003.003\n", "\x00\x00\x00\x02", "RFB 3.3, VNC Authentication"},
		{"RFB 003.003\n", "\x00\x00\x00\x00\x00\x00\x00\x02no", "RFB 3.3, refused: no"},
		{"RFB 003.008\n", "", "RFB 3.8"},
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Write([]byte(tt.greeting))
			_, _ = c.Read(make([]byte, 12))
			_, _ = c.Write([]byte(tt.says))
		})
		if a := probetest.Ask(t, vnc.Prober{}, probe.TCP, addr); a.Summary != tt.want || (a.Get("error") != "") != (tt.says == "") {
			t.Errorf("%+v, want %q", a, tt.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, vnc.Prober{}, probe.TCP)
}
