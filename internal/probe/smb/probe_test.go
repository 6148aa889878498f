package smb_test

import (
	"context"
	"net"
	"testing"
	"time"

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

// TestSlow: a server that is too slow to be asked for every dialect is told with
// the best, and that this is not all.
func TestSlow(t *testing.T) {
	first := true
	addr := probetest.Serve(t, func(c net.Conn) {
		b := make([]byte, 1000)
		n, _ := c.Read(b)
		if first && n > 0 {
			first = false
			answer := make([]byte, 4+64+65)
			answer[3] = 64 + 65
			copy(answer[4:], "\xfeSMB\x40")
			copy(answer[4+64:], "\x41\x00\x01\x00\x00\x03")
			_, _ = c.Write(answer)
			return
		}
		_, _ = c.Read(b) // until the prober gives up
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	a, err := smb.Prober{}.Ask(ctx, probetest.Dialer{Addr: addr}, probe.Target{})
	if err != nil || a.Get("dialects") != "SMB 3.0" || a.Get("incomplete") == "" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, smb.Prober{}, probe.TCP)
}
