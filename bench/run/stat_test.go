package run

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want Summary
		text string
	}{
		{[]float64{3}, Summary{3, 3, 3}, "3.00 [3.00..3.00]"},
		{[]float64{9, 1, 2}, Summary{2, 1, 9}, "2.00 [1.00..9.00]"},
		{[]float64{4, 1, 3, 2}, Summary{2.5, 1, 4}, "2.50 [1.00..4.00]"},
	} {
		got := Summarise(tt.in)
		if got != tt.want || got.String() != tt.text {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
	if got := Summarise(nil).String(); got != "-" {
		t.Errorf("nothing: %s", got)
	}
}

func TestPaired(t *testing.T) {
	if d := cmp.Diff([]float64{2, 3}, Paired([]float64{4, 5, 9}, []float64{2, 0, 3})); d != "" {
		t.Error(d)
	}
}
