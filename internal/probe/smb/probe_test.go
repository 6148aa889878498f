package smb_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/smb"
)

// TestSMB1Alone: a server of old hangs up on SMB 2's question.
func TestSMB1Alone(t *testing.T) {
	addr := probetest.Serve(t, func(c net.Conn) {
		b := make([]byte, 1000)
		if n, _ := c.Read(b); n > 4 && b[4] == 0xff {
			_, _ = c.Write(append(append([]byte("\x00\x00\x00\x25\xffSMB\x72"), make([]byte, 27)...), 17, 0, 0, 3, 0))
		}
	})
	if a := probetest.Ask(t, smb.Prober{}, probe.TCP, addr); a.Summary != "SMB 1 alone" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, smb.Prober{}, probe.TCP)
}
