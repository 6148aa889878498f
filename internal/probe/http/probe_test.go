package http_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	web "github.com/portreporter/portreporter/internal/probe/http"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil"
)

func addr(t *testing.T, s *httptest.Server) netip.AddrPort {
	t.Helper()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "nobody/1.0")
	w.Header().Set("Location", "/login")
	w.Header().Add("WWW-Authenticate", "Basic")
	w.Header().Add("WWW-Authenticate", "Negotiate")
	w.WriteHeader(http.StatusFound)
	fmt.Fprintf(w, "<html><TITLE lang=en>\n Tom &amp;\n Jerry </title>%s", r.Host)
}

// fields is an answer as a reader sees it.
func fields(a *probe.Answer) map[string]string {
	m := map[string]string{}
	for _, f := range a.Fields {
		m[f.Name] = strings.Join(f.Values, " | ")
	}
	return m
}

func TestPage(t *testing.T) {
	a := probetest.Ask(t, web.New(), probe.TCP, addr(t, httptest.NewServer(http.HandlerFunc(hello))))
	want := map[string]string{"version": "HTTP/1.1", "status": "302 Found", "server": "nobody/1.0", "location": "/login",
		"www-authenticate": "Basic | Negotiate", "content-type": "text/html; charset=utf-8", "title": "Tom & Jerry"}
	if d := cmp.Diff(want, fields(a)); d != "" {
		t.Error(d)
	}
	if want := `HTTP/1.1 302 Found, nobody/1.0, to /login, "Tom & Jerry"`; a.Summary != want {
		t.Errorf("summary %q", a.Summary)
	}
	if !strings.HasPrefix(string(a.Raw), "HTTP/1.1 302 Found\r\n") {
		t.Errorf("raw %.40q", a.Raw)
	}
}

// TestSecured: a port whose number says nothing is asked plainly first, and
// then by TLS; the answer holds both the page and the certificate.
func TestSecured(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	a := probetest.Ask(t, web.New(), probe.TCP, addr(t, s))
	got := fields(a)
	if got["version"] != "HTTP/1.1" || got["alpn"] != "h2" || got["protocol"] != "TLS 1.3" || got["issuer"] != "O=Acme Co" {
		t.Errorf("%+v", got)
	}
	if !strings.HasPrefix(string(a.Raw), "HTTP/1.1 302 Found\r\n") {
		t.Errorf("raw %.40q", a.Raw)
	}
}

