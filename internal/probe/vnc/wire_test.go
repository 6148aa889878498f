package vnc

import (
	"fmt"
	"testing"
)

func TestVersion(t *testing.T) {
	for b, want := range map[string]string{
		"RFB 003.008\n": "3.8 RFB 003.008\n false", "RFB 003.003\n": "3.3 RFB 003.003\n true", "RFB 003.889\n": "3.889 RFB 003.008\n false",
		"RFB 004.001\n": "4.1 RFB 003.008\n false", "RFB 003.007\n": "3.7 RFB 003.007\n false", "RFB 003.005\n": "3.5 RFB 003.003\n true",
		"RFB 003.00x\n": "", "RFB 003.008 ": "", "RFB 003,008\n": "", "RFB": "", "SSH-2.0-abc\n": "",
	} {
		major, minor, err := parseVersion([]byte(b))
		text, old := reply(major, minor)
		if got := fmt.Sprintf("%d.%d %s %v", major, minor, text, old); err == nil && got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", b, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	if securityName(1) != "None" || securityName(19) != "VeNCrypt" || securityName(250) != "type 250" {
		t.Error("names of security types")
	}
	for b, want := range map[string]int{"\x00\x00\x00\x05": 5, "\x00\x00\x10\x00": -1, "\x00": -1} {
		if n, err := reasonLength([]byte(b)); n != max(want, 0) || (err == nil) != (want >= 0) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	}
}

// FuzzVersion: a greeting that is understood is the one that its numbers make.
func FuzzVersion(f *testing.F) {
	f.Add([]byte("RFB 003.008\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		major, minor, err := parseVersion(b)
		if err == nil && fmt.Sprintf("RFB %03d.%03d\n", major, minor) != string(b) {
			t.Errorf("%q is %d.%d", b, major, minor)
		}
	})
}
