package stun

import (
	"strings"
	"testing"
)

// The transaction and the answers of RFC 5769 (test vectors for STUN), without
// their integrity attributes.
const (
	id     = "\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
	answer = "\x80\x22\x00\x0btest vector \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
	over6  = "\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, b string
		want    reply
		wrong   bool
	}{
		{"RFC 5769 section 2.2", answer, reply{mapped: "192.0.2.1:32853", software: "test vector"}, false},
		{"RFC 5769 section 2.3", over6, reply{mapped: "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}, false},
		{"an old server's", "\x00\x01\x00\x08\x00\x01\x00\x50\xc0\x00\x02\x07", reply{mapped: "192.0.2.7:80"}, false},
		{"refused", "\x00\x09\x00\x10\x00\x00\x04\x01Unauthorized", reply{failure: "401 Unauthorized"}, false},
		{"elsewhere", "\x80\x23\x00\x08\x00\x01\x0d\x96\xc0\x00\x02\x08\x80\x2c\x00\x08\x00\x01\x0d\x97\xc0\x00\x02\x09", reply{alternate: "192.0.2.8:3478", other: "192.0.2.9:3479"}, false},
		{"family and size differ", "\x00\x01\x00\x08\x00\x02\x00\x50\xc0\x00\x02\x07", reply{}, false},
		{"cut", answer[:10], reply{}, true},
		{"nothing", "", reply{}, false},
	} {
		got, err := parse([]byte(tt.b), []byte(id))
		if got != tt.want || (err != nil) != tt.wrong {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestHeader(t *testing.T) {
	if _, _, err := header(request([]byte(id)), []byte(id)); err == nil {
		t.Error("a request is an answer to itself")
	}
	head := "\x01\x01\x00\x08\x21\x12\xa4\x42" + id
	if kind, n, err := header([]byte(head), []byte(id)); kind != bindingSuccess || n != 8 || err != nil {
		t.Errorf("%x %d %v", kind, n, err)
	}
	for name, b := range map[string]string{"another's": strings.Replace(head, "\xb7", "\xb8", 1), "old cookie": strings.Replace(head, "\x21\x12", "\x21\x13", 1),
		"odd length": strings.Replace(head, "\x08", "\x09", 1), "cut": head[:19]} {
		if _, _, err := header([]byte(b), []byte(id)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzParse: an answer never holds more text than it has bytes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(answer))
	f.Add([]byte(over6))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b, []byte(id))
		if err == nil && len(got.software) > len(b) || len(got.failure) > len(b)+4 {
			t.Errorf("%+v", got)
		}
	})
}
