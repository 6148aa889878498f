// Package ssh asks an SSH server for its version and for the algorithms that
// it offers (RFC 4253). It ends before keys are agreed on.
package ssh

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const maxLines = 50 // that a server may say before its version

// Prober asks SSH servers.
type Prober struct{}

// Protocol is "ssh".
func (Prober) Protocol() string { return "ssh" }

// Ports are SSH's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 22, Name: "ssh"}, {Proto: probe.TCP, Port: 2222, Name: "ssh"}}
}

// Ask reads the version, says its own, reads the algorithms and leaves. A
// server that says its version and then hangs up has answered.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v, before, err := greeting(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: strings.TrimSpace(v.software + " " + v.comments)}
	a.Add("protoversion", v.proto)
	a.Add("softwareversion", v.software)
	if v.comments != "" {
		a.Add("comments", v.comments)
	}
	a.Add("banner", before...)
	if err := algorithms(c, a); err != nil {
		a.Add("error", err.Error())
	}
	a.Raw = talk.Head([]byte(strings.Join(append(before, "SSH-"+v.proto+"-"+a.Summary), "\r\n") + "\r\n"))
	return a, nil
}

// greeting reads up to the version; what a server says before it is for people.
func greeting(c *talk.Conn) (version, []string, error) {
	var before []string
	for range maxLines {
		line, err := c.Line()
		if err != nil {
			return version{}, nil, err
		}
		if strings.HasPrefix(line, "SSH-") {
			v, err := parseVersion(line)
			return v, before, err
		}
		before = append(before, line)
	}
	return version{}, nil, fmt.Errorf("no version in %d lines", maxLines)
}

func algorithms(c *talk.Conn, a *probe.Answer) error {
	if err := c.Send([]byte("SSH-2.0-portreporter\r\n")); err != nil {
		return err
	}
	head, err := c.Full(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxPacket {
		return fmt.Errorf("packet of %d bytes", n)
	}
	packet, err := c.Full(int(n))
	if err != nil {
		return err
	}
	body, err := payload(packet)
	if err != nil {
		return err
	}
	if err := kexInit(body, a); err != nil {
		return err
	}
	return c.Send(disconnect())
}
