package rdp_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/rdp"
)

// TestKinds: what servers of other kinds than xrdp answer (MS-RDPBCGR 4.1.2).
func TestKinds(t *testing.T) {
	for says, want := range map[string]string{
		"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00\x05\x00\x00\x00": "RDP, HYBRID_REQUIRED_BY_SERVER",
		"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x00\x00\x00\x00": "RDP, standard RDP security",
		"\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00":                                 "RDP, standard RDP security",
		"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x09\x08\x00\x02\x00\x00\x00": "RDP, CredSSP", // and hangs up
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(says))
		})
		if a := probetest.Ask(t, rdp.Prober{}, probe.TCP, addr); a.Summary != want {
			t.Errorf("%q, want %q", a.Summary, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, rdp.Prober{}, probe.TCP)
}
