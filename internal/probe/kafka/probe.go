// Package kafka asks a Kafka broker which requests it knows, and where it says
// that the brokers of its cluster are: a client that reaches this one must
// reach those too.
package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks Kafka brokers.
type Prober struct{}

// Protocol is "kafka".
func (Prober) Protocol() string { return "kafka" }

// Ports are Kafka's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 9092, Name: "kafka"}}
}

// Ask asks for versions and then for metadata without any topic, so that none
// is made by asking. A broker that wants a login first hangs up on the second.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := exchange(c, versionsRequest(1))
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	apis, err := parseVersions(b, 1)
	if err != nil {
		return c.Fail(p.Protocol(), err)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Summary: fmt.Sprintf("Kafka, %d requests known", len(apis)), Raw: talk.Head(c.Seen())}
	var versions []string
	for _, k := range apis {
		versions = append(versions, fmt.Sprintf("%d: %d-%d", k.key, k.min, k.max))
	}
	a.Add("apiVersions", versions...)
	if err := members(c, a); err != nil {
		a.Add("metadata", "none: "+err.Error())
	}
	return a, nil
}

// members adds the brokers of the cluster.
func members(c *talk.Conn, a *probe.Answer) error {
	b, err := exchange(c, metadataRequest(2))
	if err != nil {
		return err
	}
	got, err := parseMetadata(b, 2)
	if err != nil {
		return err
	}
	a.Add("brokers", got.brokers...)
	a.Add("controller", strconv.Itoa(int(got.controller)))
	if len(got.brokers) > 0 {
		a.Summary += fmt.Sprintf(", %d brokers, broker %s", len(got.brokers), got.brokers[0])
	}
	return nil
}

func exchange(c *talk.Conn, question []byte) ([]byte, error) {
	if err := c.Send(question); err != nil {
		return nil, err
	}
	_, body, err := c.Framed(4, length)
	return body, err
}
