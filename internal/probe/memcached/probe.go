// Package memcached asks a memcached server for its version, by TCP and by UDP.
package memcached

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks memcached servers.
type Prober struct{}

// Protocol is "memcached".
func (Prober) Protocol() string { return "memcached" }

// Ports are memcached's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 11211, Name: "memcache"}, {Proto: probe.UDP, Port: 11211, Name: "memcache"}}
}

// Ask asks for the version and nothing else: the rest of the protocol is what
// makes open servers a weapon.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	ask := p.tcp
	if t.Proto == probe.UDP {
		ask = p.udp
	}
	line, raw, err := ask(ctx, d)
	if err != nil {
		return talk.Fail(p.Protocol(), raw, err)
	}
	v, err := version(line)
	if err != nil {
		return talk.Fail(p.Protocol(), raw, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "memcached " + v + ", open to anyone", Raw: talk.Head(raw)}
	a.Add("version", v)
	return a, nil
}

func (Prober) tcp(ctx context.Context, d probe.Dialer) (line string, raw []byte, err error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return "", nil, err
	}
	defer c.Close()
	if err := c.Send([]byte(question)); err != nil {
		return "", c.Seen(), err
	}
	if line, err = c.Line(); err != nil {
		return "", c.Seen(), err
	}
	raw = c.Seen()
	// The server closes anyway when we do: a farewell that fails costs nothing.
	_ = c.Send([]byte("quit\r\n"))
	return line, raw, nil
}

func (Prober) udp(ctx context.Context, d probe.Dialer) (line string, raw []byte, err error) {
	var nonce [2]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	id := binary.BigEndian.Uint16(nonce[:])
	raw, err = talk.Ask(ctx, d, append(frame(id), question...), func(b []byte) bool {
		_, err := unframe(b, id)
		return err == nil
	})
	if err != nil {
		return "", raw, err
	}
	line, err = unframe(raw, id)
	return line, raw, err
}
