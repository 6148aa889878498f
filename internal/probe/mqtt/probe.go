// Package mqtt asks a message broker of MQTT which versions it speaks and
// whether it lets strangers in.
package mqtt

import (
	"context"
	"crypto/rand"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

const maxPackets = 8 // of a broker that sends us others' too

// Prober asks brokers.
type Prober struct{}

// Protocol is "mqtt".
func (Prober) Protocol() string { return "mqtt" }

// Ports are MQTT's; inside TLS it is told by its ALPN alone.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.TCP, Port: 1883, Name: "mqtt"}}
}

// Ask tries MQTT 5, whose answer tells the most, and then 3.1.1, in a
// connection each, and a broker that lets us in for its version ($SYS).
func (p Prober) Ask(ctx context.Context, d probe.Dialer, _ probe.Target) (*probe.Answer, error) {
	five, seen5, err5 := enter(ctx, d, level5)
	three, seen3, err3 := enter(ctx, d, level311)
	if err5 != nil && err3 != nil {
		if len(seen5) == 0 {
			seen5 = seen3
		}
		return talk.Fail(p.Protocol(), seen5, err5)
	}
	a := &probe.Answer{Protocol: p.Protocol(), Raw: seen5}
	var levels []string
	last := three
	if err3 == nil && three.code != 1 {
		levels = append(levels, "3.1.1")
	}
	if err5 == nil && five.code != 1 && five.code != 0x84 {
		levels, last = append(levels, "5"), five
	}
	if len(levels) == 0 {
		levels = append(levels, "of another version")
	}
	a.Summary = versions(levels) + ", " + reason(last.code)
	a.Add("versions", levels...)
	a.Add("reason", reason(last.code))
	for _, pr := range five.properties {
		a.Add(pr.name, pr.value)
	}
	for _, who := range []ack{five, three} {
		if who.broker != "" {
			a.Add("$SYS/broker/version", who.broker)
			a.Summary += ", " + who.broker
			break
		}
	}
	return a, nil
}

// enter asks to be let in by one level, and leaves. The broker knows us by a
// name that nobody else has, so that no session of others is taken over.
func enter(ctx context.Context, d probe.Dialer, level byte) (ack, []byte, error) {
	c, err := talk.Open(ctx, d)
	if err != nil {
		return ack{}, nil, err
	}
	defer c.Close()
	if err := c.Send(connect(level, "pr"+rand.Text()[:12])); err != nil {
		return ack{}, c.Seen(), err
	}
	_, b, err := c.Framed(2, ackLength)
	if err != nil {
		return ack{}, c.Seen(), err
	}
	got, err := parseAck(b, level)
	if err == nil && got.code == 0 {
		if level == level311 {
			got.broker = brokerVersion(c)
		}
		_ = c.Send(disconnect()) // who is gone already needs no farewell
	}
	return got, c.Seen(), err
}

// brokerVersion asks for the one topic by which brokers tell what they are, a
// habit of Mosquitto's that others have taken on; "" is none. A ping behind the
// question ends the answer, as a broker takes both in turn.
func brokerVersion(c *talk.Conn) string {
	if c.Send(append(subscribe(versionTopic), pingRequest()...)) != nil {
		return ""
	}
	for range maxPackets {
		head, body, err := c.Framed(2, packetLength)
		if err != nil || head[0] == packetPingResp {
			return ""
		}
		if v, ok := published(head[0], body, versionTopic); ok {
			return v
		}
	}
	return ""
}
