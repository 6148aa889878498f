package redis_test

import (
	"net"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/redis"
)

// TestAnswers: what servers say that Debian's does not by default.
func TestAnswers(t *testing.T) {
	for says, want := range map[string]string{
		"-DENIED Redis is running in protected mode\r\n":                      "protected mode",
		"-LOADING Redis is loading the dataset in memory\r\n":                 "LOADING Redis is loading the dataset in memory",
		"+PONG\r\n-ERR unknown command\r\n":                                   "open to anyone",
		"+PONG\r\n$-1\r\n":                                                    "open to anyone",
		"+PONG\r\n$99999999\r\n":                                              "open to anyone",
		"+PONG\r\n$42\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n\r\n": "valkey 8.0.1, open to anyone",
	} {
		addr := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 200))
			_, _ = c.Write([]byte(says))
		})
		if a := probetest.Ask(t, redis.Prober{}, probe.TCP, addr); a.Summary != want || string(a.Raw) != says {
			t.Errorf("%q: %+v", says, a)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, redis.Prober{}, probe.TCP)
}
