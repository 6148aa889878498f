package rdp

import (
	"strings"
	"testing"
)

func TestRequest(t *testing.T) {
	b := request()
	n, err := length(b[:4])
	if err != nil || n != len(b)-4 || int(b[4]) != len(b)-5 {
		t.Errorf("% x: %d, %v", b, n, err)
	}
}

func TestParseConfirm(t *testing.T) {
	head := "\x0e\xd0\x00\x00\x12\x34\x00"
	for _, tt := range []struct {
		name, b string
		want    confirm
		wrong   bool
	}{
		{"CredSSP", head + "\x02\x1f\x08\x00\x02\x00\x00\x00", confirm{negResponse, 0x1f, 2}, false},
		{"refused", head + "\x03\x00\x08\x00\x05\x00\x00\x00", confirm{negFailure, 0, 5}, false},
		{"old", "\x06\xd0\x00\x00\x12\x34\x00", confirm{}, false},
		{"nothing", "", confirm{}, true},
		{"another unit", "\x06\x80\x00\x00\x00\x00\x00", confirm{}, true},
		{"wrong length", "\x0e\xd0\x00\x00\x12\x34\x00", confirm{}, true},
		{"another type", head + "\x07\x00\x08\x00\x05\x00\x00\x00", confirm{}, true},
		{"cut", "\x0a\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00", confirm{}, true},
	} {
		got, err := parseConfirm([]byte(tt.b))
		if got != tt.want || (err != nil) != tt.wrong {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestLength(t *testing.T) {
	for b, want := range map[string]int{"\x03\x00\x00\x13": 15, "\x03\x00\x00\x0b": 7, "\x03\x00\x00\x04": 0, "\x03\x00\xff\xff": 0, "220 ": 0, "\x03": 0} {
		if n, err := length([]byte(b)); n != want || (err == nil) != (want > 0) {
			t.Errorf("% x: %d, %v", b, n, err)
		}
	}
}

func TestWords(t *testing.T) {
	for v, want := range map[uint32]string{0: "standard RDP security", 1: "TLS", 2: "CredSSP", 4: "RDSTLS", 8: "CredSSP with early user authorization", 99: "security protocol 0x63"} {
		if got := protocol(v); got != want {
			t.Errorf("%d: %q", v, got)
		}
	}
	if failure(5) != "HYBRID_REQUIRED_BY_SERVER" || failure(0) != "failure 0" || failure(7) != "failure 7" {
		t.Error("names of failures")
	}
	if got := strings.Join(flagNames(0x0d), " "); got != "EXTENDED_CLIENT_DATA_SUPPORTED RESTRICTED_ADMIN_MODE_SUPPORTED" {
		t.Errorf("flags %q", got)
	}
}

// FuzzParseConfirm: what is understood is one of the three kinds, and a message
// with a byte more or less is not understood.
func FuzzParseConfirm(f *testing.F) {
	f.Add([]byte("\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConfirm(b)
		if err != nil {
			return
		}
		if c.kind != 0 && c.kind != negResponse && c.kind != negFailure {
			t.Errorf("kind %d", c.kind)
		}
		if _, err := parseConfirm(append(b, 0)); err == nil {
			t.Error("a byte more is the same")
		}
	})
}
