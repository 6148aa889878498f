package smb_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/smb"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestSamba asks a real file server, whose defaults are SMB 2.0.2 and newer.
func TestSamba(t *testing.T) {
	s := server.Start(t, "smbd")
	a := probetest.AskIn(t, s.NS, smb.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 445))
	if a.Summary != "SMB 3.1.1, signing optional, files" || a.Get("serverName") != "files" || !strings.HasPrefix(a.Get("likely"), "Samba") || a.Get("cipher") != "AES-128-GCM" {
		t.Errorf("%+v", a)
	}
	for _, f := range a.Fields {
		if got := strings.Join(f.Values, ", "); f.Name == "dialects" && got != "SMB 3.1.1, SMB 3.0.2, SMB 3.0, SMB 2.1, SMB 2.0.2" {
			t.Errorf("dialects %q", got)
		}
	}
}
