// Package pop3 asks a mailbox server (RFC 1939) for its greeting and its
// capabilities (RFC 2449).
//
// Fields: "greeting" is the line as received, "capabilities" what is offered;
// "apop" is the timestamp of a server that knows APOP.
package pop3

import (
	"context"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for POP3.
type Prober struct{}

// Protocol is "pop3".
func (Prober) Protocol() string { return "pop3" }

// Ports are POP3's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 110, Name: "pop3"}}
}

// Ask reads the greeting, and says CAPA and QUIT.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	a, err := run(func(line string) error { return c.Send([]byte(line + "\r\n")) }, c.Line)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a.Protocol, a.Raw = p.Protocol(), c.Seen()
	return a, nil
}

// run is the conversation, on any way to say and hear lines.
func run(say func(string) error, next func() (string, error)) (*probe.Answer, error) {
	greeting, err := next()
	if err != nil {
		return nil, err
	}
	text, ok, err := status(greeting)
	if err != nil {
		return nil, err
	}
	a := &probe.Answer{Summary: text}
	a.Add("greeting", greeting)
	if !ok {
		return a, nil
	}
	if stamp := timestamp(text); stamp != "" {
		a.Add("apop", stamp)
	}
	// A server that goes silent after its greeting has greeted all the same.
	if say("CAPA") != nil {
		return a, nil
	}
	capabilities, err := list(next)
	a.Add("capabilities", capabilities...)
	if err == nil && say("QUIT") == nil {
		_, _ = next()
	}
	return a, nil
}
