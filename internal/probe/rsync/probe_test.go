package rsync_test

import (
	"net"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/rsync"
)

// TestEnds: daemons that refuse, hang up, or never end.
func TestEnds(t *testing.T) {
	for says, want := range map[string]string{
		"@ERROR: max connections (5) reached\n": "refused",
		"hello\n":                               "error",
		strings.Repeat("x\n", 300):              "error",
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Write([]byte("@RSYNCD: 31.0\n"))
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(says))
		})
		if a := probetest.Ask(t, rsync.Prober{}, probe.TCP, addr); a.Get(want) == "" || !strings.HasPrefix(a.Summary, "rsync daemon, protocol 31.0") {
			t.Errorf("%.20q: %+v", says, a)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, rsync.Prober{}, probe.TCP)
}
