package sip

import (
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct{ name, b, status, agent string }{
		{"whole", "SIP/2.0 200 OK\r\nCall-ID: x\r\nServer: a b\r\n\r\n", "200 OK", "a b"},
		{"compact and folded", "SIP/2.0 405 Method Not Allowed\r\ni: x\r\nserver: a\r\n b\r\n\r\n", "405 Method Not Allowed", "a b"},
		{"no end", "SIP/2.0 200 OK\r\nCall-ID: x\r\n", "200 OK", ""},
		{"somebody else's", "SIP/2.0 200 OK\r\nCall-ID: y\r\n\r\n", "", ""},
		{"a request", "OPTIONS sip:x SIP/2.0\r\nCall-ID: x\r\n\r\n", "", ""},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\nCall-ID: x\r\n\r\n", "", ""},
		{"no number", "SIP/2.0 abc\r\nCall-ID: x\r\n\r\n", "", ""},
		{"a wrong number", "SIP/2.0 99 x\r\nCall-ID: x\r\n\r\n", "", ""},
		{"a wrong header", "SIP/2.0 200 OK\r\nCall-ID x\r\n\r\n", "", ""},
		{"nothing", "", "", ""},
	} {
		p, err := read(strings.NewReader(tt.b), "x")
		if p.status != tt.status || p.get("Server", "") != tt.agent || (err == nil) != (tt.status != "") {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
	}
	endless := strings.NewReader("SIP/2.0 200 OK\r\nCall-ID: x\r\nA: " + strings.Repeat("b", 1<<20))
	if _, _ = read(endless, "x"); endless.Len() < 1<<19 {
		t.Errorf("all but %d bytes of a header without end are read", endless.Len())
	}
}

func TestHost(t *testing.T) {
	for h, want := range map[string]string{"pbx.example.test": "pbx.example.test", "2001:db8::1": "[2001:db8::1]", "192.0.2.1": "192.0.2.1", "a\r\nVia: x>": "aVia:x"} {
		if got := host(probe.Target{Host: h}); got != want {
			t.Errorf("%q: %q", h, got)
		}
	}
}

// FuzzRead: an answer that is understood is to us, and its status is one line.
func FuzzRead(f *testing.F) {
	f.Add("SIP/2.0 200 OK\r\nCall-ID: x\r\nServer: a\r\n\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := read(strings.NewReader(s), "x")
		if err == nil && (strings.ContainsAny(p.status, "\n") || len(p.status) < 3 || p.get("Call-Id", "I") != "x") {
			t.Errorf("%+v", p)
		}
	})
}
