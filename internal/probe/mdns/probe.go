// Package mdns asks a host by multicast DNS's own port what kinds of services
// it announces on its link, and what it calls itself (RFC 6762, RFC 6763). Only
// that host is asked.
package mdns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks responders. Many answer only to their own link.
type Prober struct{}

// Protocol is "mdns".
func (Prober) Protocol() string { return "mdns" }

// Ports are mDNS's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 5353, Name: "mdns"}}
}

// Ask asks both in one datagram.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	var nonce [2]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	id, reverse := binary.BigEndian.Uint16(nonce[:]), reverseName(t.Addr)
	b, err := talk.Ask(ctx, d, request(id, reverse), func(b []byte) bool {
		_, err := parse(b, id, reverse)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	got, err := parse(b, id, reverse)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(b)}
	a.Add("names", got.names...)
	a.Add("services", got.services...)
	gist := append([]string{"mDNS"}, got.names...)
	for _, s := range got.services {
		gist = append(gist, strings.TrimSuffix(s, ".local"))
	}
	a.Summary = strings.Join(gist, ", ")
	return a, nil
}
