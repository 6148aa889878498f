// Package redis asks servers of Redis's protocol, Valkey and KeyDB among them,
// whether they answer strangers, and who they are.
package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks by PING and INFO.
type Prober struct{}

// Protocol is "redis".
func (Prober) Protocol() string { return "redis" }

// Ports are Redis's, and Sentinel's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 6379, Name: "redis"}, {Proto: probe.TCP, Port: 26379, Name: "redis"}}
}

// Ask sends both questions at once. A server that wants a password says so,
// which is an answer; none is sent.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(request()); err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: "open to anyone"}
	line, err := c.Line()
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	if line != "+PONG" {
		code, text, err := refusal(line)
		if err != nil {
			return c.Fail(p.Protocol(), err)
		}
		a.Add("error", strings.TrimSpace(code+" "+text))
		a.Summary = map[string]string{"NOAUTH": "asks for a password", "DENIED": "protected mode"}[code]
		if a.Summary == "" {
			a.Summary = code + " " + text
		}
		a.Raw = talk.Head(c.Seen())
		return a, nil
	}
	if err := about(c, a); err != nil {
		a.Add("error", err.Error())
	}
	a.Raw = talk.Head(c.Seen())
	return a, nil
}

// about reads the answer to INFO, which may be refused where PING is not.
func about(c *talk.Conn, a *probe.Answer) error {
	line, err := c.Line()
	if err != nil {
		return err
	}
	length, ok := strings.CutPrefix(line, "$")
	if !ok {
		if code, text, err := refusal(line); err == nil {
			return fmt.Errorf("%s %s", code, text)
		}
		return errors.New("no answer to INFO")
	}
	n, err := bulkLength(length)
	if err != nil {
		return err
	}
	text, err := c.Full(max(n, 0))
	if err != nil {
		return err
	}
	for _, kv := range info(string(text)) {
		switch {
		case kv.name == "redis_version" || kv.name == "valkey_version":
			name, _, _ := strings.Cut(kv.name, "_")
			a.Summary = name + " " + kv.value + ", open to anyone"
		case !slices.Contains([]string{"redis_mode", "server_mode", "os", "arch_bits", "tcp_port", "run_id", "uptime_in_seconds", "config_file", "executable"}, kv.name) || kv.value == "":
			continue
		}
		a.Add(kv.name, kv.value)
	}
	return nil
}
