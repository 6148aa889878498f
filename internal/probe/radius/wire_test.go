package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

func TestRequest(t *testing.T) {
	b := request(9, []byte("secret"))
	if b[0] != codeStatusServer || b[1] != 9 || int(b[2])<<8|int(b[3]) != len(b) || strings.Contains(string(b), "secret") {
		t.Errorf("% x", b)
	}
	// The signature is over the message with sixteen zeros in its place.
	got := append([]byte{}, b[len(b)-16:]...)
	clear(b[len(b)-16:])
	mac := hmac.New(md5.New, []byte("secret"))
	mac.Write(b)
	if !bytes.Equal(got, mac.Sum(nil)) {
		t.Error("signature")
	}
}

func TestLoginRequest(t *testing.T) {
	b := loginRequest(9)
	if b[0] != codeAccessRequest || b[1] != 9 || int(b[2])<<8|int(b[3]) != len(b) || string(b[headSize:headSize+14]) != "\x01\x0eportreporter" {
		t.Errorf("% x", b)
	}
	if !logins(probe.Target{Port: 1812}) || !logins(probe.Target{Port: 1645, Service: "radius"}) || logins(probe.Target{Port: 1812, Service: "radius-acct"}) || logins(probe.Target{Port: 40000}) {
		t.Error("logins")
	}
}

// answer is a server's, signed with a secret.
func answer(code byte, q, secret []byte, attributes string) []byte {
	b := append([]byte{code, q[1], 0, byte(headSize + len(attributes))}, make([]byte, 16)...)
	b = append(b, attributes...)
	copy(b[4:], sign(b, q, secret))
	return b
}

func TestParse(t *testing.T) {
	q := request(7, []byte("secret"))
	got, err := parse(append(answer(2, q, []byte("secret"), "\x12\x04up\x12\x02\x08\x06\x01\x02\x03\x04"), "padding"...), q, []byte("secret"))
	if d := cmp.Diff(reply{2, []string{"up", ""}, true}, got, cmp.AllowUnexported(reply{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if got, err := parse(answer(2, q, []byte("another"), ""), q, []byte("secret")); got.genuine || err != nil {
		t.Errorf("signed with another secret: %+v, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "another id": append([]byte{2, 8, 0, 20}, make([]byte, 16)...), "our own": q, "longer than it is": append([]byte{2, 7, 0, 99}, make([]byte, 16)...),
		"attribute cut": answer(2, q, nil, "\x12\x09up"), "attribute of one byte": answer(2, q, nil, "\x12\x01"),
	} {
		if got, err := parse(b, q, nil); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzParse: messages fit into the packet, and only the secret signs.
func FuzzParse(f *testing.F) {
	q := request(7, []byte("secret"))
	f.Add(answer(2, q, []byte("other"), "\x12\x04up"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b, q, []byte("secret"))
		if err == nil && (got.genuine || len(strings.Join(got.messages, "")) > len(b)-headSize) {
			t.Errorf("%+v", got)
		}
	})
}
