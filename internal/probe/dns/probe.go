// Package dns asks a name server (RFC 1035) who serves the root, which tells
// whether and how it answers without telling it any name of ours (localhost
// where it takes the root for a mistake), and what it says of itself: its version
// and identity (RFC 4892, RFC 5001).
//
// Fields: "rcode", "flags" (AA, TC, RA, AD as set), "question", "answers" and
// "authority" (records as in master files), "payload" (the EDNS size that it
// takes), "nsid", "version.bind" and "id.server".
package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for DNS.
type Prober struct {
	Name string // asked for in the first question; "" the root
}

// Protocol is "dns".
func (Prober) Protocol() string { return "dns" }

// Ports are DNS's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 53, Name: "domain"}, {Proto: probe.TCP, Port: 53, Name: "domain"}}
}

// Ask asks three questions, one after another: only the first has to be answered.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	ask := p.askUDP
	if t.Proto == probe.TCP {
		ask = p.askTCP
	}
	return ask(ctx, d)
}

func (p Prober) askUDP(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return p.interview(func(q []byte) (message, []byte, error) {
		var m message
		b, err := talk.AskOn(ctx, c, d.Wait(), q, func(b []byte) bool {
			var err error
			m, err = parse(b, q)
			return err == nil
		})
		return m, b, err
	})
}

func (p Prober) askTCP(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return p.interview(func(q []byte) (message, []byte, error) {
		b, err := exchange(c, q)
		if err != nil {
			return message{}, c.Seen(), err
		}
		m, err := parse(b, q)
		return m, c.Seen(), err
	})
}

// exchange sends one message and reads one, each behind its length (RFC 1035
// section 4.2.2).
func exchange(c *talk.Conn, q []byte) ([]byte, error) {
	if err := c.Send(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
		return nil, err
	}
	size, err := c.Full(2)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size))
	if n < headerSize {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	// What is no answer is known by its first bytes, and not waited for to its end.
	b, err := c.Full(headerSize)
	if err != nil || !answersTo(b, q) {
		return b, err
	}
	rest, err := c.Full(n - headerSize)
	return append(b, rest...), err
}

// interview asks by the given way: the name, then version and identity.
func (p Prober) interview(ask func([]byte) (message, []byte, error)) (*probe.Answer, error) {
	m, seen, err := ask(question(id(), p.Name, typeNS, classIN))
	if err != nil {
		return talk.Fail(p.Protocol(), seen, err)
	}
	if p.Name == "" && m.rcode == formErr { // Samba's server knows no name without a label
		if again, _, err := ask(question(id(), "localhost", typeA, classIN)); err == nil {
			m = again
		}
	}
	a := &probe.Answer{Protocol: p.Protocol()}
	m.describe(a)
	gist := []string{m.rcode}
	for _, name := range []string{"version.bind", "id.server"} {
		m, _, err := ask(question(id(), name, typeTXT, classCH))
		if err != nil {
			break // what it won't answer once it will not answer in another form
		}
		if text := m.text(); len(text) > 0 {
			a.Add(name, text...)
			gist = append(gist, strings.Join(text, " "))
		}
	}
	a.Summary = strings.Join(gist, ", ")
	return a, nil
}

// id is what tells a question's answer from what a stranger made up.
func id() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return binary.BigEndian.Uint16(b[:])
}
