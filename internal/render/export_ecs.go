package render

import (
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// ecsVersion is the version of the Elastic Common Schema whose fields are used
// (elastic.co/docs/reference/ecs).
const ecsVersion = "8.11.0"

// appendECS appends e as one document of the Elastic Common Schema.
func appendECS(b []byte, e *activity.Event, opt Options) []byte {
	b = append(b, `{"@timestamp":`...)
	b = appendTime(b, e.Time)
	b = append(b, `,"ecs":{"version":"`+ecsVersion+`"}`...)
	b = ecsEvent(b, e)
	if opt.Host != "" {
		b = appendStringField(appendObject(b, "host"), "name", opt.Host)
		b = append(b, '}')
	}
	b = ecsEnds(b, e)
	b = ecsNetwork(b, e)
	b = ecsProcess(b, e)
	// The observer is who watched; the agent that ships the documents is another.
	b = append(b, `,"observer":{"product":"Port Reporter","type":"host"}`...)
	return append(ecsOwn(b, e), '}', '\n')
}

// ecsEvent says what happened, in the categories that ECS allows.
func ecsEvent(b []byte, e *activity.Event) []byte {
	b = append(b, `,"event":{"kind":"event","category":["`...)
	if e.Kind.Coverage() {
		b = append(b, "host"...)
	} else {
		b = append(b, "network"...)
	}
	// category and type are arrays in ECS, also of one word.
	b = append(append(b, `"],"type":[`...), ecsType(e)...)
	b = append(b, `],"module":"portreporter","dataset":"portreporter.events"`...)
	b = appendWord(b, "action", e.Kind.String())
	b = appendWord(b, "outcome", ecsOutcome(e))
	b = appendUintField(b, "sequence", e.Seq)
	if durationFact(e) == present && e.Duration >= 0 {
		b = appendUintField(b, "duration", uint64(e.Duration))
	}
	// event.duration is defined as the difference of these two, in ns.
	if t := began(e); t != 0 {
		b = appendStringField(b, "start", rfc3339(t))
		b = appendStringField(b, "end", rfc3339(e.Time))
	}
	switch {
	case e.Coverage != nil:
		if e.Coverage.From != 0 {
			b = appendStringField(b, "start", rfc3339(e.Coverage.From))
		}
		if e.Coverage.To != 0 {
			b = appendStringField(b, "end", rfc3339(e.Coverage.To))
		}
		b = appendIf(b, "reason", e.Coverage.Reason)
	case e.Reason != 0:
		b = appendWord(b, "reason", e.Reason.String())
	}
	return append(b, '}')
}

// ecsType is event.type: the words allowed for the categories network and host.
func ecsType(e *activity.Event) string {
	switch e.Kind {
	case activity.KindAccept, activity.KindConnect, activity.KindFlow:
		return `"connection","start"`
	case activity.KindClose, activity.KindFlowEnd:
		return `"connection","end"`
	case activity.KindConnectFailed, activity.KindKnock:
		return `"connection","denied"`
	case activity.KindRecorderStart:
		return `"start"`
	case activity.KindRecorderStop:
		return `"end"`
	}
	return `"info"`
}

// ecsOutcome is event.outcome, from the view of whoever caused the event. A knock
// failed for the one who knocked.
func ecsOutcome(e *activity.Event) string {
	switch e.Kind {
	case activity.KindBindFailed, activity.KindConnectFailed, activity.KindKnock:
		return "failure"
	case activity.KindGap, activity.KindSnapshot:
		return "unknown"
	}
	return "success"
}

// ecsEnds writes source and destination. A port without a peer is the server's,
// or a client's where the kernel chose it.
func ecsEnds(b []byte, e *activity.Event) []byte {
	if !e.Remote.IsValid() || e.Remote.Port() == 0 {
		name := "server"
		if e.Flags&activity.FlagAutoBind != 0 {
			name = "client"
		}
		if !e.Local.IsValid() {
			return b
		}
		b = appendStringField(appendObject(b, name), "ip", addrText(e.Local))
		return append(appendUintField(b, "port", uint64(e.Local.Port())), '}')
	}
	source, destination := ends(e)
	// source.bytes are those that the source sent, destination.bytes those that the
	// destination did.
	sent, received, sentPackets, receivedPackets := e.Tx, e.Rx, e.TxPackets, e.RxPackets
	if inbound(e) {
		sent, received, sentPackets, receivedPackets = received, sent, receivedPackets, sentPackets
	}
	for _, end := range [...]struct {
		name           string
		valid          bool
		ip             string
		port           uint16
		bytes, packets uint64
	}{{"source", source.IsValid(), addrText(source), source.Port(), sent, sentPackets},
		{"destination", destination.IsValid(), addrText(destination), destination.Port(), received, receivedPackets}} {
		if !end.valid {
			continue
		}
		b = appendStringField(appendObject(b, end.name), "ip", end.ip)
		b = appendUintField(b, "port", uint64(end.port))
		if bytesFact(e) == present {
			b = appendUintField(b, "bytes", end.bytes)
		}
		if packetsFact(e) == present {
			b = appendUintField(b, "packets", end.packets)
		}
		b = append(b, '}')
	}
	return b
}

// ecsNetwork writes what both ends share. direction is that of a host's own view
// (ingress, egress); inbound and outbound are a network's in ECS.
func ecsNetwork(b []byte, e *activity.Event) []byte {
	if e.Proto == 0 {
		return b
	}
	b = appendWord(appendObject(b, "network"), "transport", protoWord(e.Proto))
	b = appendStringField(b, "iana_number", strconv.Itoa(int(e.Proto)))
	switch {
	case !e.Local.IsValid():
	case e.Local.Addr().Is4() || e.Flags&activity.FlagMapped != 0: // on the wire
		b = appendWord(b, "type", "ipv4")
	default:
		b = appendWord(b, "type", "ipv6")
	}
	if e.Remote.IsValid() && e.Remote.Port() != 0 {
		direction := "egress"
		if inbound(e) {
			direction = "ingress"
		}
		b = appendWord(b, "direction", direction)
	}
	b = appendIf(b, "community_id", communityID(e))
	if bytesFact(e) == present {
		b = appendUintField(b, "bytes", e.Rx+e.Tx)
	}
	if packetsFact(e) == present {
		b = appendUintField(b, "packets", e.RxPackets+e.TxPackets)
	}
	return append(b, '}')
}

// ecsProcess writes the owner, its user and its container.
func ecsProcess(b []byte, e *activity.Event) []byte {
	p := known(e.Process)
	if pid := ownerPID(e.Owner, p); pid != 0 {
		b = appendUintField(appendObject(b, "process"), "pid", uint64(pid))
		if p != nil {
			b = ecsProcessFacts(b, p)
		}
		b = append(b, '}')
	}
	if p == nil {
		return b
	}
	b = appendIf(appendObject(b, "user"), "name", p.User)
	if p.UID != activity.NoID {
		b = appendStringField(b, "id", strconv.FormatUint(uint64(p.UID), 10))
	}
	b = appendClose(b, "user")
	if c := &p.Container; c.ID != "" || c.Name != "" {
		b = appendObject(b, "container")
		b = appendIf(b, "id", c.ID)
		b = appendIf(b, "name", c.Name)
		b = appendIf(b, "runtime", c.Runtime)
		if c.Image != "" {
			b = append(appendStringField(appendObject(b, "image"), "name", c.Image), '}')
		}
		b = append(b, '}')
	}
	if p.Unit.Name != "" {
		b = append(appendStringField(appendObject(b, "service"), "name", p.Unit.Name), '}')
	}
	return b
}

// ecsProcessFacts writes what is known of the owner. args are as recorded, that is
// redacted (docs/REDACTION.md), and command_line is made of them.
func ecsProcessFacts(b []byte, p *activity.Process) []byte {
	b = appendIf(b, "name", p.Name)
	b = appendIf(b, "executable", p.Exe)
	if p.ID != 0 {
		b = appendStringField(b, "entity_id", strconv.FormatUint(uint64(p.ID), 16))
	}
	if p.Args != nil {
		b = appendStrings(appendKey(b, "args"), p.Args)
		b = appendUintField(b, "args_count", uint64(len(p.Args)))
		b = appendStringField(b, "command_line", commandLine(p.Args))
	}
	b = appendIf(b, "working_directory", p.Cwd)
	if p.Start != 0 {
		b = appendStringField(b, "start", rfc3339(p.Start))
	}
	if p.ExeSHA256 != "" {
		b = append(appendStringField(appendObject(b, "hash"), "sha256", p.ExeSHA256), '}')
	}
	if parent := p.Parent(); !parent.Key.IsZero() {
		b = appendUintField(appendObject(b, "parent"), "pid", uint64(parent.Key.PID))
		b = append(appendIf(b, "name", parent.Name), '}')
	}
	return b
}

// ecsOwn writes what ECS has no field for, under this program's name, as it asks
// for custom fields.
func ecsOwn(b []byte, e *activity.Event) []byte {
	b = appendWord(appendObject(b, "portreporter"), "provenance", e.Provenance.String())
	if e.Tier != 0 {
		b = appendWord(b, "tier", e.Tier.String())
	}
	if e.Role != 0 {
		b = appendWord(b, "role", e.Role.String())
	}
	if e.NetNS != 0 {
		b = appendUintField(b, "netns", uint64(e.NetNS))
	}
	if e.Socket != 0 {
		b = appendStringField(b, "socket", strconv.FormatUint(e.Socket, 10)) // beyond what a long holds
	}
	if e.Errno != 0 {
		b = appendUintField(b, "errno", uint64(e.Errno))
	}
	if e.RTT != 0 {
		b = appendUintField(b, "rtt_us", uint64(e.RTT))
	}
	if retransmitsFact(e) == present {
		b = appendUintField(b, "retransmits", uint64(e.Retransmits))
	}
	if hasReset(e) {
		b = appendBool(b, "reset", e.Flags&activity.FlagReset != 0)
	}
	if h := known(e.Holder); h != nil {
		b = appendUintField(appendObject(b, "holder"), "pid", uint64(h.Key.PID))
		b = append(appendIf(b, "name", h.Name), '}')
	}
	if e.Coverage != nil && e.Coverage.LostTotal() != 0 {
		b = appendLost(appendKey(b, "lost"), e.Coverage)
	}
	return append(b, '}')
}
