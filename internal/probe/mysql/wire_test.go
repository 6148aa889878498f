package mysql

import (
	"strings"
	"testing"
)

// v10 is a handshake in the layout of MySQL's documentation.
const v10 = "\x0a" + "5.5.5-10.11.6-MariaDB-0+deb12u1\x00" + "\x07\x00\x00\x00" + "abcdefgh\x00" + "\xfe\xff" + "\x2d\x02\x00" + "\xff\x81" + "\x15" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "ijklmnopqrst\x00" + "mysql_native_password\x00"

func TestParseHandshake(t *testing.T) {
	h, err := parseHandshake([]byte(v10))
	want := handshake{"5.5.5-10.11.6-MariaDB-0+deb12u1", 7, 0x81fffffe, "mysql_native_password"}
	if h != want || err != nil || h.release() != "10.11.6-MariaDB-0+deb12u1" {
		t.Errorf("%+v, %v", h, err)
	}
	if old, err := parseHandshake([]byte("\x0a5.0\x00\x07\x00\x00\x00abcdefgh\x00\x2c\xa2")); old != (handshake{"5.0", 7, 0xa22c, ""}) || err != nil {
		t.Errorf("an old server: %+v, %v", old, err)
	}
	for _, b := range []string{"", "\x09x", "\x0a5.0", v10[:40], v10[:60]} {
		if h, err := parseHandshake([]byte(b)); err == nil {
			t.Errorf("%q: %+v", b, h)
		}
	}
	if v := (handshake{version: "5.5.5-log"}).release(); v != "5.5.5-log" {
		t.Errorf("a true 5.5.5: %q", v)
	}
}

func TestParseError(t *testing.T) {
	for b, want := range map[string]refusal{
		"\xff\x6a\x04Host 'x' is not allowed": {1130, "", "Host 'x' is not allowed"},
		"\xff\x15\x04#28000Access denied":     {1045, "28000", "Access denied"},
		"\xff\x15\x04":                        {1045, "", ""},
		"\xff\x00\x00":                        {},
		"\xff\x15":                            {},
		"\x00":                                {},
	} {
		if e, err := parseError([]byte(b)); e != want || (err == nil) != (want.code > 0) {
			t.Errorf("%q: %+v, %v", b, e, err)
		}
	}
}

func TestPackets(t *testing.T) {
	size, seq, err := header(packet(3, []byte("body")))
	if size != 4 || seq != 3 || err != nil {
		t.Errorf("%d %d %v", size, seq, err)
	}
	for _, b := range []string{"", "abc", "\x00\x00\x00\x00", "220 "} {
		if n, _, err := header([]byte(b)); err == nil {
			t.Errorf("%q: %d bytes", b, n)
		}
	}
	plain, tls := login(false, "p"), login(true, "p")
	if plain[1]&8 != 0 || tls[1]&8 == 0 || string(plain[32:]) != "portreporter\x00\x00p\x00" || len(tlsRequest()) != 32 {
		t.Errorf("% x, % x", plain, tls)
	}
}

// FuzzParse: texts come from the packet, and nothing is both a handshake and an
// error.
func FuzzParse(f *testing.F) {
	f.Add([]byte(v10))
	f.Add([]byte("\xff\x15\x04#28000Access denied"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHandshake(b)
		e, err2 := parseError(b)
		if err == nil && err2 == nil {
			t.Fatal("both")
		}
		if err == nil && (!strings.Contains(string(b), h.version) || !strings.Contains(string(b), h.plugin)) || err2 == nil && !strings.HasSuffix(string(b), e.message) {
			t.Errorf("%+v, %+v", h, e)
		}
	})
}
