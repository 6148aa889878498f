package prlog

import (
	"bytes"
	"errors"
	"time"
)

// clock reads "05/7/6,13:52:1," and remembers the last: lines of one second,
// or of one minute, cost little.
type clock struct {
	loc    *time.Location
	stamp  []byte // the text read last, with its comma
	time   int64  // what it means
	minute [5]int // year, month, day, hour, minute read last
	start  int64  // what that minute began at, s
}

var errTime = errors.New("bad date or time: want year/month/day,hour:minute:second")

// parse reads the first two columns and returns the rest of the line.
func (c *clock) parse(line []byte, to *int64) (rest []byte, err error) {
	if len(c.stamp) > 0 && bytes.HasPrefix(line, c.stamp) {
		*to = c.time
		return line[len(c.stamp):], nil
	}
	v, rest, ok := stampFields(line)
	if !ok || len(rest) == 0 || rest[0] != ',' {
		return nil, errTime
	}
	t, err := c.seconds(v)
	if err != nil {
		return nil, err
	}
	rest = rest[1:]
	c.stamp = append(c.stamp[:0], line[:len(line)-len(rest)]...)
	c.time = t * 1e9
	*to = c.time
	return rest, nil
}

// stampFields splits "y/m/d,h:m:s". Each field is of one or two digits, the
// year perhaps of four; blanks may follow the comma.
func stampFields(b []byte) (v [6]int, rest []byte, ok bool) {
	const seps = "//,::"
	for i := range v {
		digits := 0
		for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
			if digits++; digits > 4 || digits > 2 && i > 0 {
				return v, b, false
			}
			v[i] = v[i]*10 + int(b[0]-'0')
			b = b[1:]
		}
		if digits == 0 {
			return v, b, false
		}
		if i == len(v)-1 {
			break
		}
		if len(b) == 0 || b[0] != seps[i] {
			return v, b, false
		}
		b = b[1:]
		for i == 2 && len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
	}
	return v, b, true
}

// seconds returns the Unix time of the fields. Two digits of a year are of this
// century: the original is of 2004.
func (c *clock) seconds(v [6]int) (int64, error) {
	if v[0] < 100 {
		v[0] += 2000
	}
	if v[3] > 23 || v[4] > 59 || v[5] > 60 {
		return 0, errTime
	}
	if m := [5]int(v[:5]); m != c.minute || c.start == 0 {
		t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], 0, 0, c.loc)
		// Date wraps what is out of range; a time that a summer-time change
		// skips moves as well, but not to another day.
		if t.Day() != v[2] || t.Month() != time.Month(v[1]) || v[0] < 1980 || v[0] > 2200 {
			return 0, errTime
		}
		t = c.later(t)
		c.minute, c.start = m, t.Unix()
	}
	return c.start + int64(v[5]), nil
}

// later resolves the hour that the end of summer time repeats: a log goes
// forward, so a minute that lies before the last one is the second of its name.
func (c *clock) later(t time.Time) time.Time {
	first, second := t, t
	if u := t.Add(-time.Hour); sameClock(t, u) {
		first = u
	} else if u := t.Add(time.Hour); sameClock(t, u) {
		second = u
	}
	if first.Unix() < c.start {
		return second
	}
	return first
}

func sameClock(t, u time.Time) bool { return t.Hour() == u.Hour() && t.Minute() == u.Minute() }
