// Package rpc asks the endpoint mapper of DCE RPC (C706 appendix O, MS-RPCE)
// which interfaces a machine offers and where: over TCP and, as old Windows
// answers, over UDP.
//
// Fields come in groups, one an endpoint, in the order received: "UUID" begins
// each, "version", then "annotation" (the server's own words, often none),
// "name" (ours, for interfaces that are documented) and "binding", such as
// "ncacn_ip_tcp:192.0.2.1[49664]" with the address that the mapper gave, which
// may be 0.0.0.0 for its own. "endpoints" at the end is their number;
// "incomplete" says why not all came.
package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Bounds of what a mapper may tell: a domain controller has some hundreds of
// endpoints.
const (
	maxCalls     = 512
	maxEndpoints = 4096
	maxReply     = 1 << 20
)

// How many endpoints are asked for at once: over UDP as many as a datagram
// without fragments holds, at 200 bytes each.
const (
	batchTCP = 500
	batchUDP = 6
)

// Prober asks for the endpoint mapper.
type Prober struct{}

// Protocol is "rpc".
func (Prober) Protocol() string { return "rpc" }

// Ports are the endpoint mapper's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 135, Name: "epmap"}, {Proto: probe.UDP, Port: 135, Name: "epmap"}}
}

// Ask binds to the endpoint mapper and looks up all that it has.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	if t.Proto == probe.UDP {
		return p.askUDP(ctx, d)
	}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := bind(c); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	var call uint32
	all, err := collect(func(handle []byte) ([]byte, error) {
		call++
		return lookupTCP(c, call, handle)
	})
	return answer(p.Protocol(), all, err), nil
}

// refusal is an answer of the protocol's own that says no.
type refusal struct{ why string }

func (r refusal) Error() string { return r.why }

// bind asks for the endpoint mapper's interface. A server that speaks RPC but
// won't has answered too: lookups then fail, and say so.
func bind(c *talk.Conn) error {
	if err := c.Send(bindPDU()); err != nil {
		return err
	}
	h, _, err := readPDU(c)
	if err != nil {
		return err
	}
	if h.kind != pduBindAck && h.kind != pduBindNak && h.kind != pduFault {
		return fmt.Errorf("PDU %d for a bind", h.kind)
	}
	return nil
}

// readPDU reads one PDU: its header, and what follows that.
func readPDU(c *talk.Conn) (header, []byte, error) {
	b, err := c.Full(headerSize)
	if err != nil {
		return header{}, nil, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return header{}, nil, err
	}
	body, err := c.Full(h.size - headerSize)
	return h, body, err
}

// lookupTCP asks once, and joins the fragments of the reply.
func lookupTCP(c *talk.Conn, call uint32, handle []byte) ([]byte, error) {
	if err := c.Send(requestPDU(call, lookup(handle, batchTCP))); err != nil {
		return nil, err
	}
	var stub []byte
	for {
		h, body, err := readPDU(c)
		if err != nil {
			return nil, err
		}
		part, err := h.stub(body)
		if err != nil {
			return nil, err
		}
		if len(stub)+len(part) > maxReply {
			return nil, errors.New("a reply without end")
		}
		if stub = append(stub, part...); h.last {
			return stub, nil
		}
	}
}

// collect looks up until the mapper has no more: each call gives a part, and a
// handle to go on with (one call alone is what other tools stop at).
func collect(call func(handle []byte) ([]byte, error)) (all []endpoint, err error) {
	handle := make([]byte, handleSize)
	for range maxCalls {
		stub, err := call(handle)
		if err != nil {
			return all, err
		}
		part, next, more, err := parseLookup(stub)
		if err != nil {
			return all, err
		}
		all, handle = append(all, part...), next
		if !more {
			return all, nil
		}
		if len(all) > maxEndpoints {
			break
		}
	}
	return all, fmt.Errorf("more than %d endpoints or %d calls", maxEndpoints, maxCalls)
}

// askUDP asks over the connectionless protocol, one datagram a call.
func (p Prober) askUDP(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	activity := make([]byte, 16)
	_, _ = rand.Read(activity) // never fails: crypto/rand ends the program instead
	var sequence uint32
	var seen []byte
	all, err := collect(func(handle []byte) ([]byte, error) {
		q := datagram(activity, sequence, lookup(handle, batchUDP))
		sequence++
		b, err := talk.AskOn(ctx, c, d.Wait(), q, func(b []byte) bool { return answers(q, b) })
		if seen == nil {
			seen = b
		}
		if err != nil {
			return nil, err
		}
		return datagramStub(b)
	})
	if err != nil && (seen == nil || errors.Is(err, probe.ErrProtocol)) && len(all) == 0 {
		return talk.Fail(p.Protocol(), seen, err)
	}
	return answer(p.Protocol(), all, err), nil
}

// answer puts what was found in fields; err says why there is no more of it.
func answer(protocol string, all []endpoint, err error) *probe.Answer {
	a := &probe.Answer{Protocol: protocol, Summary: strconv.Itoa(len(all)) + " endpoints"}
	for _, e := range all {
		e.describe(a)
	}
	a.Add("endpoints", strconv.Itoa(len(all)))
	if err != nil {
		why := err.Error()
		var r refusal
		if errors.As(err, &r) {
			why = r.why
		}
		a.Add("incomplete", why)
		a.Summary += ", incomplete: " + why
	}
	return a
}
