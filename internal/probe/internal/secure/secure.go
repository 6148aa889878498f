// Package secure makes TLS connections that are meant to look and not to
// trust: any certificate is taken, old protocols too, and what was agreed is
// told in fields. Nothing secret may be sent over them.
package secure

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Client agrees on TLS over c, asking for the target's name and offering the
// application protocols. After an error, Spoken tells whether the peer speaks TLS
// at all.
func Client(ctx context.Context, c *talk.Conn, t probe.Target, alpn ...string) (*tls.Conn, error) {
	s := tls.Client(c, config(t, alpn))
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return s, nil
}

// config accepts what a client that reports, and trusts nothing, may accept.
func config(t probe.Target, alpn []string) *tls.Config {
	c := &tls.Config{
		InsecureSkipVerify: true, // the certificate is what is asked for; whether to trust it is for people
		MinVersion:         tls.VersionTLS10,
		NextProtos:         alpn,
		ServerName:         name(t),
	}
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, s := range list {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	return c
}

// name is what the target is called, without the root's dot; "" for an address,
// which is not asked for (RFC 6066 section 3).
func name(t probe.Target) string {
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return ""
	}
	return strings.TrimSuffix(t.Host, ".")
}

// Spoken tells whether the first bytes of a peer are a TLS handshake record or
// an alert, so that a failed handshake is still an answer.
func Spoken(seen []byte) bool {
	return len(seen) >= 3 && (seen[0] == 21 || seen[0] == 22) && seen[1] == 3 && seen[2] <= 4
}

// Refusal words why a handshake with a peer that speaks TLS failed.
func Refusal(err error) string {
	var remote *net.OpError
	if errors.As(err, &remote) && remote.Op == "remote error" {
		return "alert: " + strings.TrimPrefix(remote.Err.Error(), "tls: ")
	}
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "tls: ")
}

// Describe adds to a what was agreed with t, and the peer's certificate, judged
// as of now. It returns the gist: "TLS 1.3, CN=www.example, expires 2027-01-02".
func Describe(a *probe.Answer, cs tls.ConnectionState, t probe.Target, now time.Time) string {
	gist := []string{tls.VersionName(cs.Version)}
	a.Add("protocol", tls.VersionName(cs.Version))
	a.Add("cipher", tls.CipherSuiteName(cs.CipherSuite))
	if cs.NegotiatedProtocol != "" {
		a.Add("alpn", cs.NegotiatedProtocol)
	}
	if len(cs.PeerCertificates) > 0 {
		c := cs.PeerCertificates[0]
		certificate(a, c)
		a.Add("certificates", strconv.Itoa(len(cs.PeerCertificates)))
		ps := problems(c, name(t), now)
		a.Add("problems", ps...)
		gist = append(append(gist, subject(c), "expires "+c.NotAfter.UTC().Format(time.DateOnly)), ps...)
	}
	return strings.Join(gist, ", ")
}

func certificate(a *probe.Answer, c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	for _, n := range []struct{ field, name string }{{"subject", c.Subject.String()}, {"issuer", c.Issuer.String()}} {
		if n.name != "" { // many have names of the other kind alone
			a.Add(n.field, n.name)
		}
	}
	a.Add("names", names(c)...)
	a.Add("notBefore", c.NotBefore.UTC().Format(time.RFC3339))
	a.Add("notAfter", c.NotAfter.UTC().Format(time.RFC3339))
	a.Add("serialNumber", c.SerialNumber.Text(16))
	a.Add("key", key(c))
	a.Add("signature", c.SignatureAlgorithm.String())
	a.Add("sha256", fmt.Sprintf("%x", sum))
}

// names are those that the certificate is valid for (subjectAltName).
func names(c *x509.Certificate) []string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	return append(all, c.EmailAddresses...)
}

// subject is the shortest text that tells whose certificate it is.
func subject(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return "CN=" + c.Subject.CommonName
	case len(names(c)) > 0:
		return names(c)[0]
	}
	return "no name"
}

func key(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// problems are those that need no list of trusted authorities, and no question
// to anybody else, to be seen.
func problems(c *x509.Certificate, host string, now time.Time) (all []string) {
	switch {
	case now.After(c.NotAfter):
		all = append(all, "expired")
	case now.Before(c.NotBefore):
		all = append(all, "not valid yet")
	}
	if host != "" && c.VerifyHostname(host) != nil {
		all = append(all, "not for the name "+host)
	}
	if string(c.RawIssuer) == string(c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
		all = append(all, "self-signed")
	}
	return all
}
