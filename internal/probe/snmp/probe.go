// Package snmp asks an agent for the system group (RFC 3418) by SNMPv1 (RFC
// 1157) and SNMPv2c (RFC 1901), which need a community, and for its engine by
// SNMPv3 (RFC 3414 section 4), which needs none.
//
// Fields: "versions" are those that were answered, then the group's objects by
// name ("sysDescr"), "error-status" of a version that refused, and "engineID",
// whose "enterprise" made it, "engineBoots", "engineTime". The community is in none of them, nor in an error.
package snmp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

// Prober asks for SNMP.
type Prober struct {
	Community string // "" is "public"
}

// Protocol is "snmp".
func (Prober) Protocol() string { return "snmp" }

// Ports are the agent's.
func (Prober) Ports() []probe.Port {
	return []probe.Port{{Proto: probe.UDP, Port: 161, Name: "snmp"}}
}

// Ask asks in all three versions at once: an agent is silent in those that it
// does not speak, and to a community that it does not know.
func (p Prober) Ask(ctx context.Context, d probe.Dialer, t probe.Target) (*probe.Answer, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := replies{id: id()}
	for _, q := range [][]byte{discovery(r.id + v3), getRequest(v1, p.community(), r.id+v1)} {
		if _, err := c.Write(q); err != nil {
			return nil, fmt.Errorf("%s: send: %w", p.Protocol(), err)
		}
	}
	// What most agents answer, and in full, is what is asked again when it is lost.
	b, err := talk.AskOn(ctx, c, d.Wait(), getRequest(v2c, p.community(), r.id+v2c), func(b []byte) bool {
		r.hear(b)
		return r.system[v2c] != nil && r.engine != nil
	})
	if r.engine == nil && r.system[v1] == nil && r.system[v2c] == nil {
		return talk.Fail(p.Protocol(), b, err)
	}
	return r.answer(p.Protocol()), nil
}

func (p Prober) community() string {
	if p.Community == "" {
		return "public"
	}
	return p.Community
}

// id is the first of the requests' ids, positive with those of all versions.
func id() int64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return int64(binary.BigEndian.Uint32(b[:]) >> 2)
}
