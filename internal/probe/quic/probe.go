// Package quic asks whether a UDP port speaks QUIC, under HTTP/3 as a rule, and
// which versions: by a packet of a version that nobody has, which every server
// answers with its list (RFC 9000 section 6). It takes no cryptography.
package quic

import (
	"context"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for the versions.
type Prober struct{}

// Protocol is "quic".
func (Prober) Protocol() string { return "quic" }

// Ports are those of HTTP/3 and of DNS over QUIC.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 443, Name: "https"}, {Proto: probe.UDP, Port: 8443, Name: "quic"}, {Proto: probe.UDP, Port: 853, Name: "domain-s"}}
}

// Ask sends 1,200 bytes and gets some fifty.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	packet, dst, src := question()
	b, err := talk.Ask(ctx, d, packet, func(b []byte) bool { return answers(b, dst, src) })
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	_, _, versions, err := negotiation(b)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(b)}
	var names []string
	for _, v := range versions {
		if n := versionName(v); n != "" {
			names = append(names, n)
		}
	}
	a.Add("versions", names...)
	a.Summary = "QUIC " + strings.Join(names, ", ")
	return a, nil
}
