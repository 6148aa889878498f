package filter

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ParseTime reads a time as people write it and returns the interval that it
// names, in UTC ns: from inclusive, to exclusive. The interval is as long as
// the text is precise, so "2026-11-24" is a day and "2026-11-24 14:00" a
// minute; who wants an instant takes from. The forms:
//
//	2026-11-24T20:41:50.19Z   RFC 3339
//	2026-11-24 [20:41[:50]]   in opt.Location, also with a T
//	2026-11, 20:41[:50]       a month; a time of today
//	now, today [20:41], yesterday [20:41], tomorrow [20:41]
//	90s, 2h, 3d               that long before opt.Now
//	FROM..TO                  from the start of one to the start of the other
func ParseTime(s string, opt Options) (from, to int64, err error) {
	from, to, err = parseTime(s, opt)
	if err != nil {
		return 0, 0, fmt.Errorf("filter: %w", err)
	}
	return from, to, nil
}

func parseTime(s string, opt Options) (from, to int64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		return oneTime(s, opt)
	}
	if from, _, err = oneTime(a, opt); err != nil {
		return 0, 0, err
	}
	if to, _, err = oneTime(b, opt); err != nil {
		return 0, 0, err
	}
	if to < from {
		return 0, 0, fmt.Errorf("the interval %s ends before it begins", quoteShort(s))
	}
	return from, to, nil
}

// layout is a form of absolute time and how the interval ends that it names.
type layout struct {
	form   string
	end    func(time.Time) time.Time
	hasDay bool
}

func plus(d time.Duration) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.Add(d) }
}

func layouts() []layout {
	day := func(t time.Time) time.Time { return t.AddDate(0, 0, 1) } // 23 to 25 hours long
	month := func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }
	return []layout{
		{"2006-01-02", day, true},
		{"2006-01-02 15:04", plus(time.Minute), true},
		{"2006-01-02T15:04", plus(time.Minute), true},
		{"2006-01-02 15:04:05", plus(time.Second), true},
		{"2006-01-02T15:04:05", plus(time.Second), true},
		{"2006-01", month, true},
		{"15:04", plus(time.Minute), false},
		{"15:04:05", plus(time.Second), false},
	}
}

func oneTime(s string, opt Options) (from, to int64, err error) {
	loc := opt.Location
	if loc == nil {
		loc = time.UTC
	}
	now := opt.Now.In(loc)
	s = strings.ToLower(strings.TrimSpace(s))
	switch {
	case s == "now":
		return interval(now, now.Add(time.Second))
	case s == "":
		return 0, 0, errors.New("no time")
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s)); err == nil {
		if strings.Contains(s, ".") {
			return interval(t, t.Add(1))
		}
		return interval(t, t.Add(time.Second))
	}
	date, clock, _ := strings.Cut(s, " ")
	if off, ok := dayWord(date); ok {
		s = now.AddDate(0, 0, off).Format("2006-01-02")
		if clock != "" {
			s += " " + strings.TrimSpace(clock)
		}
	}
	for _, l := range layouts() {
		t, err := time.ParseInLocation(l.form, strings.ToUpper(s), loc)
		if err != nil {
			continue
		}
		if !l.hasDay {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc)
		}
		return interval(t, l.end(t))
	}
	return ago(s, now)
}

// dayWord returns how many days from today a word is.
func dayWord(s string) (days int, ok bool) {
	switch s {
	case "yesterday":
		return -1, true
	case "today":
		return 0, true
	case "tomorrow":
		return 1, true
	}
	return 0, false
}

// isDay reports whether a time of day may follow s.
func isDay(s string) bool {
	if _, ok := dayWord(s); ok {
		return true
	}
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// isClock reports whether s is 14:00 or 14:00:05.
func isClock(s string) bool {
	_, short := time.Parse("15:04", s)
	_, long := time.Parse(time.TimeOnly, s)
	return short == nil || long == nil
}

// ago reads a length of time before now; its interval is as long as its last unit.
func ago(s string, now time.Time) (from, to int64, err error) {
	s = strings.TrimSpace(strings.TrimSuffix(s, " ago"))
	n, err := unitNanos.parse(s)
	if err != nil || n > math.MaxInt64 {
		return 0, 0, fmt.Errorf("bad time %s: want 2026-11-24, \"2026-11-24 14:00\", RFC 3339, today, \"yesterday 14:00\", 14:00, now, or 2h for two hours ago", quoteShort(s))
	}
	by, _ := unitNanos.factor(strings.TrimLeft(s[strings.LastIndexAny(s, "0123456789")+1:], "."))
	t := now.Add(-time.Duration(n))
	return interval(t, t.Add(time.Duration(max(by, 1))))
}

// interval turns times to UTC ns, which hold the years 1678 to 2261. The end of
// time is a time too, so that every end can be written and read again.
func interval(from, to time.Time) (int64, int64, error) {
	first, last := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
	if from.Before(first) || from.After(last) {
		return 0, 0, fmt.Errorf("the year %d is out of range: want 1678 to 2261", from.Year())
	}
	if to.After(last) {
		to = last
	}
	return from.UnixNano(), to.UnixNano(), nil
}

// formatTime writes an instant so that oneTime reads it again.
func formatTime(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
