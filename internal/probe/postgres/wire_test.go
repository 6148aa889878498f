package postgres

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStartup(t *testing.T) {
	b := startup()
	if int(binary.BigEndian.Uint32(b)) != len(b) || !strings.HasSuffix(string(b), "\x00\x00") {
		t.Errorf("%q", b)
	}
}

func TestSize(t *testing.T) {
	for b, want := range map[string]int{"R\x00\x00\x00\x08": 4, "Z\x00\x00\x00\x05": 1, "R\x00\x00\x00\x03": -1, "E\x7f\x00\x00\x00": -1, "220 m": -1, "R": -1, "\x00\x00\x00\x00\x08": -1} {
		if _, n, err := size([]byte(b)); n != max(want, 0) || (err == nil) != (want >= 0) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
}

func TestNotice(t *testing.T) {
	got, err := notice([]byte("SFATAL\x00C28000\x00Mno pg_hba.conf entry\x00\x00"))
	if d := cmp.Diff(map[byte]string{'S': "FATAL", 'C': "28000", 'M': "no pg_hba.conf entry"}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for _, b := range []string{"", "S", "SFATAL", "SFATAL\x00"} {
		if got, err := notice([]byte(b)); err == nil {
			t.Errorf("%q: %v", b, got)
		}
	}
}

func TestAuthentication(t *testing.T) {
	for b, want := range map[string]string{
		"\x00\x00\x00\x00":               "trust",
		"\x00\x00\x00\x02":               "kerberos",
		"\x00\x00\x00\x03":               "password",
		"\x00\x00\x00\x05salt":           "md5",
		"\x00\x00\x00\x07":               "gss",
		"\x00\x00\x00\x09":               "sspi",
		"\x00\x00\x00\x63":               "method 99",
		"\x00\x00\x00\x0aA\x00B\x00\x00": "sasl A B",
		"\x00\x00\x00\x0aA":              "",
		"\x00":                           "",
	} {
		method, mechanisms, err := authentication([]byte(b))
		if got := strings.Join(append([]string{method}, mechanisms...), " "); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
	if n, v := parameter([]byte("server_version\x0015.1\x00")); n != "server_version" || v != "15.1" {
		t.Errorf("%q is %q", n, v)
	}
}

// FuzzMessages: no text is longer than its message.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("SFATAL\x00C28000\x00Mno\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		fields, err := notice(b)
		for _, v := range fields {
			total += len(v) + 2
		}
		if err == nil && total+1 > len(b) {
			t.Errorf("%d bytes of fields", total)
		}
		_, ms, err := authentication(b)
		if err == nil && len(strings.Join(ms, " ")) > len(b) {
			t.Errorf("mechanisms %q", ms)
		}
		name, value := parameter(b)
		if len(name)+len(value) > len(b) {
			t.Errorf("%q %q", name, value)
		}
	})
}
