package ssh_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ssh"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestOpenSSH asks a real sshd.
func TestOpenSSH(t *testing.T) {
	s := server.Start(t, "sshd")
	a := probetest.AskIn(t, s.NS, ssh.Prober{}, probe.TCP, netip.AddrPortFrom(s.Addr, 22))
	if !strings.HasPrefix(a.Summary, "OpenSSH_") || a.Get("protoversion") != "2.0" || a.Get("error") != "" {
		t.Errorf("%+v", a)
	}
	got := map[string][]string{}
	for _, f := range a.Fields {
		got[f.Name] = f.Values
	}
	if !slices.Contains(got["server_host_key_algorithms"], "ssh-ed25519") || !slices.Contains(got["kex_algorithms"], "curve25519-sha256") ||
		!slices.Contains(got["encryption_algorithms_server_to_client"], "aes256-ctr") {
		t.Errorf("%+v", got)
	}
}
