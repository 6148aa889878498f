// Package postgres asks a PostgreSQL server whether it takes TLS, for its
// certificate, and how it lets strangers in or turns them away.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const maxMessages = 50 // of a server that lets anybody in

// Prober asks PostgreSQL servers.
type Prober struct{}

// Protocol is "postgresql".
func (Prober) Protocol() string { return "postgresql" }

// Ports are PostgreSQL's, and PgBouncer's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 5432, Name: "postgresql"}, {Proto: probe.TCP, Port: 6432, Name: "postgresql"}}
}

// Ask asks for TLS, then begins as the user "portreporter", and leaves when a
// password is asked for. No password is sent.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { c.Close() }()
	taken, err := wantsTLS(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "PostgreSQL"}
	a.Add("tls", map[bool]string{true: "yes", false: "no"}[taken])
	if taken {
		s, err := secure.Client(ctx, c, t)
		if err != nil && !secure.Spoken(c.Seen()[1:]) {
			return c.Fail(p.Protocol(), err) // an S is soon said
		}
		if err != nil {
			a.Add("error", secure.Refusal(err))
			return a, nil
		}
		defer func(gist string) { a.Summary += ", " + gist }(secure.Describe(a, s.ConnectionState(), t, time.Now()))
		c = talk.Over(ctx, s, d.Wait())
	}
	if err := begin(c, a); err != nil && !taken {
		return c.Fail(p.Protocol(), err)
	} else if err != nil {
		a.Add("error", err.Error())
	}
	return a, nil
}

// wantsTLS reads the one byte that answers the question.
func wantsTLS(c *talk.Conn) (bool, error) {
	if err := c.Send(sslRequest()); err != nil {
		return false, err
	}
	b, err := c.Full(1)
	if err != nil {
		return false, err
	}
	if b[0] != 'S' && b[0] != 'N' {
		return false, errors.New("no answer to an SSLRequest")
	}
	return b[0] == 'S', nil
}

// begin says who we are, and reads on until the server has said what it wants.
func begin(c *talk.Conn, a *probe.Answer) error {
	if err := c.Send(startup()); err != nil {
		return err
	}
	for range maxMessages {
		kind, body, err := read(c)
		if err != nil {
			return err
		}
		switch kind {
		case 'E':
			return refused(body, a)
		case 'R':
			method, mechanisms, err := authentication(body)
			if err != nil {
				return err
			}
			a.Add("authentication", append([]string{method}, mechanisms...)...)
			since(a, mechanisms)
			if method != "trust" {
				a.Summary += ", asks for " + strings.Join(append([]string{method}, mechanisms...), " ")
				return c.Send(terminate())
			}
			a.Summary += ", lets anybody in"
		case 'S':
			name, value := parameter(body)
			a.Add(name, value)
			if name == "server_version" {
				a.Summary += ", version " + value
			}
		case 'Z':
			return c.Send(terminate())
		}
	}
	return fmt.Errorf("no end in %d messages", maxMessages)
}

// since adds how old the server can be, by its mechanisms. A proxy before it may
// have such too.
func since(a *probe.Answer, mechanisms []string) {
	switch {
	case slices.Contains(mechanisms, "SCRAM-SHA-256-PLUS"):
		a.Add("likely", "PostgreSQL 11 or later, which has SCRAM-SHA-256-PLUS")
	case slices.Contains(mechanisms, "SCRAM-SHA-256"):
		a.Add("likely", "PostgreSQL 10 or later, which has SCRAM-SHA-256")
	}
}

// refused adds why the server turned us away.
func refused(body []byte, a *probe.Answer) error {
	fields, err := notice(body)
	if err != nil {
		return err
	}
	a.Add("severity", fields['S'])
	a.Add("sqlState", fields['C'])
	a.Add("message", fields['M'])
	if fields['V'] != "" {
		a.Add("likely", "PostgreSQL 9.6 or later, which names the severity in English too")
	}
	a.Summary += ", " + fields['M']
	return nil
}

func read(c *talk.Conn) (kind byte, body []byte, err error) {
	head, err := c.Full(5)
	if err != nil {
		return 0, nil, err
	}
	kind, n, err := size(head)
	if err != nil {
		return 0, nil, err
	}
	body, err = c.Full(n)
	return kind, body, err
}
