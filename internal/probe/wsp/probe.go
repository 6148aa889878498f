// Package wsp asks the Winsock proxy of Microsoft Proxy Server and ISA Server
// for its firewall clients' first message. Microsoft never published the
// protocol: what is known of it stands in the free clients Dante and XChat,
// from which the layout is taken; no such server was at hand to try it on.
//
// Fields: "answer" is the command answered with, "server" the server's id, and
// "control" the address and port that it gives for more by UDP, where it does.
package wsp

import (
	"context"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for the Winsock proxy.
type Prober struct{}

// Protocol is "wsp".
func (Prober) Protocol() string { return "wsp" }

// Ports are the proxy's control ports.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 1745, Name: "remote-winsock"}, {Proto: probe.TCP, Port: 1745, Name: "remote-winsock"}}
}

// Ask says hello, and no more.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	var r reply
	if t.Proto == probe.UDP {
		b, err := talk.Ask(ctx, d, hello(), func(b []byte) bool {
			var err error
			r, err = parse(b)
			return err == nil
		})
		if err != nil {
			return talk.Fail(p.Protocol(), b, err)
		}
		return r.answer(p.Protocol()), nil
	}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if r, err = greet(c); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	return r.answer(p.Protocol()), nil
}

// greet says hello over a connection. What is no answer is known by its first
// bytes, and not waited for to its end.
func greet(c *talk.Conn) (reply, error) {
	if err := c.Send(hello()); err != nil {
		return reply{}, err
	}
	head, err := c.Full(headSize)
	if err != nil {
		return reply{}, err
	}
	if string(head[signatureAt:signatureAt+4]) != signature {
		return reply{}, errNoAnswer
	}
	rest, err := c.Full(minSize - headSize)
	if err != nil {
		return reply{}, err
	}
	return parse(append(head, rest...))
}

func (r reply) answer(protocol string) *probe.Answer {
	a := &probe.Answer{Protocol: protocol, Summary: "hello acknowledged"}
	if r.command>>8 != helloAck {
		a.Summary = fmt.Sprintf("answered with command 0x%04x", r.command)
	}
	a.Add("answer", fmt.Sprintf("0x%04x", r.command))
	a.Add("server", fmt.Sprintf("0x%08x", r.server))
	if r.control.Port() != 0 {
		a.Add("control", r.control.String())
	}
	return a
}
