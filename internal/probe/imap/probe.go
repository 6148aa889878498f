// Package imap asks a mailbox server (RFC 9051 and before it RFC 3501) for its
// greeting and its capabilities.
//
// Fields: "greeting" is the line as received, "capabilities" what is offered
// before a login.
package imap

import (
	"context"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for IMAP.
type Prober struct{}

// Protocol is "imap".
func (Prober) Protocol() string { return "imap" }

// Ports are IMAP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 143, Name: "imap"}}
}

// Ask reads the greeting, and says CAPABILITY and LOGOUT.
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
	line, err := next()
	if err != nil {
		return nil, err
	}
	g, err := parseGreeting(line)
	if err != nil {
		return nil, err
	}
	a := &probe.Answer{Summary: g.text}
	a.Add("greeting", line)
	capabilities := g.capabilities
	if !g.bye && say(tag+" CAPABILITY") == nil {
		// What it says when asked is better than what it greeted with; a server
		// that goes silent has greeted all the same.
		asked, err := list(next)
		if len(asked) > 0 {
			capabilities = asked
		}
		if err == nil && say(tag+"2 LOGOUT") == nil {
			if line, err := next(); err == nil && line != "" && line[0] == '*' { // BYE, and then the end of the command
				_, _ = next()
			}
		}
	}
	a.Add("capabilities", capabilities...)
	return a, nil
}
