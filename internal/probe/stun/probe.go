// Package stun asks a STUN or TURN server from which address it sees us
// (RFC 8489), by UDP and by TCP.
package stun

import (
	"context"
	"crypto/rand"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks by a Binding request.
type Prober struct{}

// Protocol is "stun".
func (Prober) Protocol() string { return "stun" }

// Ports are those of STUN, and one that is widely used.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 3478, Name: "stun"}, {Proto: probe.TCP, Port: 3478, Name: "stun"}, {Proto: probe.UDP, Port: 19302, Name: "stun"}}
}

// Ask sends 20 bytes and gets some 80.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	id := make([]byte, transactionSize)
	_, _ = rand.Read(id) // it never fails
	ask := udp
	if t.Proto == probe.TCP {
		ask = tcp
	}
	b, err := ask(ctx, d, id)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	kind, n, err := header(b, id)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	got, err := parse(b[headSize:min(headSize+n, len(b))], id)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "STUN", Raw: talk.Head(b)}
	for _, f := range []struct{ name, value, gist string }{
		{"error", got.failure, ", " + got.failure}, {"mappedAddress", got.mapped, ", sees us as " + got.mapped}, {"software", got.software, ", " + got.software},
		{"otherAddress", got.other, ""}, {"alternateServer", got.alternate, ", sends us to " + got.alternate},
	} {
		if f.value != "" {
			a.Add(f.name, f.value)
			a.Summary += f.gist
		}
	}
	if kind == bindingError && got.failure == "" {
		a.Summary += ", an error without a code"
	}
	return a, nil
}

func udp(ctx context.Context, d probe.Dialer, id []byte) ([]byte, error) {
	return talk.Ask(ctx, d, request(id), func(b []byte) bool {
		_, n, err := header(b, id)
		return err == nil && headSize+n <= len(b)
	})
}

func tcp(ctx context.Context, d probe.Dialer, id []byte) ([]byte, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(request(id)); err != nil {
		return c.Seen(), err
	}
	head, body, err := c.Framed(headSize, func(head []byte) (int, error) {
		_, n, err := header(head, id)
		return n, err
	})
	if err != nil {
		return c.Seen(), err
	}
	return append(head, body...), nil
}
