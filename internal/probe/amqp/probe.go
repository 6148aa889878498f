// Package amqp asks a message broker of AMQP who it is: 0-9-1, which RabbitMQ
// speaks, or which other version.
package amqp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks brokers.
type Prober struct{}

// Protocol is "amqp".
func (Prober) Protocol() string { return "amqp" }

// Ports are AMQP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 5672, Name: "amqp"}}
}

// Ask sends the protocol's header, reads the broker's greeting, and leaves
// before any name or password.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send([]byte(header)); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	head, err := c.Full(headSize)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	if string(head[:4]) == "AMQP" {
		return p.other(c)
	}
	n, err := length(head)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	b, err := c.Full(n)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	s, err := parseStart(b)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	return p.answer(s, c.Seen()), nil
}

// other tells the version of a broker that does not speak ours.
func (p Prober) other(c *talk.Conn) (*probe.Answer, error) {
	if _, err := c.Full(1); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	v, _ := otherVersion(c.Seen())
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "AMQP " + v, Raw: talk.Head(c.Seen())}
	a.Add("version", v)
	return a, nil
}

func (p Prober) answer(s start, seen []byte) *probe.Answer {
	a := &probe.Answer{Protocol: p.Protocol(), Summary: fmt.Sprintf("AMQP %d-%d", s.major, s.minor), Raw: talk.Head(seen)}
	a.Add("version", fmt.Sprintf("%d-%d", s.major, s.minor))
	var gist []string
	for _, f := range s.properties {
		if slices.Contains([]string{"product", "version"}, f.name) {
			gist = append(gist, f.value)
		}
		if f.value != "" {
			a.Add("server-properties."+f.name, f.value)
		}
	}
	a.Add("mechanisms", s.mechanisms...)
	a.Add("locales", s.locales...)
	if len(gist) > 0 {
		a.Summary += ", " + strings.Join(gist, " ")
	}
	return a
}
