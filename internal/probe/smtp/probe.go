// Package smtp asks a mail server (RFC 5321) for its greeting and its
// extensions.
//
// Fields: "greeting" is the reply as received, "name" what the server calls
// itself in its answer to EHLO, "extensions" what it offers.
package smtp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/reply"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for SMTP.
type Prober struct{}

// Protocol is "smtp".
func (Prober) Protocol() string { return "smtp" }

// Ports are those of mail transport and of submission (RFC 6409).
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 25, Name: "smtp"}, {Proto: probe.TCP, Port: 587, Name: "submission"}}
}

// Ask reads the greeting, and says EHLO and QUIT.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := session{
		name: literal(c.LocalAddr()),
		say:  func(line string) error { return c.Send([]byte(line + "\r\n")) },
		next: c.Line,
		home: t.Port == 25 || t.Port == 587 || t.Service == "smtp" || t.Service == "submission",
	}
	a, err := s.run()
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a.Protocol, a.Raw = p.Protocol(), c.Seen()
	return a, nil
}

// literal is what a client that has no name calls itself (RFC 5321 section
// 4.1.3).
func literal(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return "[127.0.0.1]"
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}

// session is the conversation, on any way to say and hear lines.
type session struct {
	name string // whom the server hears of
	say  func(line string) error
	next func() (string, error)
	home bool // the port is the protocol's, by name or number: a greeting is enough
}

func (s session) run() (*probe.Answer, error) {
	greeting, err := reply.Read(s.next)
	if err == nil {
		err = greets(greeting)
	}
	if err != nil {
		return nil, err
	}
	a := &probe.Answer{Summary: strings.Join(greeting.Text(), " ")}
	a.Add("greeting", greeting.Lines...)
	if greeting.Code != ready {
		return a, nil
	}
	hello, err := s.command("EHLO " + s.name)
	if err == nil && hello.Code != done { // a server of RFC 821
		hello, err = s.command("HELO " + s.name)
	}
	if err == nil && hello.Code != done && hello.Code != unavailable && hello.Code != noService {
		err = fmt.Errorf("code %d for HELO", hello.Code)
	}
	// FTP greets alike: a server that goes silent after it has to have said so.
	said := strings.Contains(strings.ToUpper(a.Summary), "SMTP") || s.home && reply.Gone(err)
	if err != nil && !said {
		return nil, err
	}
	if err == nil && hello.Code == done {
		name, extensions := offers(hello)
		a.Add("name", name...)
		a.Add("extensions", extensions...)
	}
	if err == nil {
		_, _ = s.command("QUIT") // the answer is complete, whatever comes
	}
	return a, nil
}

func (s session) command(line string) (reply.Reply, error) {
	if err := s.say(line); err != nil {
		return reply.Reply{}, err
	}
	return reply.Read(s.next)
}
