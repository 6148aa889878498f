package ssh_test

import (
	"net"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/ssh"
)

// TestHangsUp: a server that turns the client away after its version, as sshd
// does beyond MaxStartups, has still told what it is.
func TestHangsUp(t *testing.T) {
	addr := probetest.Serve(t, func(c net.Conn) {
		_, _ = c.Write([]byte("authorised use only\r\nSSH-2.0-x_1 y z\r\n"))
		_, _ = c.Read(make([]byte, 100))
	})
	a := probetest.Ask(t, ssh.Prober{}, probe.TCP, addr)
	if a.Summary != "x_1 y z" || a.Get("banner") != "authorised use only" || !strings.Contains(a.Get("error"), "EOF") {
		t.Errorf("%+v", a)
	}
	if want := "authorised use only\r\nSSH-2.0-x_1 y z\r\n"; string(a.Raw) != want {
		t.Errorf("raw %q", a.Raw)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, ssh.Prober{}, probe.TCP)
}
