package render

import (
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// AppendFindingsJSON appends findings to a line that AppendJSON or
// AppendSocketJSON wrote last, as its field "interest". Without findings the
// line stays as it is.
func AppendFindingsJSON(b []byte, found []activity.Finding) []byte {
	if len(found) == 0 {
		return b
	}
	b = append(b[:len(b)-len("}\n")], `,"interest":`...)
	return append(appendFindings(b, found), '}', '\n')
}

// appendFindings appends a JSON array.
func appendFindings(b []byte, found []activity.Finding) []byte {
	b = append(b, '[')
	for i := range found {
		f := &found[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendStringField(b, "rule", f.Rule)
		b = appendWord(b, "severity", f.Severity.String())
		b = append(appendStringField(b, "reason", f.Reason), '}')
	}
	return append(b, ']')
}

// AppendFindings appends each finding as a line beneath the event that it is
// about:
//
//	! high  starter.shell-socket: shells and netcat rarely have connections of their own
func (t *Text) AppendFindings(b []byte, found []activity.Finding) []byte {
	for i := range found {
		f := &found[i]
		p := t.pal.severity(f.Severity)
		b = append(append(b, "    ! "...), p.on...)
		w := f.Severity.String()
		b = append(append(b, w...), p.off...)
		b = pad(b, len("critical")-len(w)+2)
		b = append(appendSafe(b, f.Rule), ':', ' ')
		b = append(appendSafe(b, f.Reason), '\n')
	}
	return b
}

// severity paints the words of a severity.
func (p *palette) severity(s activity.Severity) paint {
	switch {
	case s >= activity.SeverityHigh:
		return p.bad
	case s == activity.SeverityMedium:
		return p.note
	}
	return p.dim
}

// addInterest adds the cell of what the rules say of s: "high shell-socket +1",
// the worst and how many more there are.
func (t *table) addInterest(s *activity.Socket) {
	var found []activity.Finding
	if t.opt.Findings != nil {
		found = t.opt.Findings(s)
	}
	worst := activity.Worst(found)
	t.worst = append(t.worst, worst)
	b := t.text
	for i := range found {
		if f := &found[i]; f.Severity == worst {
			b = appendSafe(append(append(b, worst.String()...), ' '), f.Rule)
			break
		}
	}
	if more := len(found) - 1; more > 0 {
		b = strconv.AppendInt(append(b, " +"...), int64(more), 10)
	}
	t.put(colInterest, b)
}
