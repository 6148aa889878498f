// Package radius asks a RADIUS server for its state, by Status-Server (RFC
// 5997). A server is silent to clients that it does not know and to a wrong
// secret, by design: silence says nothing about it.
package radius

import (
	"context"
	"crypto/rand"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks RADIUS servers, signing with Secret. It is in no answer, and in
// no datagram either: only a hash of it is.
type Prober struct{ Secret string }

// Protocol is "radius".
func (Prober) Protocol() string { return "radius" }

// Ports are those of authentication and of accounting.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 1812, Name: "radius"}, {Proto: probe.UDP, Port: 1813, Name: "radius-acct"}}
}

// Ask sends 52 bytes and gets some 20.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	var id [1]byte
	_, _ = rand.Read(id[:]) // it never fails
	secret := []byte(p.Secret)
	q := request(id[0], secret)
	b, err := talk.Ask(ctx, d, q, func(b []byte) bool {
		_, err := parse(b, q, secret)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	got, err := parse(b, q, secret)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "RADIUS, " + codeName(got.code), Raw: talk.Head(b)}
	a.Add("code", codeName(got.code))
	a.Add("replyMessage", got.messages...)
	if !got.genuine {
		a.Add("problem", "the answer is not signed with our secret")
		a.Summary += ", not signed with our secret"
	}
	return a, nil
}
