// Package rdp asks a remote desktop server which security it wants
// (MS-RDPBCGR), and for its certificate, which as a rule names the machine.
package rdp

import (
	"context"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks remote desktop servers.
type Prober struct{}

// Protocol is "rdp".
func (Prober) Protocol() string { return "rdp" }

// Ports are RDP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 3389, Name: "ms-wbt-server"}}
}

// Ask negotiates, makes the TLS handshake when that was agreed on, and leaves
// before any name or password.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	got, err := negotiate(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol()}
	switch got.kind {
	case negFailure:
		a.Add("failure", failure(got.value))
		a.Summary = "RDP, " + failure(got.value)
		return a, nil
	case negResponse:
		a.Add("selectedProtocol", protocol(got.value))
		a.Add("flags", flagNames(got.flags)...)
		if got.value == protocolSSL && got.flags == 1 {
			a.Add("likely", "xrdp, which takes TLS where it is offered CredSSP, and has no other flag")
		}
	default:
		a.Add("selectedProtocol", protocol(0))
	}
	a.Summary = "RDP, " + protocol(got.value)
	if got.value == 0 {
		return a, nil
	}
	s, err := secure.Client(ctx, c, t)
	if err != nil {
		a.Add("error", secure.Refusal(err))
		return a, nil
	}
	a.Summary += ", " + secure.Describe(a, s.ConnectionState(), t, time.Now())
	s.Close()
	return a, nil
}

func negotiate(c *talk.Conn) (confirm, error) {
	if err := c.Send(request()); err != nil {
		return confirm{}, err
	}
	_, b, err := c.Framed(4, length)
	if err != nil {
		return confirm{}, err
	}
	return parseConfirm(b)
}
