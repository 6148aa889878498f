package smtp_test

import (
	"errors"
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/smtp"
)

// TestStrangers: of probetest's strangers, the one that greets as mail servers
// do is none here.
func TestStrangers(t *testing.T) {
	for _, says := range []string{"\x00\x00\x00", "\xff", "\n", "SSH-2.0-x\r\n", "+OK\r\n", "220 FTP\r\n500 what\r\n500 what\r\n"} {
		a, err := probetest.Try(t, smtp.Prober{}, probe.TCP, probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Write([]byte(says))
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Read(make([]byte, 1024))
		}))
		if !errors.Is(err, probe.ErrProtocol) || a == nil || string(a.Raw) == "" {
			t.Errorf("%q: %+v, %v", says, a, err)
		}
	}
}
