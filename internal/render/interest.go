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

// interestColumn is the last column of a table of sockets: the text and the worst
// severity of each row.
type interestColumn struct {
	text  []byte
	cells []span
	worst []activity.Severity
	width int // of the widest
}

// askInterest makes the cells of what the rules say of each socket: "high
// shell-socket +1", the worst and how many more. A nil found says nothing.
func askInterest(sockets []*activity.Socket, found func(*activity.Socket) []activity.Finding) interestColumn {
	c := interestColumn{cells: make([]span, len(sockets)), worst: make([]activity.Severity, len(sockets))}
	if found == nil {
		return c
	}
	for i, s := range sockets {
		if all := found(s); len(all) > 0 {
			from := len(c.text)
			c.worst[i] = activity.Worst(all)
			c.text = appendWorst(c.text, all, c.worst[i])
			w := width(c.text[from:])
			c.cells[i] = span{int32(from), int32(len(c.text)), int32(w)}
			c.width = max(c.width, w)
		}
	}
	return c
}

func appendWorst(b []byte, found []activity.Finding, worst activity.Severity) []byte {
	for i := range found {
		if f := &found[i]; f.Severity == worst {
			b = appendSafe(append(append(b, worst.String()...), ' '), f.Rule)
			break
		}
	}
	if more := len(found) - 1; more > 0 {
		b = strconv.AppendInt(append(b, " +"...), int64(more), 10)
	}
	return b
}
