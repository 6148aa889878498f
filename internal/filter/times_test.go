package filter

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // a zone with summer time, wherever the test runs
)

func TestParseTime(t *testing.T) {
	opt := testOptions() // 15:30:45 UTC, 17:30:45 in the zone
	for in, want := range map[string][2]string{
		"2026-11-24T20:41:50Z":      {"2026-11-24T20:41:50Z", "2026-11-24T20:41:51Z"},
		"2026-11-24t20:41:50z":      {"2026-11-24T20:41:50Z", "2026-11-24T20:41:51Z"},
		"2026-11-24T20:41:50.19Z":   {"2026-11-24T20:41:50.19Z", "2026-11-24T20:41:50.190000001Z"},
		"2026-11-24T20:41:50-05:00": {"2026-11-25T01:41:50Z", "2026-11-25T01:41:51Z"},
		"2026-11-24":                {"2026-11-23T22:00:00Z", "2026-11-24T22:00:00Z"},
		"2026-11-24 14:00":          {"2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"},
		"2026-11-24T14:00":          {"2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"},
		"2026-11-24 14:00:05":       {"2026-11-24T12:00:05Z", "2026-11-24T12:00:06Z"},
		"2026-12":                   {"2026-11-30T22:00:00Z", "2026-12-31T22:00:00Z"},
		"14:00":                     {"2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z"},
		"14:00:05":                  {"2026-11-24T12:00:05Z", "2026-11-24T12:00:06Z"},
		"today":                     {"2026-11-23T22:00:00Z", "2026-11-24T22:00:00Z"},
		"Yesterday":                 {"2026-11-22T22:00:00Z", "2026-11-23T22:00:00Z"},
		"yesterday 14:00":           {"2026-11-23T12:00:00Z", "2026-11-23T12:01:00Z"},
		"yesterday  14:00:09":       {"2026-11-23T12:00:09Z", "2026-11-23T12:00:10Z"},
		"tomorrow":                  {"2026-11-24T22:00:00Z", "2026-11-25T22:00:00Z"},
		"now":                       {"2026-11-24T15:30:45Z", "2026-11-24T15:30:46Z"},
		"2h":                        {"2026-11-24T13:30:45Z", "2026-11-24T14:30:45Z"},
		"2h ago":                    {"2026-11-24T13:30:45Z", "2026-11-24T14:30:45Z"},
		"1h30m":                     {"2026-11-24T14:00:45Z", "2026-11-24T14:01:45Z"},
		"1.5s":                      {"2026-11-24T15:30:43.5Z", "2026-11-24T15:30:44.5Z"},
		"0":                         {"2026-11-24T15:30:45Z", "2026-11-24T15:30:45.000000001Z"},
		"yesterday..today":          {"2026-11-22T22:00:00Z", "2026-11-23T22:00:00Z"},
		"2h..1h":                    {"2026-11-24T13:30:45Z", "2026-11-24T14:30:45Z"},
		"2261-12-31T23:59:59Z":      {"2261-12-31T23:59:59Z", "2262-01-01T00:00:00Z"},
		"2262-01-01T00:00:00Z":      {"2262-01-01T00:00:00Z", "2262-01-01T00:00:00Z"},
	} {
		from, to, err := ParseTime(in, opt)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := [2]string{formatTime(from), formatTime(to)}; got != want {
			t.Errorf("%q = %v, want %v", in, got, want)
		}
	}
}

func TestParseTimeErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "no time",
		"..":                          "no time",
		"today..":                     "no time",
		"soon":                        "bad time",
		"2026-13-01":                  "bad time",
		"2026-11-31":                  "bad time",
		"25:00":                       "bad time",
		"5":                           "bad time",
		"-2h":                         "bad time",
		"today..yesterday":            "ends before it begins",
		"1677-12-31":                  "out of range",
		"2262-01-01T00:00:00.1Z":      "out of range",
		"9999999h":                    "bad time",
		"a" + strings.Repeat("b", 99): "...",
	} {
		if from, to, err := ParseTime(in, testOptions()); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "filter: ") {
			t.Errorf("%q = %d, %d, %v, want an error about %q", in, from, to, err, want)
		}
	}
	if _, _, err := ParseTime("2h", Options{}); err == nil {
		t.Error("a relative time without a now is no error")
	}
}

// TestSummerTime checks that a day is from midnight to midnight where it has 23
// or 25 hours.
func TestSummerTime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Fatal(err)
	}
	for day, hours := range map[string]time.Duration{"2026-03-28": 24, "2026-03-29": 23, "2026-10-25": 25} {
		from, to, err := ParseTime(day, Options{Location: zone})
		if err != nil || time.Duration(to-from) != hours*time.Hour {
			t.Errorf("%s has %v, %v, want %d hours", day, time.Duration(to-from), err, hours)
		}
	}
	// "yesterday" is the day before by the calendar, whatever its length.
	from, to, err := ParseTime("yesterday", Options{Location: zone, Now: time.Date(2026, 10, 25, 22, 30, 0, 0, time.UTC)})
	if err != nil || formatTime(from) != "2026-10-24T21:00:00Z" || formatTime(to) != "2026-10-25T22:00:00Z" {
		t.Errorf("yesterday = %s to %s, %v", formatTime(from), formatTime(to), err)
	}
}

// FuzzParseTime checks that what parses is in order and reads back.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"today", "yesterday 14:00", "2h", "2026-11-24", "a..b", "2261-12-31", "1w2d3h4m5s6ms7us8ns ago"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, to, err := ParseTime(s, testOptions())
		if err != nil {
			return
		}
		if to < from {
			t.Fatalf("%q ends at %d before it begins at %d", s, to, from)
		}
		again, end, err := ParseTime(formatTime(from)+".."+formatTime(to), Options{})
		if err != nil || again != from || end != to {
			t.Fatalf("%q = %d..%d is read back as %d..%d, %v", s, from, to, again, end, err)
		}
	})
}
