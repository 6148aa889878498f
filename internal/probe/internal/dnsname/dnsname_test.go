package dnsname

import (
	"bytes"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	// RFC 1035 section 4.1.4: F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA, the root.
	msg := append(make([]byte, 20), "\x01F\x03ISI\x04ARPA\x00"...)
	msg = append(msg, "\x03FOO\xc0\x14\xc0\x1a\x00"...)
	for _, tt := range []struct {
		at   int
		name string
		next int
	}{{20, "F.ISI.ARPA", 32}, {32, "FOO.F.ISI.ARPA", 38}, {38, "ARPA", 40}, {40, ".", 41}} {
		if name, next, err := Read(msg, tt.at); name != tt.name || next != tt.next || err != nil {
			t.Errorf("at %d: %q, %d, %v", tt.at, name, next, err)
		}
	}
	if name, _, err := Read([]byte("\x05a.\\\xe4\n\x00"), 0); name != `a\.\\\228\010` || err != nil {
		t.Errorf("escaped: %s, %v", name, err)
	}
}

func TestMalformed(t *testing.T) {
	long := bytes.Repeat(append([]byte{63}, bytes.Repeat([]byte{'a'}, 63)...), 5)
	for _, b := range []string{"", "\x01", "\x01a", "\xc0", "\xc0\x00", "\xc0\x02\xc0\x00", "\x01a\xc0\x00", "\x40a", "\xc0\x09", string(long) + "\x00"} {
		if name, _, err := Read([]byte(b), 0); err == nil {
			t.Errorf("%q reads as %q", b, name)
		}
	}
	if _, _, err := Read([]byte{0}, -1); err == nil {
		t.Error("before the beginning")
	}
}

func TestAppend(t *testing.T) {
	for name, want := range map[string]string{"": "\x00", ".": "\x00", "a.bc": "\x01a\x02bc\x00", "a.bc.": "\x01a\x02bc\x00"} {
		if got := string(Append(nil, name)); got != want {
			t.Errorf("%q is %q", name, got)
		}
	}
	if got := Append(nil, strings.Repeat("x", 99)); got[0] != 63 || len(got) != 65 {
		t.Errorf("a long label: %d bytes, %x", len(got), got[0])
	}
}

// FuzzRead: a name of plain letters writes to what reads as the same, and what
// follows lies within the message.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x01a\xc0\x03\x00"), 0)
	f.Add([]byte("\x03www\x07example\x00"), 0)
	f.Fuzz(func(t *testing.T, msg []byte, at int) {
		name, next, err := Read(msg, at)
		if err != nil {
			return
		}
		if next <= at || next > len(msg) || name == "" || len(name) > 4*maxName {
			t.Fatalf("%x at %d: %q, next %d", msg, at, name, next)
		}
		if strings.ContainsRune(name, '\\') {
			return
		}
		if again, _, err := Read(Append(nil, name), 0); again != name || err != nil {
			t.Fatalf("%q reads as %q, %v", name, again, err)
		}
	})
}
