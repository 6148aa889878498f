// Package memcached asks a memcached server for its version, by TCP and by UDP.
package memcached

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const maxStatistics = 500 // lines; servers have some 90

// Prober asks memcached servers.
type Prober struct{}

// Protocol is "memcached".
func (Prober) Protocol() string { return "memcached" }

// Ports are memcached's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 11211, Name: "memcache"}, {Proto: probe.UDP, Port: 11211, Name: "memcache"}}
}

// Ask asks for the version, and by TCP for how long it runs. By UDP it asks
// nothing else: the rest of the protocol is what makes open servers a weapon.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	a := &probe.Answer{Protocol: p.Protocol()}
	ask := p.udp
	if t.Proto == probe.TCP {
		ask = func(ctx context.Context, d probe.Dialer) (string, []byte, error) { return p.tcp(ctx, d, a) }
	}
	line, raw, err := ask(ctx, d)
	if err != nil {
		return talk.Fail(p.Protocol(), raw, err)
	}
	v, err := version(line)
	if err != nil {
		return talk.Fail(p.Protocol(), raw, err)
	}
	a.Summary, a.Raw = "memcached "+v+", open to anyone", talk.Head(raw)
	a.Fields = append([]probe.Field{{Name: "version", Values: []string{v}}}, a.Fields...)
	return a, nil
}

// tcp adds what is told beside the version.
func (Prober) tcp(ctx context.Context, d probe.Dialer, a *probe.Answer) (line string, raw []byte, err error) {
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
	if _, err := version(line); err == nil {
		statistics(c, a)
	}
	// The server closes anyway when we do: a farewell that fails costs nothing.
	_ = c.Send([]byte("quit\r\n"))
	return line, raw, nil
}

// statistics asks for them, and keeps the time that the server runs. They end
// with a line END; one that does not know the word says ERROR.
func statistics(c *talk.Conn, a *probe.Answer) {
	if c.Send([]byte("stats\r\n")) != nil {
		return
	}
	for range maxStatistics {
		line, err := c.Line()
		if err != nil || !strings.HasPrefix(line, "STAT ") {
			return
		}
		if d, ok := uptime(line); ok {
			a.Add("uptime", d.String())
		}
	}
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
