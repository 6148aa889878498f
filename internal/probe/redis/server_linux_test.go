package redis_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/redis"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestRedis asks real servers, an open one and one with a password.
func TestRedis(t *testing.T) {
	open, closed := server.Start(t, "redis"), server.Start(t, "redis with a password")
	a := probetest.AskIn(t, open.NS, redis.Prober{}, probe.TCP, netip.AddrPortFrom(open.Addr, 6379))
	if !strings.HasPrefix(a.Summary, "redis ") || a.Get("redis_mode") != "standalone" || a.Get("tcp_port") != "6379" || a.Get("error") != "" {
		t.Errorf("%+v", a)
	}
	a = probetest.AskIn(t, closed.NS, redis.Prober{}, probe.TCP, netip.AddrPortFrom(closed.Addr, 6379))
	if a.Summary != "asks for a password" || a.Get("error") != "NOAUTH Authentication required." {
		t.Errorf("%+v", a)
	}
}
