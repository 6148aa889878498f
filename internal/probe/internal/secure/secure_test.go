package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

// TestSpoken: the first bytes of TLS, and of those that begin like it.
func TestSpoken(t *testing.T) {
	for b, want := range map[string]bool{
		"\x16\x03\x03\x00\x7a": true, "\x15\x03\x01\x00\x02\x02\x28": true, "\x16\x03\x04": true,
		"\x16\x03": false, "": false, "\x17\x03\x03": false, "\x16\x02\x00": false, "\x15\x03\x05": false, "HTTP/1.1": false,
	} {
		if Spoken([]byte(b)) != want {
			t.Errorf("%q is %v", b, !want)
		}
	}
}

func TestRefusal(t *testing.T) {
	alert := fmt.Errorf("tls: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")})
	for want, err := range map[string]error{"alert: handshake failure": alert, "unsupported versions": errors.New("tls: tls: unsupported versions"), "EOF": errors.New("EOF")} {
		if got := Refusal(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestName: only names are asked for, in TLS's form.
func TestName(t *testing.T) {
	for host, want := range map[string]string{"www.example.test.": "www.example.test", "192.0.2.1": "", "2001:db8::1": "", "fe80::1%eth0": "", "": ""} {
		if got := config(probe.Target{Host: host, Addr: netip.MustParseAddr("192.0.2.1")}, nil).ServerName; got != want {
			t.Errorf("%q: %q", host, got)
		}
	}
}

// TestNoCertificate: a resumed or anonymous handshake has none to describe.
func TestNoCertificate(t *testing.T) {
	var a probe.Answer
	if got := Describe(&a, tls.ConnectionState{Version: tls.VersionTLS12}, probe.Target{}, time.Time{}); got != "TLS 1.2" || a.Get("subject") != "" {
		t.Errorf("%q, %+v", got, a)
	}
}
