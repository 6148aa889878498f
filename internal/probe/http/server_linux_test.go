package http_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	web "github.com/portreporter/portreporter/internal/probe/http"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// TestServers asks real web servers: nginx plainly, over IPv6 too, Caddy inside
// TLS, etcd as a page and as what it is.
func TestServers(t *testing.T) {
	nginx, caddy, etcd := server.Start(t, "nginx"), server.Start(t, "caddy"), server.Start(t, "etcd")
	a := probetest.AskIn(t, nginx.NS, web.New(), probe.TCP, netip.AddrPortFrom(nginx.Addr, 80))
	if !strings.HasPrefix(a.Summary, "HTTP/1.1 200 OK, nginx/") || a.Get("title") != "It works" {
		t.Errorf("nginx: %+v", a)
	}
	a = probetest.AskIn(t, nginx.NS, web.New(), probe.TCP, netip.MustParseAddrPort("[::1]:80"))
	if a.Get("status") != "200 OK" {
		t.Errorf("nginx by IPv6: %+v", a)
	}
	a = probetest.AskIn(t, caddy.NS, web.New(), probe.TCP, netip.AddrPortFrom(caddy.Addr, 8443))
	if a.Get("status") != "200 OK" || a.Get("alpn") != "h2" || a.Get("server") != "Caddy" || a.Get("protocol") != "TLS 1.3" || a.Get("names") != "www.example.test" {
		t.Errorf("caddy: %+v", a)
	}
	a = probetest.AskIn(t, etcd.NS, web.New(), probe.TCP, netip.AddrPortFrom(etcd.Addr, 2379))
	if a.Get("version") != "HTTP/1.1" {
		t.Errorf("etcd as a page: %+v", a)
	}
	for _, p := range web.Services() {
		if p.Protocol() == "etcd" {
			if a := probetest.AskIn(t, etcd.NS, p, probe.TCP, netip.AddrPortFrom(etcd.Addr, 2379)); !strings.HasPrefix(a.Summary, "etcd 3.") || a.Get("etcdcluster") == "" {
				t.Errorf("etcd: %+v", a)
			}
		}
	}
}
