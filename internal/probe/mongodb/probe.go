// Package mongodb asks a MongoDB server what it is and what set it belongs to,
// by the commands that it answers before anybody logs in.
package mongodb

import (
	"context"
	"errors"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks MongoDB servers.
type Prober struct{}

// Protocol is "mongodb".
func (Prober) Protocol() string { return "mongodb" }

// Ports are those of servers, shards and configuration servers.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 27017, Name: "mongodb"}, {Proto: probe.TCP, Port: 27018, Name: "mongodb"}, {Proto: probe.TCP, Port: 27019, Name: "mongodb"}}
}

// Ask runs hello, or isMaster where that is not known yet, and buildInfo for
// the version.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	fields, err := run(c, 1, "hello")
	if err == nil && get(fields, "ok") != "1" {
		fields, err = run(c, 2, "isMaster")
	}
	if err == nil && get(fields, "ok") == "" {
		err = errors.New("an answer without ok")
	}
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "MongoDB", Raw: talk.Head(c.Seen())}
	// A server that hides its version has still answered.
	if build, err := run(c, 3, "buildInfo"); err == nil && get(build, "version") != "" {
		a.Summary += " " + get(build, "version")
		a.Add("version", get(build, "version"))
	}
	if set := get(fields, "setName"); set != "" {
		a.Summary += ", set " + set
	}
	switch {
	case get(fields, "msg") == "isdbgrid":
		a.Summary += ", router"
	case get(fields, "isWritablePrimary") == "true" || get(fields, "ismaster") == "true":
		a.Summary += ", primary"
	case get(fields, "secondary") == "true":
		a.Summary += ", secondary"
	}
	for _, f := range fields {
		if !strings.HasPrefix(f.name, "$") && !strings.HasPrefix(f.name, "topologyVersion") && f.name != "ok" {
			a.Add(f.name, f.values...)
		}
	}
	return a, nil
}

// run sends one command and reads its answer.
func run(c *talk.Conn, id uint32, command string) ([]field, error) {
	if err := c.Send(message(id, command)); err != nil {
		return nil, err
	}
	_, b, err := c.Framed(headSize, func(head []byte) (int, error) { return length(head, id) })
	if err != nil {
		return nil, err
	}
	return parse(b)
}
