// Package ssdp asks a device by UPnP's discovery what it is and where it
// describes itself. Only that address is asked, not the group of all devices.
package ssdp

import (
	"context"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks UPnP devices. One without devices to tell of is silent.
type Prober struct{}

// Protocol is "ssdp".
func (Prober) Protocol() string { return "ssdp" }

// Ports are SSDP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 1900, Name: "ssdp"}}
}

// Ask takes the first answer. A device may wait up to MX, one second, before it.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	b, err := talk.Ask(ctx, d, request(), func(b []byte) bool {
		_, err := parse(b)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	got, err := parse(b)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "UPnP device", Raw: talk.Head(b)}
	for _, f := range []struct{ name, value string }{{"server", got.server}, {"location", got.location}, {"st", got.target}, {"usn", got.name}} {
		if f.value != "" {
			a.Add(f.name, f.value)
		}
	}
	if got.server != "" {
		a.Summary += ", " + got.server
	}
	return a, nil
}
