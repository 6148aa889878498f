// Package rsync asks an rsync daemon for its version and for the modules that
// it shows to everybody.
package rsync

import (
	"context"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const maxLines = 200 // of message of the day and modules

// Prober asks rsync daemons.
type Prober struct{}

// Protocol is "rsync".
func (Prober) Protocol() string { return "rsync" }

// Ports are rsync's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 873, Name: "rsync"}}
}

// Ask greets and asks for the list.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	line, err := c.Line()
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	protocol, digests, err := parseGreeting(line)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "rsync daemon, protocol " + protocol}
	a.Add("protocol", protocol)
	a.Add("digests", digests...)
	if err := modules(c, a); err != nil {
		a.Add("error", err.Error())
	}
	a.Raw = talk.Head(c.Seen())
	return a, nil
}

// modules reads the message of the day and the modules behind it.
func modules(c *talk.Conn, a *probe.Answer) error {
	if err := c.Send([]byte(ours + list)); err != nil {
		return err
	}
	var motd, names []string
	defer func() {
		a.Add("motd", motd...)
		a.Add("modules", names...)
		a.Summary += fmt.Sprintf(", %d modules shown", len(names))
	}()
	for range maxLines {
		line, err := c.Line()
		if err != nil {
			return err
		}
		if ended, refused := end(line); refused != "" {
			a.Add("refused", refused)
			return nil
		} else if ended {
			return nil
		}
		if name, comment, ok := module(line); ok {
			names = append(names, strings.TrimSpace(name+" "+comment))
		} else {
			motd = append(motd, line)
		}
	}
	return fmt.Errorf("no end in %d lines", maxLines)
}