// TestPlainOnSecurePort: a name that says https, and a server that is not.
func TestPlainOnSecurePort(t *testing.T) {
	ap := addr(t, httptest.NewServer(http.HandlerFunc(hello)))
	a, err := web.New().Ask(t.Context(), probetest.Dialer{Addr: ap}, probe.Target{Addr: ap.Addr(), Port: ap.Port(), Service: "https"})
	if err != nil || a.Get("status") != "302 Found" || a.Get("protocol") != "" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestLeaves: nothing is left behind, whether the server answers, by either
// version, or never does.
func TestLeaves(t *testing.T) {
	testutil.NoLeaks(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	silent := probetest.Serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	probetest.Ask(t, web.New(), probe.TCP, addr(t, s))
	probetest.Ask(t, web.New(), probe.TCP, addr(t, httptest.NewServer(http.HandlerFunc(hello))))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a, err := web.New().Ask(ctx, probetest.Dialer{Addr: silent}, probe.Target{Addr: silent.Addr(), Port: silent.Port()}); err == nil {
		t.Errorf("a silent peer says %+v", a)
	}
}

// TestVersions: servers of HTTP/1.0, with early hints, and of HTTP/2 alone.
func TestVersions(t *testing.T) {
	for says, want := range map[string]string{
		"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n<title>x</title>":                       `HTTP/1.0 200 OK, old, "x"`,
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n": "HTTP/1.1 404 Not Found",
	} {
		ap := probetest.Serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte(says))
		})
		if a := probetest.Ask(t, web.New(), probe.TCP, ap); a.Summary != want {
			t.Errorf("%q, want %q", a.Summary, want)
		}
	}
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	alone := probetest.Serve(t, func(c net.Conn) {
		h2 := tls.Server(c, &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}})
		_, _ = h2.Read(make([]byte, 100))
	})
	a, err := web.New().Ask(t.Context(), probetest.Dialer{Addr: alone}, probe.Target{Addr: alone.Addr(), Port: alone.Port(), Service: "https"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(a.Summary, "HTTP/2.0, TLS 1.3, ") || a.Get("status") != "" {
		t.Errorf("HTTP/2 alone: %+v", a)
	}
}

// TestHost: the name that the user gave is what the server is asked for, and
// an IPv6 address stands in brackets.
func TestHost(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Server", r.Host) }
	ap := addr(t, httptest.NewServer(http.HandlerFunc(echo)))
	for host, want := range map[string]string{"www.example.test": "www.example.test:%d", "": "127.0.0.1:%d", "2001:db8::1": "[2001:db8::1]:%d"} {
		a, err := web.New().Ask(t.Context(), probetest.Dialer{Addr: ap}, probe.Target{Host: host, Addr: ap.Addr(), Port: ap.Port()})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Get("server"); got != fmt.Sprintf(want, ap.Port()) {
			t.Errorf("host %q asks for %q", host, got)
		}
	}
}

// TestHostile: a header without end and a body without end are cut off.
func TestHostile(t *testing.T) {
	endless := probetest.Serve(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	})
	if a, err := probetest.Try(t, web.New(), probe.TCP, endless); !errors.Is(err, probe.ErrProtocol) || len(a.Raw) != 4096 {
		t.Errorf("a header without end: %v", err)
	}
	body := probetest.Serve(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
		for {
			if _, err := c.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if a := probetest.Ask(t, web.New(), probe.TCP, body); a.Get("status") != "200 OK" {
		t.Errorf("a body without end: %+v", a)
	}
}

func TestStrangers(t *testing.T) {
	for _, p := range append(web.Services(), web.New()) {
		t.Run(p.Protocol(), func(t *testing.T) { probetest.Strangers(t, p, probe.TCP) })
	}
}

// TestServices: each service's answers in the shape that its documentation
// gives, and none of them takes another's.
func TestServices(t *testing.T) {
	by := map[string]web.Prober{}
	for _, p := range web.Services() {
		by[p.Protocol()] = p
	}
	reply := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if k, v, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, tt := range []struct {
		protocol, want string
		reply          http.HandlerFunc
	}{
		{"elasticsearch", "Elasticsearch 8.11.0, cluster logs", reply(200, "X-elastic-product: Elasticsearch", `{"name":"n1","cluster_name":"logs","cluster_uuid":"u","version":{"number":"8.11.0","lucene_version":"9.8.0"},"tagline":"You Know, for Search"}`)},
		{"elasticsearch", "opensearch 2.11.0, cluster os", reply(200, "", `{"name":"n1","cluster_name":"os","version":{"distribution":"opensearch","number":"2.11.0"}}`)},
		{"elasticsearch", "Elasticsearch, 401 Unauthorized", reply(401, `WWW-Authenticate: Basic realm="security" charset="UTF-8"`, `{}`)},
		{"etcd", "etcd 3.5.9", reply(200, "", `{"etcdserver":"3.5.9","etcdcluster":"3.5.0"}`)},
		{"docker", "Docker API 1.43, version 24.0.7, open to anyone", reply(200, "", `{"Platform":{"Name":"Docker Engine - Community"},"Version":"24.0.7","ApiVersion":"1.43","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64","KernelVersion":"6.1"}`)},
		{"kubernetes", "Kubernetes v1.28.4", reply(200, "", `{"major":"1","minor":"28","gitVersion":"v1.28.4","platform":"linux/amd64"}`)},
		{"kubernetes", "Kubernetes, Forbidden", reply(403, "", `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"forbidden: User \"system:anonymous\"","reason":"Forbidden","code":403}`)},
		{"winrm", "WS-Management, Microsoft Corporation, OS: 10.0.17763 SP: 0.0 Stack: 3.0", reply(200, "", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor><wsmid:ProductVersion>OS: 10.0.17763 SP: 0.0 Stack: 3.0</wsmid:ProductVersion></wsmid:IdentifyResponse></s:Body></s:Envelope>`)},
		{"winrm", "WS-Management, asks for Negotiate", reply(401, "WWW-Authenticate: Negotiate", "")},
	} {
		ap := addr(t, httptest.NewServer(tt.reply))
		if a := probetest.Ask(t, by[tt.protocol], probe.TCP, ap); a.Summary != tt.want {
			t.Errorf("%s: %q, want %q", tt.protocol, a.Summary, tt.want)
		}
		for other, p := range by {
			if _, err := probetest.Try(t, p, probe.TCP, ap); other != tt.protocol && !errors.Is(err, probe.ErrProtocol) {
				t.Errorf("%s takes %q for its own: %v", other, tt.want, err)
			}
		}
	}
}

// TestKubelet: what its secure port says to strangers.
func TestKubelet(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	ap := addr(t, s)
	for _, p := range web.Services() {
		if p.Protocol() == "kubernetes" {
			if a := probetest.Ask(t, p, probe.TCP, ap); !strings.HasPrefix(a.Summary, "answers as a kubelet does, 401 Unauthorized, TLS") {
				t.Errorf("%q", a.Summary)
			}
		}
	}
}
