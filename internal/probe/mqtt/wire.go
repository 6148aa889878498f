package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Packet types of MQTT in the upper half of the first byte.
const (
	packetConnect    = 0x10
	packetConnAck    = 0x20
	packetPublish    = 0x30
	packetSubscribe  = 0x82 // with the flags that it must have
	packetPingReq    = 0xc0
	packetPingResp   = 0xd0
	packetDisconnect = 0xe0
)

// Protocol levels (MQTT 3.1.1 section 3.1.2.2, MQTT 5 section 3.1.2.2).
const (
	level311 = 4
	level5   = 5
)

// connect asks to be let in without a name, with a clean session.
func connect(level byte, id string) []byte {
	body := []byte{0, 4, 'M', 'Q', 'T', 'T', level, 2, 0, 5}
	if level == level5 {
		body = append(body, 0) // no properties
	}
	body = append(body, 0, byte(len(id)))
	body = append(body, id...)
	return append([]byte{packetConnect, byte(len(body))}, body...)
}

func disconnect() []byte { return []byte{packetDisconnect, 0} }

// versionTopic is where brokers say what they are.
const versionTopic = "$SYS/broker/version"

// subscribe asks for a topic by MQTT 3.1.1, to be sent without acknowledgement.
func subscribe(topic string) []byte {
	b := append([]byte{packetSubscribe, byte(5 + len(topic)), 0, 1, 0, byte(len(topic))}, topic...)
	return append(b, 0)
}

func pingRequest() []byte { return []byte{packetPingReq, 0} }

// packetLength is ackLength for packets of any kind.
func packetLength(head []byte) (int, error) {
	if len(head) != 2 || head[1] > 127 {
		return 0, errors.New("a packet longer than the answer to any question of ours")
	}
	return int(head[1]), nil
}

// published is what was published of a topic by a PUBLISH of MQTT 3.1.1.
func published(kind byte, body []byte, topic string) (string, bool) {
	r := octets.New(body)
	name := string(r.Take(int(r.U16())))
	if kind&0xf0 != packetPublish || kind&6 != 0 || r.Err() != nil || name != topic {
		return "", false
	}
	return string(r.Rest()), r.Len() == 0
}

// ackLength reads the two first bytes of a CONNACK, which end its header unless
// it is longer than any.
func ackLength(head []byte) (int, error) {
	r := octets.New(head)
	kind, n := r.U8(), r.U8()
	if r.Err() != nil || kind != packetConnAck || n < 2 || n > 127 {
		return 0, errors.New("no CONNACK")
	}
	return int(n), nil
}

// ack is a CONNACK.
type ack struct {
	code       byte
	properties []property // of MQTT 5
	broker     string     // what it told of its version
}

type property struct{ name, value string }

// parseAck reads what follows the header.
func parseAck(b []byte, level byte) (ack, error) {
	r := octets.New(b)
	flags := r.U8()
	a := ack{code: r.U8()}
	if r.Err() != nil || flags > 1 || level == level311 && (r.Len() > 0 || a.code > 5) {
		return ack{}, errors.New("no CONNACK")
	}
	if level == level311 || r.Len() == 0 { // an older server refuses in its own, shorter manner
		return a, nil
	}
	props := octets.New(r.Take(int(r.U8())))
	for r.Err() == nil && props.Len() > 0 {
		p, ok := readProperty(props)
		if !ok {
			return ack{}, errors.New("an unknown property in the CONNACK")
		}
		a.properties = append(a.properties, p)
	}
	if r.Err() != nil || props.Err() != nil {
		return ack{}, octets.ErrShort
	}
	return a, nil
}

// readProperty reads one property by its identifier (MQTT 5 section 2.2.2.2).
func readProperty(r *octets.Reader) (property, bool) {
	number := func(v uint32) string { return fmt.Sprint(v) }
	text := func() string { return string(r.Take(int(r.U16()))) }
	switch r.U8() {
	case 17:
		return property{"sessionExpiryInterval", number(r.U32())}, true
	case 18:
		return property{"assignedClientIdentifier", text()}, true
	case 19:
		return property{"serverKeepAlive", number(uint32(r.U16()))}, true
	case 21:
		return property{"authenticationMethod", text()}, true
	case 26:
		return property{"responseInformation", text()}, true
	case 28:
		return property{"serverReference", text()}, true
	case 31:
		return property{"reasonString", text()}, true
	case 33:
		return property{"receiveMaximum", number(uint32(r.U16()))}, true
	case 34:
		return property{"topicAliasMaximum", number(uint32(r.U16()))}, true
	case 36:
		return property{"maximumQoS", number(uint32(r.U8()))}, true
	case 37:
		return property{"retainAvailable", number(uint32(r.U8()))}, true
	case 38:
		return property{"userProperty", text() + "=" + text()}, true
	case 39:
		return property{"maximumPacketSize", number(r.U32())}, true
	case 40:
		return property{"wildcardSubscriptionAvailable", number(uint32(r.U8()))}, true
	case 41:
		return property{"subscriptionIdentifiersAvailable", number(uint32(r.U8()))}, true
	case 42:
		return property{"sharedSubscriptionAvailable", number(uint32(r.U8()))}, true
	}
	return property{}, false
}

// reason words a code: of MQTT 3.1.1 (section 3.2.2.3) below 6, of MQTT 5
// (section 3.2.2.2) from 128 on.
func reason(code byte) string {
	names := map[byte]string{
		0: "accepted", 1: "unacceptable protocol version", 2: "identifier rejected", 3: "server unavailable", 4: "bad user name or password", 5: "not authorized",
		0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid",
		0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8a: "banned", 0x8c: "bad authentication method",
		0x9c: "use another server", 0x9d: "server moved", 0x9f: "connection rate exceeded",
	}
	if n := names[code]; n != "" {
		return n
	}
	return fmt.Sprintf("code %#02x", code)
}

// versions words the levels that a server took part in.
func versions(levels []string) string { return "MQTT " + strings.Join(levels, " and ") }
