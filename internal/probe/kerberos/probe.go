// Package kerberos asks a key distribution centre (RFC 4120) for a ticket for
// nobody, and a password server (RFC 3244) for a change without one: both answer
// with an error that names realm and time.
//
// Fields: "error" is the code with its name, "realm" and "service" whose error
// it is, where that is more than was asked for, "time" the server's clock, "clock
// skew" how far it is ahead of ours, in whole seconds (Kerberos allows five
// minutes), "text" the server's own words, "likely" whose words they are.
package kerberos

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for Kerberos.
type Prober struct {
	Realm string // asked for a ticket of; "" one that nobody has
}

// Protocol is "kerberos".
func (Prober) Protocol() string { return "kerberos" }

// Ports are those of tickets and of password changes.
func (Prober) Ports() []probe.Port {
	return []probe.Port{
		{Proto: probe.UDP, Port: 88, Name: "kerberos"}, {Proto: probe.TCP, Port: 88, Name: "kerberos"},
		{Proto: probe.UDP, Port: 464, Name: "kpasswd"}, {Proto: probe.TCP, Port: 464, Name: "kpasswd"},
	}
}

// Ask asks for a ticket, or for a password change when that is the target's
// service or port.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	q, parse := ticketRequest(p.realm()), parseError
	if t.Service == "kpasswd" || t.Service != "kerberos" && t.Port == 464 {
		q, parse = passwordRequest(), parsePasswordReply
	}
	var e krbError
	understood := func(b []byte) bool {
		var err error
		e, err = parse(b)
		return err == nil
	}
	if t.Proto == probe.UDP {
		if b, err := talk.Ask(ctx, d, q, understood); err != nil {
			return talk.Fail(p.Protocol(), b, err)
		}
	} else if a, err := p.askTCP(ctx, d, q, understood); err != nil {
		return a, err
	} else if e.echoes(p.realm()) {
		e.realm = p.tooLong(ctx, d)
	}
	return e.answer(p.Protocol(), p.realm(), time.Now()), nil
}

func (p Prober) realm() string {
	if p.Realm == "" {
		return "PORTREPORTER.INVALID"
	}
	return p.Realm
}

// askTCP sends one message and reads one, each behind its length (RFC 4120
// section 7.2.2).
func (p Prober) askTCP(ctx context.Context, d probe.Dialer, q []byte, understood func([]byte) bool) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(append(binary.BigEndian.AppendUint32(nil, uint32(len(q))), q...)); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Protocol(), err)
	}
	b, err := received(c)
	if err == nil && !understood(b) {
		err = errNoAnswer
	}
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	return nil, nil
}

// received reads a message behind its length.
func received(c *talk.Conn) ([]byte, error) {
	size, err := c.Full(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if n == 0 || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	return c.Full(int(n))
}

// tooLong announces a message that is too long. A centre refuses that in its
// own name, not in that of the question, and so tells its realm (RFC 4120
// section 7.2.2 wants KRB_ERR_FIELD_TOOLONG where the first bit is set). "" is
// no answer: those of Windows hang up.
func (p Prober) tooLong(ctx context.Context, d probe.Dialer) string {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return ""
	}
	defer c.Close()
	if c.Send([]byte{0x80, 0, 0, 0}) != nil {
		return ""
	}
	b, err := received(c)
	if err != nil {
		return ""
	}
	e, err := parseError(b)
	if err != nil || strings.HasPrefix(e.realm, "<") { // Heimdal: "<unspecified realm>"
		return ""
	}
	return e.realm
}
