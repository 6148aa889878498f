package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/journal"
)

func TestFindGaps(t *testing.T) {
	recorded := func(from, to int64) journal.Interval {
		return journal.Interval{From: from, To: to, State: journal.StateRecorded}
	}
	between := func(state journal.State, from, to int64) journal.Interval {
		return journal.Interval{From: from, To: to, State: state}
	}
	for name, c := range map[string]struct {
		spans    []journal.Interval
		from, to int64
		want     [][2]int64 // now is 100
	}{
		"whole":                     {[]journal.Interval{recorded(10, 90)}, 20, 80, nil},
		"nothing recorded":          {nil, 20, 80, [][2]int64{{20, 80}}},
		"nothing, all asked":        {nil, 0, 0, nil},
		"began later":               {[]journal.Interval{recorded(30, 90)}, 20, 80, [][2]int64{{20, 30}}},
		"ended before":              {[]journal.Interval{recorded(10, 60)}, 20, 80, [][2]int64{{60, 80}}},
		"ended before now":          {[]journal.Interval{recorded(10, 60)}, 20, 0, [][2]int64{{60, 100}}},
		"runs":                      {[]journal.Interval{recorded(10, 60), recorded(10, 100)}, 20, 0, nil},
		"the future":                {[]journal.Interval{recorded(10, 100)}, 20, 200, nil},
		"two runs":                  {[]journal.Interval{recorded(10, 40), between(journal.StateNotRunning, 40, 50), recorded(50, 90)}, 20, 80, [][2]int64{{40, 50}}},
		"two runs, all asked":       {[]journal.Interval{recorded(10, 40), between(journal.StateNotRunning, 40, 50), recorded(50, 90)}, 0, 0, nil},
		"crashed, all asked":        {[]journal.Interval{recorded(10, 40), between(journal.StateCrashed, 40, 50), recorded(50, 90)}, 0, 0, [][2]int64{{40, 50}}},
		"gap, all asked":            {[]journal.Interval{recorded(10, 90), between(journal.StateGap, 20, 21)}, 0, 0, [][2]int64{{20, 21}}},
		"began later, gap, stopped": {[]journal.Interval{recorded(30, 60), between(journal.StateGap, 40, 41)}, 20, 0, [][2]int64{{20, 30}, {40, 41}, {60, 100}}},
	} {
		var got [][2]int64
		for _, g := range findGaps(c.spans, c.from, c.to, 100) {
			got = append(got, [2]int64{g.From, g.To})
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}
