package run

import (
	"fmt"
	"math"
	"slices"
)

// Summary is a median and the extremes beside it.
type Summary struct{ Median, Min, Max float64 }

// Summarise sums up values, which may be in any order; none give not-a-number.
func Summarise(v []float64) Summary {
	if len(v) == 0 {
		return Summary{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	m := s[n/2]
	if n%2 == 0 {
		m = (s[n/2-1] + s[n/2]) / 2
	}
	return Summary{m, s[0], s[n-1]}
}

// Paired divides each value by the one of the same round in base, so that what
// disturbed a whole round does not count.
func Paired(v, base []float64) []float64 {
	out := make([]float64, 0, len(v))
	for i := range min(len(v), len(base)) {
		if base[i] > 0 {
			out = append(out, v[i]/base[i])
		}
	}
	return out
}

// String is the median, with the extremes in brackets.
func (s Summary) String() string {
	if math.IsNaN(s.Median) {
		return "-"
	}
	return fmt.Sprintf("%.2f [%.2f..%.2f]", s.Median, s.Min, s.Max)
}
