package memcached

import (
	"testing"
	"time"
)

func TestFrame(t *testing.T) {
	b := append(frame(0x1234), "VERSION 1.6\r\n"...)
	if s, err := unframe(b, 0x1234); s != "VERSION 1.6\r\n" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for name, b := range map[string][]byte{"another id": append(frame(1), 'x'), "short": frame(0x1234)[:7], "second datagram": {0x12, 0x34, 0, 1, 0, 2, 0, 0}, "none": {0x12, 0x34, 0, 0, 0, 0, 0, 0}} {
		if s, err := unframe(b, 0x1234); err == nil {
			t.Errorf("%s: %q", name, s)
		}
	}
}

func TestVersion(t *testing.T) {
	for line, want := range map[string]string{"VERSION 1.6.18\r\n": "1.6.18", "VERSION 1.6.18": "1.6.18", "VERSION ": "", "ERROR\r\n": "", "VERSION 1\r\nEND": ""} {
		if v, err := version(line); v != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", line, v, err)
		}
	}
}

// FuzzUnframe: an answer begins with the frame of its question.
func FuzzUnframe(f *testing.F) {
	f.Add(append(frame(7), "VERSION 1.6\r\n"...), uint16(7))
	f.Fuzz(func(t *testing.T, b []byte, id uint16) {
		s, err := unframe(b, id)
		if err == nil && (len(s) != len(b)-8 || string(b[:4]) != string(frame(id)[:4])) {
			t.Errorf("%q from % x", s, b)
		}
	})
}

func TestUptime(t *testing.T) {
	for line, want := range map[string]time.Duration{"STAT uptime 46": 46 * time.Second, "STAT uptime 0": 0, "STAT uptime x": -1, "STAT uptime": -1, "STAT uptime 99999999999": -1, "STAT pid 1": -1, "": -1} {
		if d, ok := uptime(line); ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %v, %v", line, d, ok)
		}
	}
}
