// Package tls asks a port for a TLS handshake, and tells the protocol agreed
// on and the certificate: whose it is, who signed it, when it ends.
package tls

import (
	"context"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for TLS (RFC 8446, and back to TLS 1.0).
type Prober struct{}

// Protocol is "tls".
func (Prober) Protocol() string { return "tls" }

// Ports are those of protocols inside TLS.
func (Prober) Ports() []probe.Port {
	return []probe.Port{
		{Proto: probe.TCP, Port: 443, Name: "https"},
		{Proto: probe.TCP, Port: 465, Name: "submissions"},
		{Proto: probe.TCP, Port: 563, Name: "nntps"},
		{Proto: probe.TCP, Port: 636, Name: "ldaps"},
		{Proto: probe.TCP, Port: 853, Name: "domain-s"},
		{Proto: probe.TCP, Port: 990, Name: "ftps"},
		{Proto: probe.TCP, Port: 992, Name: "telnets"},
		{Proto: probe.TCP, Port: 993, Name: "imaps"},
		{Proto: probe.TCP, Port: 995, Name: "pop3s"},
		{Proto: probe.TCP, Port: 5061, Name: "sip-tls"},
		{Proto: probe.TCP, Port: 5671, Name: "amqps"},
		{Proto: probe.TCP, Port: 6514, Name: "syslog-tls"},
		{Proto: probe.TCP, Port: 8883, Name: "secure-mqtt"},
	}
}

// Ask makes a handshake and closes. A peer that refuses it in TLS's own words,
// or whose certificate cannot be read, has answered too: the field "error" says
// what went wrong.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	a := &probe.Answer{Protocol: p.Protocol()}
	s, err := secure.Client(ctx, c, t, alpn()...)
	switch {
	case err == nil:
		defer s.Close()
		a.Summary = secure.Describe(a, s.ConnectionState(), t, time.Now())
	case secure.Spoken(c.Seen()):
		a.Summary = "TLS, " + secure.Refusal(err)
		a.Add("error", secure.Refusal(err))
	default:
		return c.Fail(p.Protocol(), err)
	}
	return a, nil
}

// alpn are the protocols that a server may pick from: those of the ports above
// that have a name for it (IANA's ALPN registry).
func alpn() []string { return []string{"h2", "http/1.1", "imap", "pop3", "ftp", "mqtt", "dot"} }
