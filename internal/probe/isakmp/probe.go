// Package isakmp asks for the key exchange of IPsec, in both of its versions:
// a main mode exchange of IKEv1 (RFC 2408, RFC 2409) and the first exchange of
// IKEv2 (RFC 7296). Both are left where they are, and expire at the peer.
//
// Fields: "versions" are those that were answered; "IKEv1" and "IKEv2" are what
// was, in words: the transform chosen, or the notification of a refusal;
// "vendor IDs" what the peer says it can, by name where that is known.
package isakmp

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for IKE.
type Prober struct{}

// Protocol is "isakmp".
func (Prober) Protocol() string { return "isakmp" }

// Ports are IKE's, and that of IKE through address translators (RFC 3948).
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 500, Name: "isakmp"}, {Proto: probe.UDP, Port: 4500, Name: "ipsec-nat-t"}}
}

// Ask asks in both versions at once. At port 4500, or where the service says
// so, messages are marked as no ESP.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	e := exchange{marked: t.Service == "ipsec-nat-t" || t.Service != "isakmp" && t.Port == 4500}
	_, _ = rand.Read(e.cookie[:]) // never fails: crypto/rand ends the program instead
	random := make([]byte, publicSize+nonceSize)
	_, _ = rand.Read(random)
	b, err := talk.AskOn(ctx, c, d.Wait(), e.mark(e.saInit(random)), func(b []byte) bool {
		e.hear(b)
		return e.one != "" && e.two != ""
	}, e.mark(e.mainMode()))
	if e.one == "" && e.two == "" {
		return talk.Fail(p.Protocol(), b, err)
	}
	return e.answer(p.Protocol()), nil
}

// answer tells what came.
func (e *exchange) answer(protocol string) *probe.Answer {
	a := &probe.Answer{Protocol: protocol}
	var versions, gist []string
	for _, v := range []struct{ version, said string }{{"1", e.one}, {"2", e.two}} {
		if v.said != "" {
			versions = append(versions, v.version)
			gist = append(gist, "IKEv"+v.version+" "+v.said)
		}
	}
	a.Add("versions", versions...)
	for _, v := range []struct{ name, said string }{{"IKEv1", e.one}, {"IKEv2", e.two}} {
		if v.said != "" {
			a.Add(v.name, v.said)
		}
	}
	a.Add("vendor IDs", e.vendors...)
	a.Summary = strings.Join(gist, "; ")
	return a
}
