package journal

import (
	"encoding/json"

	"github.com/parquet-go/parquet-go"

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

func putCoverage(c *encoder, e *activity.Event) parquet.Value {
	if e.Coverage == nil {
		return parquet.Value{}
	}
	j := coverageJSON{From: e.Coverage.From, To: e.Coverage.To, Reason: toText(e.Coverage.Reason), Detail: toText(e.Coverage.Detail)}
	for k, n := range e.Coverage.Lost {
		if n != 0 {
			if j.Lost == nil {
				j.Lost = make(map[string]uint64)
			}
			j.Lost[activity.Kind(k).String()] = n
		}
	}
	for _, k := range e.Coverage.Missing {
		j.Missing = append(j.Missing, k.String())
	}
	return c.word(toJSON(&j))
}

func getCoverage(d *decoder, e *activity.Event, v parquet.Value) {
	var j coverageJSON
	d.fail(json.Unmarshal(v.ByteArray(), &j))
	e.Coverage = &activity.Coverage{From: j.From, To: j.To, Reason: fromText(j.Reason), Detail: fromText(j.Detail)}
	for w, n := range j.Lost {
		if k := parseWord(d, w, parseKind); k < activity.NumKinds {
			e.Coverage.Lost[k] = n
		}
	}
	for _, w := range j.Missing {
		e.Coverage.Missing = append(e.Coverage.Missing, parseWord(d, w, parseKind))
	}
}
