// Package nats reads what a NATS server says to whoever connects.
package nats

import (
	"context"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks NATS servers.
type Prober struct{}

// Protocol is "nats".
func (Prober) Protocol() string { return "nats" }

// Ports are those of NATS.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 4222, Name: "nats"}}
}

// Ask reads one line and sends nothing.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	line, err := c.Line()
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	i, err := parse(line)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "NATS " + i.Version, Raw: talk.Head(c.Seen())}
	for _, f := range []struct{ name, value string }{
		{"server_name", i.Name}, {"server_id", i.ID}, {"version", i.Version}, {"go", i.Go}, {"proto", strconv.Itoa(i.Proto)},
		{"cluster", i.Cluster}, {"max_payload", strconv.Itoa(i.Payload)}, {"auth_required", strconv.FormatBool(i.Auth)},
		{"tls_required", strconv.FormatBool(i.TLS)}, {"jetstream", strconv.FormatBool(i.Stream)}, {"client_ip", i.ClientIP},
	} {
		if f.value != "" {
			a.Add(f.name, f.value)
		}
	}
	a.Add("connect_urls", i.Connect...)
	switch {
	case i.Auth:
		a.Summary += ", asks who you are"
	case !i.TLS:
		a.Summary += ", open to anyone"
	}
	return a, nil
}
