// Package tftp asks a TFTP server (RFC 1350) for a file that it hardly has, and
// sends it an error should it begin to send one.
//
// Fields: "error" is the code with its name, "message" the server's own text;
// "answer" is "DATA" or "OACK" where there was no error; "from port" is the
// port that a server chose to answer from.
package tftp

import (
	"context"
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// fileName is what is asked for.
const fileName = "portreporter-query-of-no-file"

// Prober asks for TFTP.
type Prober struct{}

// Protocol is "tftp".
func (Prober) Protocol() string { return "tftp" }

// Ports are TFTP's.
func (Prober) Ports() []probe.Port { return []probe.Port{{Proto: probe.UDP, Port: 69, Name: "tftp"}} }

// Ask asks to read a file. The answer comes from a port of the server's choice.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var r reply
	b, err := talk.AskOn(ctx, c, d.Wait(), readRequest(fileName), func(b []byte) bool {
		var err error
		r, err = parse(b)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	port := c.Peer().Port()
	if r.op != opError {
		if _, err := c.WriteTo(goodbye(), port); err != nil {
			return nil, fmt.Errorf("%s: end the transfer: %w", p.Protocol(), err)
		}
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: r.String()}
	if r.op == opError {
		a.Add("error", errorName(r.code))
		if r.text != "" {
			a.Add("message", r.text)
		}
	} else {
		a.Add("answer", r.String())
	}
	a.Add("from port", strconv.Itoa(int(port)))
	return a, nil
}
