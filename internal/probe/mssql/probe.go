// Package mssql asks Microsoft SQL Server: the browser at UDP 1434 which
// instances a machine has (MC-SQLR), an instance at TCP 1433 for its version and
// whether it encrypts (MS-TDS section 2.2.6.5). Nobody logs in.
//
// Fields of the browser come in groups, one an instance, named and ordered as
// received: "ServerName" begins each, "InstanceName", "IsClustered", "Version",
// and where it listens: "tcp", "np". "instances" at the end is their number. Those of an
// instance are "version" and "encryption".
package mssql

import (
	"context"
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for SQL Server.
type Prober struct{}

// Protocol is "mssql".
func (Prober) Protocol() string { return "mssql" }

// Ports are those of the first instance, and of the browser.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 1433, Name: "ms-sql-s"}, {Proto: probe.UDP, Port: 1434, Name: "ms-sql-m"}}
}

// Ask asks the browser by UDP, an instance by TCP.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	if t.Proto == probe.UDP {
		return p.browse(ctx, d)
	}
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	l, err := prelogin(c)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "version " + l.version + ", encryption " + l.encryption}
	a.Add("version", l.version)
	a.Add("encryption", l.encryption)
	return a, nil
}

func prelogin(c *talk.Conn) (login, error) {
	if err := c.Send(preloginRequest()); err != nil {
		return login{}, err
	}
	head, err := c.Full(headerSize)
	if err != nil {
		return login{}, err
	}
	size, err := replySize(head)
	if err != nil {
		return login{}, err
	}
	body, err := c.Full(size)
	if err != nil {
		return login{}, err
	}
	return parsePrelogin(body)
}

func (p Prober) browse(ctx context.Context, d probe.Dialer) (*probe.Answer, error) {
	var all []instance
	b, err := talk.Ask(ctx, d, []byte{askInstances}, func(b []byte) bool {
		var err error
		all, err = parseInstances(b)
		return err == nil
	})
	if err != nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: fmt.Sprintf("%d instances", len(all))}
	if len(all) == 1 {
		a.Summary = all[0].gist()
	}
	for _, i := range all {
		a.Fields = append(a.Fields, i...)
	}
	a.Add("instances", strconv.Itoa(len(all)))
	return a, nil
}
