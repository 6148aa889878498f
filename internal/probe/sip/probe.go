// Package sip asks a telephone exchange or proxy what it can do, by SIP's
// OPTIONS (RFC 3261), over UDP and TCP. No telephone rings.
package sip

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks SIP servers.
type Prober struct{}

// Protocol is "sip".
func (Prober) Protocol() string { return "sip" }

// Ports are SIP's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 5060, Name: "sip"}, {Proto: probe.TCP, Port: 5060, Name: "sip"}}
}

// Ask sends one request. Any answer to it, a refusal too, is one of SIP.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	ask := udp
	if t.Proto == probe.TCP {
		ask = tcp
	}
	got, raw, err := ask(ctx, d, host(t))
	if err != nil {
		return talk.Fail(p.Protocol(), raw, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "SIP, " + got.status, Raw: talk.Head(raw)}
	a.Add("status", got.status)
	for _, h := range []struct{ field, name, compact string }{
		{"server", "Server", ""}, {"userAgent", "User-Agent", ""}, {"allow", "Allow", ""}, {"accept", "Accept", ""},
		{"supported", "Supported", "K"}, {"contact", "Contact", "M"}, {"warning", "Warning", ""},
	} {
		v := got.get(h.name, h.compact)
		if v == "" {
			continue
		}
		a.Add(h.field, v)
		if h.field == "server" || h.field == "userAgent" {
			a.Summary += ", " + v
		}
	}
	return a, nil
}

// host is the target in a SIP address, where IPv6 stands in brackets.
func host(t probe.Target) string {
	h := t.Host
	if h == "" {
		h = t.Addr.WithZone("").String()
	}
	if a, err := netip.ParseAddr(h); err == nil && a.Is6() {
		return "[" + h + "]"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("<>\"@;", r) {
			return -1 // a name may not end the line that it stands in
		}
		return r
	}, h)
}

func udp(ctx context.Context, d probe.Dialer, host string) (response, []byte, error) {
	id := rand.Text()
	b, err := talk.Ask(ctx, d, request("UDP", host, id), func(b []byte) bool {
		_, err := read(bytes.NewReader(b), id)
		return err == nil
	})
	if err != nil {
		return response{}, b, err
	}
	got, err := read(bytes.NewReader(b), id)
	return got, b, err
}

func tcp(ctx context.Context, d probe.Dialer, host string) (response, []byte, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return response{}, nil, err
	}
	defer c.Close()
	id := rand.Text()
	if err := c.Send(request("TCP", host, id)); err != nil {
		return response{}, c.Seen(), err
	}
	got, err := read(c, id)
	return got, c.Seen(), err
}
