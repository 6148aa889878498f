package redis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBulkLength(t *testing.T) {
	for s, want := range map[string]int{"0": 0, "-1": -1, "32768": 32768, "32769": -9, "-2": -9, "": -9, "1x": -9, "99999999999999999999": -9} {
		n, err := bulkLength(s)
		if (err == nil) != (want != -9) || err == nil && n != want {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	for line, want := range map[string]string{"-NOAUTH Authentication required.": "NOAUTH|Authentication required.", "-ERR": "ERR|", "-": "", "-err x": "", "+OK": "", "-1": ""} {
		code, text, err := refusal(line)
		if got := code + "|" + text; err == nil && got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

func TestInfo(t *testing.T) {
	got := info("# Server\r\nredis_version:7.0.15\r\nos:Linux 6.1 x86_64\r\n\r\nconfig_file:\r\nno colon\r\n:no name\r\ntime:12:30")
	want := []pair{{"redis_version", "7.0.15"}, {"os", "Linux 6.1 x86_64"}, {"config_file", ""}, {"time", "12:30"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(pair{})); d != "" {
		t.Error(d)
	}
}

// FuzzInfo: pairs written again are lines of the text.
func FuzzInfo(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.0.15\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range info(text) {
			if !strings.Contains(text, p.name+":"+p.value) {
				t.Errorf("%+v", p)
			}
		}
	})
}
