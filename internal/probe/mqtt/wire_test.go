package mqtt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnect(t *testing.T) {
	if got := string(connect(level311, "ab")); got != "\x10\x0e\x00\x04MQTT\x04\x02\x00\x05\x00\x02ab" {
		t.Errorf("%q", got)
	}
	if got := string(connect(level5, "ab")); got != "\x10\x0f\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x02ab" {
		t.Errorf("%q", got)
	}
}

func TestParseAck(t *testing.T) {
	for _, tt := range []struct {
		name, b string
		level   byte
		want    ack
		wrong   bool
	}{
		{"accepted", "\x00\x00", level311, ack{}, false},
		{"not authorized", "\x00\x05", level311, ack{code: 5}, false},
		{"no such code", "\x00\x06", level311, ack{}, true},
		{"no such flag", "\x02\x00", level311, ack{}, true},
		{"too long", "\x00\x00\x00", level311, ack{}, true},
		{"properties", "\x00\x00\x09\x22\x00\x0a\x12\x00\x03abc", level5, ack{properties: []property{{"topicAliasMaximum", "10"}, {"assignedClientIdentifier", "abc"}}}, false},
		{"user property", "\x01\x87\x09\x26\x00\x01a\x00\x03b=c", level5, ack{code: 0x87, properties: []property{{"userProperty", "a=b=c"}}}, false},
		{"older server", "\x00\x01", level5, ack{code: 1}, false},
		{"unknown property", "\x00\x00\x01\xff", level5, ack{}, true},
		{"property cut", "\x00\x00\x03\x12\x00\x03abc", level5, ack{}, true},
		{"nothing", "", level5, ack{}, true},
	} {
		got, err := parseAck([]byte(tt.b), tt.level)
		if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(ack{}, property{})); d != "" || (err != nil) != tt.wrong {
			t.Errorf("%s: %v %s", tt.name, err, d)
		}
	}
}

func TestAckLength(t *testing.T) {
	for b, want := range map[string]int{"\x20\x02": 2, "\x20\x7f": 127, "\x20\x80": 0, "\x20\x01": 0, "\x30\x02": 0, "\x20": 0} {
		if n, err := ackLength([]byte(b)); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
	if reason(0) != "accepted" || reason(0x87) != "not authorized" || reason(77) != "code 0x4d" {
		t.Error("words of reasons")
	}
}

// FuzzParseAck: each property takes at least two bytes, and its text is no
// longer than the packet.
func FuzzParseAck(f *testing.F) {
	f.Add([]byte("\x00\x00\x09\x22\x00\x0a\x12\x00\x03abc"), true)
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		level := byte(level311)
		if five {
			level = level5
		}
		a, err := parseAck(b, level)
		if err == nil && 2*len(a.properties) > len(b) {
			t.Errorf("%d properties in %d bytes", len(a.properties), len(b))
		}
	})
}

func TestPublished(t *testing.T) {
	body := "\x00\x13" + versionTopic + "mosquitto version 2.0.11"
	if len(versionTopic) != 0x13 {
		t.Fatal("length of the topic")
	}
	if v, ok := published(packetPublish|1, []byte(body), versionTopic); v != "mosquitto version 2.0.11" || !ok {
		t.Errorf("%q, %v", v, ok)
	}
	for name, tt := range map[string]struct {
		kind byte
		body string
	}{"an acknowledgement": {0x90, body}, "another topic": {packetPublish, "\x00\x01xyz"}, "cut": {packetPublish, body[:9]}, "nothing": {packetPublish, ""}, "with an id": {packetPublish | 2, body}} {
		if v, ok := published(tt.kind, []byte(tt.body), versionTopic); ok {
			t.Errorf("%s: %q", name, v)
		}
	}
	if b := subscribe(versionTopic); int(b[1]) != len(b)-2 {
		t.Errorf("% x", b)
	}
	for _, head := range []string{"\x90\x80", "\x90", ""} {
		if n, err := packetLength([]byte(head)); err == nil {
			t.Errorf("%q: %d", head, n)
		}
	}
}

// FuzzPublished: what was published is part of the packet.
func FuzzPublished(f *testing.F) {
	f.Add(byte(packetPublish), []byte("\x00\x01tvalue"), "t")
	f.Fuzz(func(t *testing.T, kind byte, b []byte, topic string) {
		if v, ok := published(kind, b, topic); ok && string(b[2:]) != topic+v {
			t.Errorf("%q of % x", v, b)
		}
	})
}
