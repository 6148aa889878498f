package render

import (
	"math"
	"strconv"
	"time"
)

// Bytes writes a number of bytes in SI units with two to three digits that count: "999 B",
// "1.2 MB", "340 GB".
func Bytes(n uint64) string { return string(appendBytes(nil, n)) }

func appendBytes(b []byte, n uint64) []byte {
	if n < 1000 {
		return append(strconv.AppendUint(b, n, 10), " B"...)
	}
	const units = "kMGTPE"
	unit, scale := 0, uint64(1000)
	// 999,950 is "1.0 MB", not "1000.0 kB": the step is where one decimal rounds up.
	for unit < len(units)-1 && n >= scale*1000-scale/20 {
		scale *= 1000
		unit++
	}
	b = appendShort(b, float64(n)/float64(scale))
	return append(b, ' ', units[unit], 'B')
}

// appendShort writes one decimal below 100 and none above.
func appendShort(b []byte, f float64) []byte {
	if f < 99.95 {
		return strconv.AppendFloat(b, f, 'f', 1, 64)
	}
	return strconv.AppendFloat(b, math.Floor(f), 'f', 0, 64)
}

// Duration writes a length of time in ns as people say it: "20us", "602.9ms",
// "12.4s", "5m03s", "3h12m", "4d06h".
func Duration(ns int64) string { return string(appendDuration(nil, ns)) }

func appendDuration(b []byte, ns int64) []byte {
	if ns < 0 {
		b = append(b, '-')
		ns = max(-ns, 0)
		if ns == 0 {
			ns = math.MaxInt64 // the one number without an opposite
		}
	}
	switch d := time.Duration(ns); {
	case d < time.Microsecond:
		return append(strconv.AppendInt(b, ns, 10), "ns"...)
	case d < time.Millisecond:
		return append(strconv.AppendInt(b, ns/1e3, 10), "us"...)
	case d < time.Second:
		return append(appendTenth(b, ns, 1e6), "ms"...)
	case d < time.Minute:
		return append(appendTenth(b, ns, 1e9), 's')
	case d < time.Hour:
		return appendPair(b, ns/60e9, 'm', ns/1e9%60, 's')
	case d < 24*time.Hour:
		return appendPair(b, ns/3600e9, 'h', ns/60e9%60, 'm')
	}
	return appendPair(b, ns/86400e9, 'd', ns/3600e9%24, 'h')
}

// appendTenth writes n/unit, cut to one decimal.
func appendTenth(b []byte, n, unit int64) []byte {
	b = strconv.AppendInt(b, n/unit, 10)
	if tenth := n % unit * 10 / unit; tenth != 0 {
		b = append(b, '.', byte('0'+tenth))
	}
	return b
}

func appendPair(b []byte, major int64, u1 byte, minor int64, u2 byte) []byte {
	b = append(strconv.AppendInt(b, major, 10), u1, byte('0'+minor/10), byte('0'+minor%10))
	return append(b, u2)
}

// Age writes how long ago an instant was, in its largest unit: "now", "12s",
// "5m", "3h", "4d". Both are UTC ns.
func Age(then, now int64) string {
	s := (now - then) / 1e9
	switch {
	case s < 1:
		return "now"
	case s < 60:
		return strconv.FormatInt(s, 10) + "s"
	case s < 3600:
		return strconv.FormatInt(s/60, 10) + "m"
	case s < 86400:
		return strconv.FormatInt(s/3600, 10) + "h"
	}
	return strconv.FormatInt(s/86400, 10) + "d"
}
