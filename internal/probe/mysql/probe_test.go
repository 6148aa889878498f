package mysql_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/mysql"
)

const handshake = "\x4a\x00\x00\x00\x0a8.0.35\x00\x07\x00\x00\x00abcdefgh\x00\xff\xf7\x2d\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00caching_sha2_password\x00"

// plain is a handshake whose server has no TLS.
func plain() []byte {
	b := []byte(handshake)
	b[0] = byte(len(b) - 4)
	b[26] &^= 0x08
	return b
}

// TestSwitches: a server that asks for another plugin, and then for more, is
// answered until it refuses; one that never ends is left.
func TestSwitches(t *testing.T) {
	for _, tt := range []struct {
		says []string
		want string
	}{
		{[]string{"\x06\x00\x00\x02\xfemore\x00", "\x02\x00\x00\x04\x01\x04", "\x11\x00\x00\x06\xff\x15\x04#28000denied!!"}, "denied!!"},
		{[]string{"\x02\x00\x00\x02\x01\x04", "\x02\x00\x00\x04\x01\x04", "\x02\x00\x00\x06\x01\x04", "\x02\x00\x00\x08\x01\x04"}, ""},
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Write(plain())
			for _, s := range tt.says {
				if n, err := c.Read(make([]byte, 200)); n == 0 || err != nil {
					return
				}
				_, _ = c.Write([]byte(s))
			}
			_, _ = c.Read(make([]byte, 200))
		})
		a := probetest.Ask(t, mysql.Prober{}, probe.TCP, addr)
		if a.Summary != "8.0.35" || a.Get("message") != tt.want || (a.Get("error") != "") != (tt.want == "") {
			t.Errorf("%+v", a)
		}
	}
}

// TestNotAllowed: an error instead of a handshake is an answer.
func TestNotAllowed(t *testing.T) {
	addr := probetest.Serve(t, func(c net.Conn) { _, _ = c.Write([]byte("\x0c\x00\x00\x00\xff\x6a\x04Host 'x'!")) })
	if a := probetest.Ask(t, mysql.Prober{}, probe.TCP, addr); a.Summary != "MySQL protocol, error 1130: Host 'x'!" {
		t.Errorf("%+v", a)
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, mysql.Prober{}, probe.TCP)
}
