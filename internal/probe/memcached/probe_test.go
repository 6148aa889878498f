package memcached_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/memcached"
)

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, memcached.Prober{}, probe.TCP)
	probetest.Strangers(t, memcached.Prober{}, probe.UDP)
}

// TestStatistics: what a server says to our second question costs it nothing
// that it has told already, be it refused, cut off or without an end.
func TestStatistics(t *testing.T) {
	for _, tt := range []struct{ said, want string }{
		{"STAT pid 7\r\nSTAT uptime 61\r\nSTAT time 9\r\nEND\r\n", "1m1s"},
		{"ERROR\r\n", ""},
		{"STAT uptime ", ""},
		{"", ""},
		{"no such thing\r\nSTAT uptime 61\r\n", ""},
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			r := bufio.NewReader(c)
			for _, answer := range []string{"VERSION 1.6.18\r\n", tt.said} {
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
				fmt.Fprint(c, answer)
			}
		})
		a := probetest.Ask(t, memcached.Prober{}, probe.TCP, addr)
		if a.Get("version") != "1.6.18" || a.Get("uptime") != tt.want {
			t.Errorf("%q: %+v", tt.said, a)
		}
	}
}
