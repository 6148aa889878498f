// Package coap asks a small device by CoAP (RFC 7252) which resources it has.
package coap

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const linkFormat = 40 // application/link-format

// Prober asks for /.well-known/core.
type Prober struct{}

// Protocol is "coap".
func (Prober) Protocol() string { return "coap" }

// Ports are CoAP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 5683, Name: "coap"}}
}

// Ask asks for one block of 256 bytes. A device that knows no such resource, or
// resets the message, speaks CoAP as well.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	nonce := make([]byte, 2+tokenSize)
	_, _ = rand.Read(nonce) // it never fails
	id, token := binary.BigEndian.Uint16(nonce), nonce[2:]
	b, err := talk.Ask(ctx, d, request(id, token), func(b []byte) bool {
		_, err := parse(b, id, token)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	m, err := parse(b, id, token)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(b)}
	if m.kind == typeRst {
		a.Summary = "CoAP, reset"
		a.Add("type", "RST")
		return a, nil
	}
	a.Summary = "CoAP, " + codeName(m.code)
	a.Add("code", codeName(m.code))
	if m.format == linkFormat {
		all := links(string(m.payload), m.more)
		a.Add("resources", all...)
		a.Summary += fmt.Sprintf(", %d resources", len(all))
		if m.more {
			a.Summary += " and more"
		}
	} else if len(m.payload) > 0 {
		a.Add("payload", string(m.payload))
	}
	if m.size > 0 {
		a.Add("size", fmt.Sprint(m.size))
	}
	return a, nil
}
