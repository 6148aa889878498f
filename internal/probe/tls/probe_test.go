package tls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/tls"
)

// serve answers handshakes with crypto/tls's server.
func serve(t *testing.T, c *stdtls.Config) netip.AddrPort {
	t.Helper()
	return probetest.Serve(t, func(conn net.Conn) {
		s := stdtls.Server(conn, c)
		if s.Handshake() == nil {
			_, _ = s.Read(make([]byte, 1)) // until the prober closes
		}
	})
}

// certificate is self-signed unless change says otherwise.
func certificate(t *testing.T, change func(*x509.Certificate)) stdtls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef),
		Subject:      pkix.Name{CommonName: "www.example.test", Organization: []string{"Example"}},
		DNSNames:     []string{"www.example.test", "*.example.test"},
		IPAddresses:  []net.IP{net.IPv4(192, 0, 2, 1)},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2120, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return stdtls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func ask(t *testing.T, host string, c *stdtls.Config) *probe.Answer {
	t.Helper()
	addr := serve(t, c)
	a, err := tls.Prober{}.Ask(t.Context(), probetest.Dialer{Addr: addr}, probe.Target{Host: host, Addr: addr.Addr(), Proto: probe.TCP, Port: addr.Port()})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCertificate(t *testing.T) {
	cert := certificate(t, func(*x509.Certificate) {})
	a := ask(t, "www.example.test", &stdtls.Config{Certificates: []stdtls.Certificate{cert}, NextProtos: []string{"h2"}})
	for name, want := range map[string]string{
		"protocol": "TLS 1.3", "alpn": "h2", "subject": "CN=www.example.test,O=Example", "issuer": "CN=www.example.test,O=Example",
		"notAfter": "2120-01-02T00:00:00Z", "serialNumber": "abcdef", "key": "ECDSA P-256", "signature": "ECDSA-SHA256", "problems": "self-signed",
	} {
		if got := a.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if want := "TLS 1.3, CN=www.example.test, expires 2120-01-02, self-signed"; a.Summary != want {
		t.Errorf("summary %q, want %q", a.Summary, want)
	}
	for _, f := range a.Fields {
		if got := strings.Join(f.Values, " "); f.Name == "names" && got != "www.example.test *.example.test 192.0.2.1" {
			t.Errorf("names %q", got)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		change     func(*x509.Certificate)
		want       string
	}{
		{"expired", "www.example.test", func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(1, 0, 0) }, "expired self-signed"},
		{"too early", "www.example.test", func(c *x509.Certificate) { c.NotBefore = c.NotAfter.AddDate(-1, 0, 0) }, "not valid yet self-signed"},
		{"another's", "mail.example.org", func(*x509.Certificate) {}, "not for the name mail.example.org self-signed"},
		{"asked by address", "127.0.0.1", func(*x509.Certificate) {}, "self-signed"},
		{"no name at all", "", func(c *x509.Certificate) { c.Subject, c.DNSNames, c.IPAddresses = pkix.Name{}, nil, nil }, "self-signed"},
	} {
		a := ask(t, tt.host, &stdtls.Config{Certificates: []stdtls.Certificate{certificate(t, tt.change)}})
		got := ""
		for _, f := range a.Fields {
			if f.Name == "problems" {
				got = strings.Join(f.Values, " ")
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		for _, f := range a.Fields {
			if len(f.Values) == 0 || f.Values[0] == "" {
				t.Errorf("%s: %s is empty", tt.name, f.Name)
			}
		}
	}
}

// TestOld: peers that no browser takes any more still get an answer.
func TestOld(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []uint16{stdtls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, stdtls.TLS_RSA_WITH_RC4_128_SHA} {
		a := ask(t, "", &stdtls.Config{Certificates: []stdtls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			MinVersion: stdtls.VersionTLS10, MaxVersion: stdtls.VersionTLS10, CipherSuites: []uint16{suite}})
		if a.Get("protocol") != "TLS 1.0" || a.Get("cipher") != stdtls.CipherSuiteName(suite) || a.Get("key") != "RSA 2048" {
			t.Errorf("%s: %+v", stdtls.CipherSuiteName(suite), a)
		}
	}
}

// TestNegativeSerial: Samba's own certificates have one, which crypto/x509
// refuses unless told otherwise (go.mod's godebug).
func TestNegativeSerial(t *testing.T) {
	cert := certificate(t, func(*x509.Certificate) {})
	der := cert.Certificate[0]
	i := strings.Index(string(der), "\x02\x04\x00\xab\xcd\xef")
	if i < 0 {
		t.Fatal("no serial number in the certificate")
	}
	der[i+2] = 0x80
	a := ask(t, "", &stdtls.Config{Certificates: []stdtls.Certificate{cert}})
	if got := a.Get("serialNumber"); !strings.HasPrefix(got, "-") {
		t.Errorf("serial number %q of %+v", got, a)
	}
}

// TestRefusals: a handshake that fails in TLS's own words is an answer.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    *stdtls.Config
		want string
	}{
		{"wants a name it knows", &stdtls.Config{GetCertificate: func(*stdtls.ClientHelloInfo) (*stdtls.Certificate, error) {
			return nil, errors.New("no such host")
		}}, "TLS, alert: internal error"},
		{"only an own protocol", &stdtls.Config{Certificates: []stdtls.Certificate{certificate(t, func(*x509.Certificate) {})}, NextProtos: []string{"x"}},
			"TLS, alert: no application protocol"},
	} {
		if a := ask(t, "www.example.test", tt.c); a.Summary != tt.want || a.Get("error") == "" {
			t.Errorf("%s: %q, %+v", tt.name, a.Summary, a.Fields)
		}
	}
}

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, tls.Prober{}, probe.TCP)
}
