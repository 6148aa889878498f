package filter

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct {
		unit unit
		in   string
		want uint64
	}{
		{unitCount, "0", 0},
		{unitCount, "42", 42},
		{unitCount, "10k", 10_000},
		{unitCount, "2M", 2_000_000},
		{unitCount, "1.5g", 1_500_000_000},
		{unitCount, "18446744073709551615", math.MaxUint64},
		{unitBytes, "1500", 1500},
		{unitBytes, "1500b", 1500},
		{unitBytes, "1k", 1000},
		{unitBytes, "1kB", 1000},
		{unitBytes, "1KiB", 1024},
		{unitBytes, "1Ki", 1024},
		{unitBytes, "1.5MB", 1_500_000},
		{unitBytes, "0.5MiB", 524_288},
		{unitBytes, "4GiB", 4 << 30},
		{unitBytes, "1TB", 1e12},
		{unitBytes, "1PiB", 1 << 50},
		{unitBytes, "0.0001kB", 0},
		{unitNanos, "0", 0},
		{unitNanos, "10ms", 10e6},
		{unitNanos, "250us", 250e3},
		{unitNanos, "250µs", 250e3},
		{unitNanos, "7ns", 7},
		{unitNanos, "1.5s", 1.5e9},
		{unitNanos, "0.25m", 15e9},
		{unitNanos, "1h30m", 5400e9},
		{unitNanos, "1h30m15.5s", 5415.5e9},
		{unitNanos, "3D", 3 * 86400e9},
		{unitNanos, "2w", 14 * 86400e9},
	} {
		got, err := c.unit.parse(c.in)
		if err != nil || got != c.want {
			t.Errorf("%q = %d, %v, want %d", c.in, got, err, c.want)
		}
	}
}

func TestParseNumberErrors(t *testing.T) {
	for _, c := range []struct {
		unit     unit
		in, want string
	}{
		{unitCount, "", "no number"},
		{unitCount, "x", "bad number"},
		{unitCount, "-1", "bad number"},
		{unitCount, "+1", "bad number"},
		{unitCount, "1 k", "bad number"},
		{unitCount, "1KiB", "bad number"},
		{unitCount, "1k2k", "bad number"}, // only durations have several parts
		{unitCount, "18446744073709551616", "too large"},
		{unitBytes, "1.5.5MB", "bad number"},
		{unitBytes, ".5MB", "bad number"},
		{unitBytes, "99999999999999999999kB", "too large"},
		{unitBytes, "99999PB", "too large"},
		{unitNanos, "5", "bad number"}, // of what?
		{unitNanos, "5parsecs", "bad number"},
		{unitNanos, "1h30", "bad number"},
		{unitNanos, "999999w", "too large"},
		{unitNanos, "20000w20000w", "too large"},
	} {
		if n, err := c.unit.parse(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q = %d, %v, want an error about %q", c.in, n, err, c.want)
		}
	}
}

// TestFormatNumber checks that the canonical form of a number is read back.
func TestFormatNumber(t *testing.T) {
	for _, c := range []struct {
		unit unit
		n    uint64
		want string
	}{
		{unitCount, 10_000, "10000"},
		{unitBytes, 0, "0"},
		{unitBytes, 1, "1"},
		{unitBytes, 1000, "1kB"},
		{unitBytes, 1024, "1KiB"},
		{unitBytes, 1_048_576, "1MiB"},
		{unitBytes, 5e12, "5TB"},
		{unitNanos, 1, "1ns"},
		{unitNanos, 90e9, "90s"},
		{unitNanos, 3600e9, "1h"},
		{unitNanos, 36 * 3600e9, "36h"},
		{unitNanos, 7 * 86400e9, "1w"},
	} {
		if got := c.unit.format(c.n); got != c.want {
			t.Errorf("%d = %q, want %q", c.n, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		n := r.Uint64() >> r.IntN(64)
		if r.IntN(2) == 0 {
			n = n / 1000 * 1000
		}
		for _, u := range []unit{unitCount, unitBytes, unitNanos} {
			if got, err := u.parse(u.format(n)); err != nil || got != n {
				t.Fatalf("%d is written %q and read as %d, %v", n, u.format(n), got, err)
			}
		}
	}
}

func TestRelSpan(t *testing.T) {
	const top = math.MaxUint64
	for _, c := range []struct {
		rel  rel
		n    uint64
		want span
		ok   bool
	}{
		{relLess, 5, span{0, 4}, true},
		{relLess, 0, span{}, false},
		{relLessEqual, 0, span{0, 0}, true},
		{relMore, 5, span{6, top}, true},
		{relMore, top, span{}, false},
		{relMoreEqual, top, span{top, top}, true},
	} {
		got, ok := relSpan(c.rel, c.n)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%v%d = %v, %v, want %v, %v", c.rel, c.n, got, ok, c.want, c.ok)
		}
	}
}

func TestTidy(t *testing.T) {
	for in, want := range map[string][]span{
		"pid:5,3,4":                     {{3, 5}},
		"pid:1-10,5-7":                  {{1, 10}},
		"pid:1-10,12":                   {{1, 10}, {12, 12}},
		"pid:7,7,7":                     {{7, 7}},
		"pid:0,18446744073709551615,1":  {{0, 1}, {math.MaxUint64, math.MaxUint64}},
		"pid:0-18446744073709551615,99": {{0, math.MaxUint64}},
	} {
		if d := cmp.Diff(want, mustParse(t, in).root.term.spans, cmp.AllowUnexported(span{})); d != "" {
			t.Errorf("%s: -want +got\n%s", in, d)
		}
	}
}
