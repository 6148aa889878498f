package filter

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// parseDecimal reads an unsigned decimal number without sign or space.
func parseDecimal(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// scale is one unit suffix and what it multiplies by.
type scale struct {
	suffix string
	by     uint64
}

// scales lists the suffixes of a unit, in lower case, the longest times first:
// the canonical form takes the first that divides.
func (u unit) scales() []scale {
	switch u {
	case unitNanos:
		return []scale{{"w", 604800e9}, {"d", 86400e9}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}
	case unitBytes:
		return []scale{{"pb", 1e15}, {"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1},
			{"p", 1e15}, {"t", 1e12}, {"g", 1e9}, {"m", 1e6}, {"k", 1e3},
			{"pib", 1 << 50}, {"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
			{"pi", 1 << 50}, {"ti", 1 << 40}, {"gi", 1 << 30}, {"mi", 1 << 20}, {"ki", 1 << 10}}
	}
	return []scale{{"g", 1e9}, {"m", 1e6}, {"k", 1e3}}
}

func (u unit) factor(suffix string) (uint64, bool) {
	suffix = strings.ToLower(suffix)
	if suffix == "µs" || suffix == "μs" { // micro sign, Greek mu
		suffix = "us"
	}
	for _, s := range u.scales() {
		if s.suffix == suffix {
			return s.by, true
		}
	}
	return 0, false
}

func (u unit) want() string {
	switch u {
	case unitBytes:
		return "a number of bytes such as 1500, 10k, 1.5MB or 4MiB"
	case unitNanos:
		return "a duration such as 10ms, 2s, 5m, 1h30m or 3d"
	}
	return "a number such as 42 or 10k"
}

// parse reads a number with its unit; durations may have several parts and
// need a unit, "0" apart.
func (u unit) parse(s string) (uint64, error) {
	if n, ok := parseDecimal(s); ok && (u != unitNanos || n == 0) {
		return n, nil
	}
	if s != "" && strings.Trim(s, "0123456789") == "" && u != unitNanos {
		return 0, fmt.Errorf("number %s is too large", quoteShort(s))
	}
	var total uint64
	for rest, first := s, true; rest != ""; first = false {
		n, left, ok := u.part(rest)
		if !ok || !first && u != unitNanos {
			return 0, fmt.Errorf("bad number %s: want %s", quoteShort(s), u.want())
		}
		sum, carry := bits.Add64(total, n, 0)
		if carry != 0 || n == math.MaxUint64 {
			return 0, fmt.Errorf("number %s is too large", quoteShort(s))
		}
		total, rest = sum, left
	}
	if s == "" {
		return 0, fmt.Errorf("no number: want %s", u.want())
	}
	return total, nil
}

// part reads one number and suffix from the front of s. It gives MaxUint64 for
// what is too large.
func (u unit) part(s string) (n uint64, rest string, ok bool) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	j := i
	for j < len(s) && (s[j] < '0' || s[j] > '9') {
		j++
	}
	by, ok := u.factor(s[i:j])
	if !ok {
		return 0, "", false
	}
	whole, frac, _ := strings.Cut(s[:i], ".")
	if strings.Contains(frac, ".") {
		return 0, "", false
	}
	n, ok = parseDecimal(whole)
	if !ok {
		if len(whole) == 0 || len(strings.TrimLeft(whole, "0123456789")) > 0 {
			return 0, "", false
		}
		return math.MaxUint64, s[j:], true
	}
	hi, lo := bits.Mul64(n, by)
	sum, carry := bits.Add64(lo, fraction(frac, by), 0)
	if hi != 0 || carry != 0 {
		return math.MaxUint64, s[j:], true
	}
	return sum, s[j:], true
}

// fraction returns floor(0.digits x by), exact for the first 18 digits.
func fraction(digits string, by uint64) (n uint64) {
	for unit := by; digits != "" && unit > 1; digits = digits[1:] {
		// by's powers of ten go digit by digit; what is left is rounded down.
		if unit%10 != 0 {
			f, _ := strconv.ParseFloat("0."+digits, 64)
			return n + uint64(f*float64(unit))
		}
		unit /= 10
		n += uint64(digits[0]-'0') * unit
	}
	return n
}

// format is the inverse of parse, with the largest unit that divides n.
func (u unit) format(n uint64) string {
	d := strconv.FormatUint(n, 10)
	if u == unitCount || n == 0 {
		return d
	}
	for _, s := range u.scales() {
		if s.by > 1 && n%s.by == 0 && n/s.by > 0 {
			if u == unitBytes {
				return strconv.FormatUint(n/s.by, 10) + siBytes(s.suffix)
			}
			return strconv.FormatUint(n/s.by, 10) + s.suffix
		}
	}
	if u == unitNanos {
		return d + "ns"
	}
	return d
}

// siBytes spells a byte suffix as the SI and IEC do: kB, MB, KiB.
func siBytes(suffix string) string {
	if suffix == "kb" {
		return "kB"
	}
	if strings.HasSuffix(suffix, "ib") {
		return strings.ToUpper(suffix[:1]) + "iB"
	}
	return strings.ToUpper(suffix)
}

// relSpan is the interval that an ordering relation to n means; ok is false
// when nothing is in it.
func relSpan(r rel, n uint64) (span, bool) {
	switch r {
	case relLess:
		return span{0, n - 1}, n > 0
	case relLessEqual:
		return span{0, n}, true
	case relMore:
		return span{n + 1, math.MaxUint64}, n < math.MaxUint64
	}
	return span{n, math.MaxUint64}, true
}

// within reports whether one of the spans has n.
func within(spans []span, n uint64) bool {
	for i := range spans {
		if spans[i].lo <= n && n <= spans[i].hi {
			return true
		}
	}
	return false
}

// quoteShort quotes outside text for an error line, cut to a readable length.
func quoteShort(s string) string {
	if len(s) > 40 {
		s = s[:37] + "..."
	}
	return strconv.Quote(s)
}
