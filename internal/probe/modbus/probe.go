// Package modbus asks a Modbus/TCP device for its identification. It reads and
// writes no register.
package modbus

import (
	"context"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks Modbus devices.
type Prober struct{}

// Protocol is "modbus".
func (Prober) Protocol() string { return "modbus" }

// Ports are Modbus's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 502, Name: "mbap"}}
}

// Ask asks unit 1, which gateways and single devices both answer for.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(request()); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	_, body, err := c.Framed(headSize, length)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	objects, exception, err := parse(body)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(c.Seen())}
	gist := []string{"Modbus"}
	if exception != 0 {
		a.Add("exception", exceptionName(exception))
		gist = append(gist, exceptionName(exception))
	}
	for _, o := range objects {
		a.Add(o.name, o.value)
		gist = append(gist, o.value)
	}
	a.Summary = strings.Join(gist, ", ")
	return a, nil
}
