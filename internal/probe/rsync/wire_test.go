package rsync

import (
	"strings"
	"testing"
)

func TestParseGreeting(t *testing.T) {
	for line, want := range map[string]string{
		"@RSYNCD: 31.0 sha512 md5": "31.0 sha512 md5", "@RSYNCD: 29": "29", "@RSYNCD: ": "", "@RSYNCD: EXIT": "", "@ERROR: no": "", "": "",
	} {
		protocol, digests, err := parseGreeting(line)
		if got := strings.Join(append([]string{protocol}, digests...), " "); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

func TestLines(t *testing.T) {
	for line, want := range map[string]string{"@RSYNCD: EXIT": "", "@ERROR: max connections (5) reached": "max connections (5) reached"} {
		if ended, refused := end(line); !ended || refused != want {
			t.Errorf("%q: %v %q", line, ended, refused)
		}
	}
	if ended, _ := end("pub\tx"); ended {
		t.Error("a module ends it")
	}
	if n, c, ok := module("pub            \tall of it"); n != "pub" || c != "all of it" || !ok {
		t.Errorf("%q %q", n, c)
	}
	if _, _, ok := module("welcome"); ok {
		t.Error("a message of the day is a module")
	}
}

// FuzzLines: names have no tab, and protocols come from the line.
func FuzzLines(f *testing.F) {
	f.Add("pub            \tall of it")
	f.Add("@ERROR: x\ty")
	f.Fuzz(func(t *testing.T, line string) {
		if name, _, ok := module(line); ok && strings.Contains(name, "\t") {
			t.Errorf("%q", name)
		}
		protocol, _, err := parseGreeting(line)
		if err == nil && !strings.Contains(line, protocol) {
			t.Errorf("%q from %q", protocol, line)
		}
	})
}
