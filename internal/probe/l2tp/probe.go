// Package l2tp asks for a tunnel of L2TP (RFC 2661), and stops it as soon as the
// peer has said who it is.
//
// Fields: "answer" is the message's name, "hostName", "vendorName",
// "protocolVersion" and "firmware" are the peer's, "result" why it refused.
package l2tp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for L2TP.
type Prober struct{}

// Protocol is "l2tp".
func (Prober) Protocol() string { return "l2tp" }

// Ports are L2TP's.
func (Prober) Ports() []probe.Port { return []probe.Port{{Proto: probe.UDP, Port: 1701, Name: "l2tp"}} }

// Ask asks for a control connection, and stops the one that it got.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	tunnel := tunnelID()
	var r reply
	b, err := talk.AskOn(ctx, c, d.Wait(), startRequest(tunnel), func(b []byte) bool {
		var err error
		r, err = parse(b, tunnel)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	if r.kind == startReply {
		// It may answer from another port (RFC 2661 section 8.1).
		if _, err := c.WriteTo(stop(r.tunnel, tunnel), c.Peer().Port()); err != nil {
			return nil, fmt.Errorf("%s: stop the tunnel: %w", p.Protocol(), err)
		}
	}
	return r.answer(p.Protocol()), nil
}

// tunnelID is what the peer's answer has to be to, never 0.
func tunnelID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return binary.BigEndian.Uint16(b[:]) | 1
}

func (r reply) answer(protocol string) *probe.Answer {
	a := &probe.Answer{Protocol: protocol}
	name := "SCCRP"
	if r.kind == stopTunnel {
		name = "StopCCN"
	}
	gist := []string{name}
	a.Add("answer", name)
	for _, f := range []struct{ name, value string }{{"hostName", r.host}, {"vendorName", r.vendor}, {"protocolVersion", r.version}, {"firmware", r.firmware}, {"result", r.result}} {
		if f.value == "" {
			continue
		}
		a.Add(f.name, f.value)
		if f.name != "protocolVersion" && f.name != "firmware" {
			gist = append(gist, f.value)
		}
	}
	a.Summary = strings.Join(gist, ", ")
	return a
}
