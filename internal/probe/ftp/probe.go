// Package ftp asks an FTP server (RFC 959) for its greeting, its features (RFC
// 2389) and whether it lets the user anonymous in (RFC 1635): no password is sent.
//
// Fields: "greeting" and "anonymous" are the lines of the replies as received,
// "anonymous login" is "no password asked", "password asked" or "refused";
// "features" are the server's; "likely" is whose words the replies are.
package ftp

import (
	"context"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/reply"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for FTP.
type Prober struct{}

// Protocol is "ftp".
func (Prober) Protocol() string { return "ftp" }

// Ports are FTP's control port.
func (Prober) Ports() []probe.Port { return []probe.Port{{Proto: probe.TCP, Port: 21, Name: "ftp"}} }

// Ask reads the greeting, and says FEAT, USER anonymous and QUIT.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := session{say: func(line string) error { return c.Send([]byte(line + "\r\n")) }, next: c.Line, home: t.Port == 21 || t.Service == "ftp"}
	a, err := s.run()
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a.Protocol, a.Raw = p.Protocol(), c.Seen()
	return a, nil
}

// session is the conversation, on any way to say and hear lines.
type session struct {
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
	if greeting.Code == ready {
		// SMTP greets alike: a server that goes silent after it has to have said so.
		err := s.ask(a)
		said := strings.Contains(strings.ToUpper(a.Summary), "FTP") || s.home && reply.Gone(err)
		if a.Get("anonymous") == "" && (err == errNotFTP || !said) {
			return nil, err
		}
	}
	return a, nil
}

// ask asks what a server that is ready tells anyone.
func (s session) ask(a *probe.Answer) error {
	features, err := s.command("FEAT")
	if err != nil {
		return err
	}
	user, err := s.command("USER anonymous")
	if err != nil {
		return err
	}
	login, err := admits(user.Code)
	if err != nil {
		return err
	}
	a.Add("features", featureList(features)...)
	a.Add("anonymous", user.Lines...)
	a.Add("anonymous login", login)
	a.Summary = strings.TrimLeft(a.Summary+"; anonymous: "+login, "; ")
	if user.Code == 331 && strings.Join(user.Text(), "") == "Please specify the password." {
		a.Add("likely", "vsftpd, whose words ask for the password")
	}
	_, err = s.command("QUIT")
	return err
}

func (s session) command(line string) (reply.Reply, error) {
	if err := s.say(line); err != nil {
		return reply.Reply{}, err
	}
	return reply.Read(s.next)
}
