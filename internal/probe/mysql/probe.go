// Package mysql asks servers of MySQL's protocol, MariaDB's too, for their
// version, their way to authenticate and their certificate.
package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/secure"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const rounds = 4 // of an authentication, before we hang up

// Prober asks for a handshake.
type Prober struct{}

// Protocol is "mysql".
func (Prober) Protocol() string { return "mysql" }

// Ports are MySQL's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 3306, Name: "mysql"}}
}

// Ask reads the handshake, and then logs in as "portreporter" without a
// password, which is refused. A server counts clients that leave before that
// as errors of their host, and locks the host out after max_connect_errors of
// them: a watch on the port would do that to the machine that it runs on.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	first, _, err := read(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: talk.Head(append([]byte{}, first...))}
	if e, err := parseError(first); err == nil { // this host is not allowed, or too many clients
		a.Summary = "MySQL protocol, " + e.String()
		describe(a, e)
		return a, nil
	}
	h, err := parseHandshake(first)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a.Summary = h.release()
	a.Add("version", h.version)
	a.Add("connectionId", strconv.FormatUint(uint64(h.connection), 10))
	if h.plugin != "" {
		a.Add("authPlugin", h.plugin)
	}
	a.Add("tls", map[bool]string{true: "yes", false: "no"}[h.capabilities&clientSSL != 0])
	if err := leave(ctx, c, t, d.Wait(), h, a); err != nil {
		a.Add("error", err.Error())
	}
	return a, nil
}

// leave logs in, by TLS where there is any, and adds what the server says.
func leave(ctx context.Context, c *talk.Conn, t probe.Target, wait time.Duration, h handshake, a *probe.Answer) error {
	seq := byte(1)
	secured := h.capabilities&clientSSL != 0
	if secured {
		if err := c.Send(packet(seq, tlsRequest())); err != nil {
			return err
		}
		s, err := secure.Client(ctx, c, t)
		if err != nil {
			return errors.New(secure.Refusal(err))
		}
		a.Summary += ", " + secure.Describe(a, s.ConnectionState(), t, time.Now())
		c = talk.Over(ctx, s, wait)
		defer c.Close()
		seq++
	}
	if err := c.Send(packet(seq, login(secured, h.plugin))); err != nil {
		return err
	}
	for range rounds {
		b, seq, err := read(c)
		if err != nil {
			return err
		}
		switch b[0] {
		case packetError:
			e, err := parseError(b)
			if err == nil {
				describe(a, e)
			}
			return err
		case packetOK:
			a.Add("login", "anybody may")
			return c.Send(packet(0, []byte{1})) // COM_QUIT
		case packetSwitchAuth, packetMoreData: // by another plugin: still without a password
			if err := c.Send(packet(seq+1, nil)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("login answered by packet %#02x", b[0])
		}
	}
	return errors.New("login without an end")
}

func describe(a *probe.Answer, e refusal) {
	a.Add("errorCode", strconv.Itoa(int(e.code)))
	if e.state != "" {
		a.Add("sqlState", e.state)
	}
	a.Add("message", e.message)
}

// read reads one packet.
func read(c *talk.Conn) (body []byte, seq byte, err error) {
	head, err := c.Full(4)
	if err != nil {
		return nil, 0, err
	}
	size, seq, err := header(head)
	if err != nil {
		return nil, 0, err
	}
	body, err = c.Full(size)
	return body, seq, err
}
