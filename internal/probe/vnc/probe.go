// Package vnc asks a VNC server (RFB, RFC 6143) for its version and for the
// ways in which it lets people in. It tries none of them.
package vnc

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks VNC servers.
type Prober struct{}

// Protocol is "vnc".
func (Prober) Protocol() string { return "vnc" }

// Ports are those of the first displays.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 5900, Name: "rfb"}, {Proto: probe.TCP, Port: 5901, Name: "rfb"}, {Proto: probe.TCP, Port: 5902, Name: "rfb"}, {Proto: probe.TCP, Port: 5903, Name: "rfb"}}
}

// Ask reads the version, answers it, and reads the security types.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	greeting, err := c.Full(versionSize)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	major, minor, err := parseVersion(greeting)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: fmt.Sprintf("RFB %d.%d", major, minor), Raw: greeting}
	a.Add("version", fmt.Sprintf("%d.%d", major, minor))
	text, old := reply(major, minor)
	if err := c.Send([]byte(text)); err != nil {
		a.Add("error", err.Error())
		return a, nil
	}
	types, reason, err := security(c, old)
	switch {
	case err != nil:
		a.Add("error", err.Error())
	case reason != "":
		a.Add("reason", reason)
		a.Summary += ", " + reason
	default:
		a.Add("securityTypes", types...)
		a.Summary += ", " + strings.Join(types, ", ")
		if slices.Contains(types, securityName(1)) {
			a.Summary += ": open to anyone"
		}
	}
	return a, nil
}

// security reads the types (RFC 6143 section 7.1.2): a list, or the one that an
// old server has chosen; or why it has none.
func security(c *talk.Conn, old bool) (types []string, reason string, err error) {
	if old {
		b, err := c.Full(4)
		if err != nil {
			return nil, "", err
		}
		if t := binary.BigEndian.Uint32(b); t != 0 {
			return []string{securityName(t)}, "", nil
		}
		reason, err = why(c)
		return nil, reason, err
	}
	n, err := c.Full(1)
	if err != nil {
		return nil, "", err
	}
	if n[0] == 0 {
		reason, err = why(c)
		return nil, reason, err
	}
	list, err := c.Full(int(n[0]))
	for _, t := range list {
		types = append(types, securityName(uint32(t)))
	}
	return types, "", err
}

func why(c *talk.Conn) (string, error) {
	head, err := c.Full(4)
	if err != nil {
		return "", err
	}
	n, err := reasonLength(head)
	if err != nil {
		return "", err
	}
	b, err := c.Full(n)
	return "refused: " + string(b), err
}
