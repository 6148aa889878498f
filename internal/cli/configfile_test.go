package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfig(t *testing.T) {
	var c Config
	text := `
# comments, dotted keys, tables and inline tables are all TOML
dir = "/srv/record"
sync = "250ms"
segment.rows = 65_536
retention = { days = 7, bytes = "1GiB" }
process.args = "none"

[classic]
enabled = false
ports = "listeners"
max_bytes = 1048576

[interest]
command = ["/usr/bin/alert",  # a comment
  '--to', "a \"b\" c"]

[capture]
tier = "poll"
"ring_bytes" = "1MiB"
`
	if err := parseConfig("c.toml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	want := Config{Dir: "/srv/record", Sync: 250e6, SegmentRows: 65536, RetentionDays: 7, RetentionBytes: 1 << 30, ProcessArgs: "none",
		ClassicPorts: "listeners", ClassicMaxBytes: 1 << 20, InterestCommand: `["/usr/bin/alert","--to","a \"b\" c"]`, CaptureTier: "poll", CaptureRingBytes: 1 << 20}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestParseConfigMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"dir = ":                             `c.toml:1: toml: expected value, not end of input`,
		"a = 1\na = 2":                       `c.toml:2: toml: key a is already defined`,
		"\n\ndirr = 'x'":                     `c.toml:3: unknown key "dirr"; did you mean "dir"?`,
		"[retention]\n# x\nday = 1":          `c.toml:3: unknown key "retention.day"; did you mean "retention.days"?`,
		"[retenton]\ndays = 1":               `c.toml:1: unknown table [retenton]; did you mean "retention"?`,
		"[[retention]]\ndays = 1":            `c.toml:1: unexpected [[retention]]: no setting is a list of tables`,
		"[a.b]\nc = 1":                       `c.toml:1: unknown table [a.b]`,
		"retention.days = 'x'":               `c.toml:1: retention.days: "x" is not a whole number`,
		"retention.days = 1.5":               `c.toml:1: retention.days: it takes a text, a number or true and false, not: float`,
		"retention.days = [1]":               `c.toml:1: retention.days: it takes a text, a number or true and false, not: array`,
		"retention = 5":                      `c.toml:1: retention is a table: write [retention] on a line of its own`,
		"dir = {x=1}":                        `c.toml:1: dir: it takes a text, a number or true and false, not: inlinetable`,
		"\nretention = {days = 1, byte = 2}": `c.toml:2: unknown key "retention.byte"; did you mean "retention.bytes"?`,
		"classic.enabled = 'maybe'":          `c.toml:1: classic.enabled: "maybe" is neither true nor false`,
		"capture.ring_bytes = 3000000":       `c.toml:1: capture.ring_bytes: 3000000 is not a power of two; the next is 4MiB`,
		"classic.max_bytes = '1KiB'":         `c.toml:1: classic.max_bytes: 1KiB is not between 64KiB and 1TiB`,
		"dir = ''":                           `c.toml:1: dir: it can't be empty`,
		"dir = \"a\\nb\"":                    `c.toml:1: dir: "a\nb" holds a control character`,
		"sync = '-1s'":                       `c.toml:1: sync: -1s is not between 0s and 1h0m0s`,
		"log.level = 'Warn'":                 `c.toml:1: log.level: unknown value "Warn": one of debug, info, warn, error; did you mean "warn"?`,
		"interest.command = 'x y'":           `c.toml:1: interest.command: "x y" is no list of texts: want one as ["one", "two"]`,
		"interest.command = ['x', 1]":        `c.toml:1: interest.command: it takes a list of texts, not: integer`,
		"interest.command = [\"a\\tb\"]":     `c.toml:1: interest.command: "a\tb" holds a control character`,
		"interest.least = 'hihg'":            `c.toml:1: interest.least: unknown value "hihg": one of info, low, medium, high, critical; did you mean "high"?`,
		"xyzzy = 1":                          `c.toml:1: unknown key "xyzzy"`,
	} {
		var c Config
		err := parseConfig("c.toml", []byte(text), &c)
		if exitCode(err) != exitUsage {
			t.Errorf("%q: exit code %d, want %d", text, exitCode(err), exitUsage)
		}
		if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
			t.Errorf("%q: -want +got\n%s", text, d)
		}
	}
}

func TestReadConfigFileBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, maxConfigFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfigFile(path); err == nil {
		t.Error("a file over the bound is read")
	}
	if err := os.Truncate(path, maxConfigFile); err != nil {
		t.Fatal(err)
	}
	if b, err := readConfigFile(path); err != nil || len(b) != maxConfigFile {
		t.Errorf("%d bytes, %v: want %d", len(b), err, maxConfigFile)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1_000": 1000, "10GB": 10e9, "8MiB": 8 << 20, "8mib": 8 << 20, "2 KiB": 2048, "1k": 1024, "5B": 5, "1TB": 1e12,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5GB", "GB", "10XB", "9999999999999999999", "9000000TiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1: "1", 1000: "1KB", 1024: "1KiB", 10 << 30: "10GiB", 10e9: "10GB", 1025: "1025"} {
		if got := formatSize(n); got != want {
			t.Errorf("formatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("10GB")
	f.Add("8MiB")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			return
		}
		if again, err := parseSize(formatSize(n)); err != nil || again != n || n < 0 {
			t.Errorf("%q is %d, which reads back from %q as %d, %v", s, n, formatSize(n), again, err)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("dir = 'x'\n[retention]\ndays = 1\n"))
	f.Add([]byte("retention = {days = 1}"))
	f.Add([]byte("[[a]]\n\"b\".c = 1979-05-27"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := defaultConfig(func(string) string { return "" })
		if err := parseConfig("c.toml", data, &c); err != nil {
			if exitCode(err) != exitUsage {
				t.Errorf("%v is no usage error", err)
			}
			return
		}
		// What was taken is what each setting takes.
		for _, s := range settings() {
			v := s.value(&c)
			if err := v.Set(v.String()); err != nil {
				t.Errorf("%s = %q does not set again: %v", s.key, v, err)
			}
		}
	})
}
