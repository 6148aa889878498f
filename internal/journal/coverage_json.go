package journal

import (
	"encoding/json"

	"github.com/portreporter/portreporter/internal/activity"
)

// coverageJSON is the form of a coverage event's facts in the coverage column.
type coverageJSON struct {
	From    int64             `json:"from"` // UTC ns
	To      int64             `json:"to"`
	Lost    map[string]uint64 `json:"lost,omitempty"` // by kind; "" for those of unknown kind
	Missing []string          `json:"missing,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Detail  string            `json:"detail,omitempty"`
}

// coverageText is the JSON of getCoverage.
func coverageText(c *activity.Coverage) string {
	j := coverageJSON{From: c.From, To: c.To, Reason: toText(c.Reason), Detail: toText(c.Detail)}
	for k, n := range c.Lost {
		if n != 0 {
			if j.Lost == nil {
				j.Lost = make(map[string]uint64)
			}
			j.Lost[activity.Kind(k).String()] = n
		}
	}
	for _, k := range c.Missing {
		j.Missing = append(j.Missing, k.String())
	}
	return toJSON(&j)
}

func getCoverage(d *decoder, e *activity.Event, v int64) {
	var j coverageJSON
	d.fail(json.Unmarshal(d.texts[colCoverage][v], &j))
	kind := func(word string) activity.Kind {
		k, err := wordOf(parseKind)(word)
		d.fail(err)
		return activity.Kind(k)
	}
	e.Coverage = &activity.Coverage{From: j.From, To: j.To, Reason: fromText(j.Reason), Detail: fromText(j.Detail)}
	for w, n := range j.Lost {
		if k := kind(w); k < activity.NumKinds {
			e.Coverage.Lost[k] = n
		}
	}
	for _, w := range j.Missing {
		e.Coverage.Missing = append(e.Coverage.Missing, kind(w))
	}
}
