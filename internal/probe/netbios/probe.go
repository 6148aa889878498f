// Package netbios asks NetBIOS over TCP/IP (RFC 1001, RFC 1002): the name
// service for an adapter's status, the session service for a session, and by the
// datagram service a domain controller for its domain.
//
// Fields of the name service are "names", such as "DC1 <20> unique, file
// server", and "MAC address", lower case with colons, of zeros where the server
// keeps it to itself. Those of the session service are "session" ("accepted",
// "refused: ...", "go to 192.0.2.1:139"), and in a session what the file server
// says of SMB, named as package smb does. Those of a domain controller are named
// as in MS-ADTS section 6.3.1.9 ("DnsHostName", "DcSiteName", "Flags").
package netbios

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
	"github.com/portreporter/portreporter/internal/probe/smb"
)

// Prober asks for NetBIOS's names and sessions.
type Prober struct{}

// Protocol is "netbios".
func (Prober) Protocol() string { return "netbios" }

// Ports are those of the name and the session service.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 137, Name: "netbios-ns"}, {Proto: probe.TCP, Port: 139, Name: "netbios-ssn"}}
}

// Ask asks for the status of all names by UDP, and for a session by TCP.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	if t.Proto == probe.UDP {
		return p.status(ctx, d)
	}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := session(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "session " + s}
	a.Add("session", s)
	if s == accepted {
		words := a.Summary
		if smb.Describe(c, a) == nil {
			a.Summary = words + ", " + a.Summary
		}
	}
	return a, nil
}

func session(c *talk.Conn) (string, error) {
	if err := c.Send(sessionRequest()); err != nil {
		return "", err
	}
	head, err := c.Full(4)
	if err != nil {
		return "", err
	}
	size, err := sessionReply(head)
	if err != nil {
		return "", err
	}
	body, err := c.Full(size)
	if err != nil {
		return "", err
	}
	return sessionWords(head[0], body), nil
}

func (p Prober) status(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	s, b, err := askStatus(ctx, d)
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: fmt.Sprintf("%s, MAC address %s", s.gist(), s.mac)}
	a.Add("names", s.lines()...)
	a.Add("MAC address", s.mac.String())
	return a, nil
}

// askStatus asks a name service, and returns what came instead with an error.
func askStatus(ctx context.Context, d probe.Dialer) (s adapterStatus, came []byte, err error) {
	id := newID()
	came, err = talk.Ask(ctx, d, statusRequest(id), func(b []byte) bool {
		var err error
		s, err = parseStatus(b, id)
		return err == nil
	})
	return s, came, err
}

func newID() uint16 {
	id := make([]byte, 2)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the program instead
	return binary.BigEndian.Uint16(id)
}
