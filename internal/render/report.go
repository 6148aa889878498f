package render

import (
	"slices"
	"strconv"

	"github.com/portreporter/portreporter/internal/analyse"
)

// ReportHead is what stands above reports: what they are about, and how much of
// that is on record.
type ReportHead struct {
	From, To int64  // UTC ns
	Recorded int64  // ns of it that are on record
	Filter   string // canonical form; "" everything
	Events   uint64
	Lost     uint64 // events known lost
	Gaps     []Gap
	Damaged  int // parts of the record that cannot be read
}

// Gap is a time that is not on record.
type Gap struct {
	From, To int64 // UTC ns
	Reason   string
	Idle     bool // no recorder ran, and none was asked for then: told, but no fault of the answer
}

// Complete reports whether the record has all of the time that was asked for.
func (h *ReportHead) Complete() bool {
	return h.Damaged == 0 && !slices.ContainsFunc(h.Gaps, func(g Gap) bool { return !g.Idle })
}

// AppendReportHeadJSON appends h as one line of JSON, which comes before those
// of the reports: its "report" is "coverage".
func AppendReportHeadJSON(b []byte, h *ReportHead, opt Options) []byte {
	b = append(b, `{"v":1,"report":"coverage"`...)
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	b = appendTimeField(b, "from", h.From)
	b = appendTimeField(b, "to", h.To)
	b = appendIf(b, "filter", h.Filter)
	b = appendUintField(b, "events", h.Events)
	b = appendUintField(b, "recorded_ns", uint64(max(h.Recorded, 0)))
	b = appendBool(b, "complete", h.Complete())
	b = appendUintField(b, "lost", h.Lost)
	b = appendUintField(b, "unreadable", uint64(h.Damaged))
	b = append(appendKey(b, "gaps"), '[')
	for i, g := range h.Gaps {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendTimeField(b, "from", g.From)
		b = appendTimeField(b, "to", g.To)
		b = appendStringField(b, "reason", g.Reason)
		if g.Idle {
			b = appendBool(b, "idle", true)
		}
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

// AppendReportRowJSON appends a row of t as one line of JSON.
func AppendReportRowJSON(b []byte, t *analyse.Table, row []analyse.Cell, opt Options) []byte {
	b = appendReportKey(b, t, opt)
	for i := range t.Columns {
		b = appendCellJSON(b, &t.Columns[i], &row[i])
	}
	return append(b, '}', '\n')
}

// AppendReportRestJSON appends a line about the rows of t that are not shown,
// if there are any.
func AppendReportRestJSON(b []byte, t *analyse.Table, opt Options) []byte {
	if t.Hidden == 0 && t.Rest == 0 && t.Slack == 0 && t.Note == "" {
		return b
	}
	b = appendReportKey(b, t, opt)
	b = append(appendKey(b, "more"), '{')
	b = appendUintField(b, "rows", uint64(t.Hidden))
	b = appendUintField(b, "events", t.Rest)
	if t.Slack > 0 {
		b = appendUintField(b, "low_by", t.Slack)
	}
	b = appendIf(b, "note", t.Note)
	return append(b, "}}\n"...)
}

func appendReportKey(b []byte, t *analyse.Table, opt Options) []byte {
	b = append(b, `{"v":1`...)
	b = appendWord(b, "report", t.Report)
	if t.Part != "" {
		b = appendWord(b, "by", t.Part)
	}
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	return b
}

func appendCellJSON(b []byte, col *analyse.Column, c *analyse.Cell) []byte {
	if c.Unknown {
		return appendNull(b, col.Name)
	}
	switch col.Type {
	case analyse.Text, analyse.Path, analyse.Prose:
		return appendIf(b, col.Name, c.Text)
	case analyse.Texts:
		b = append(appendKey(b, col.Name), '[')
		for i, s := range c.List {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		b = append(b, ']')
		if c.More {
			b = appendBool(b, col.Name+"_more", true)
		}
		return b
	case analyse.Moment:
		return appendTimeField(b, col.Name, c.N)
	case analyse.Share, analyse.Usage:
		return appendShare(appendKey(b, col.Name), c.Share)
	case analyse.Flag:
		return appendBool(b, col.Name, c.N != 0)
	}
	return strconv.AppendInt(appendKey(b, col.Name), c.N, 10)
}

// appendShare writes six decimals, without needless zeros.
func appendShare(b []byte, f float64) []byte {
	return strconv.AppendFloat(b, float64(int64(f*1e6+0.5))/1e6, 'f', -1, 64)
}

// AppendReportHeaderCSV appends the line of t's column names.
func AppendReportHeaderCSV(b []byte, t *analyse.Table) []byte {
	b = append(b, "v,report,by"...)
	for i := range t.Columns {
		b = append(append(b, ','), t.Columns[i].Name...)
	}
	return append(b, '\r', '\n')
}

// AppendReportRowCSV appends a row of t. Lists are JSON arrays in one field.
func AppendReportRowCSV(b []byte, t *analyse.Table, row []analyse.Cell) []byte {
	b = append(b, '1', ',')
	b = append(append(b, t.Report...), ',')
	b = append(b, t.Part...)
	var field []byte
	for i := range t.Columns {
		field = appendCellCSV(field[:0], &t.Columns[i], &row[i])
		b = appendField(append(b, ','), field)
	}
	return append(b, '\r', '\n')
}

func appendCellCSV(b []byte, col *analyse.Column, c *analyse.Cell) []byte {
	switch {
	case c.Unknown:
		return b
	case col.Type == analyse.Text || col.Type == analyse.Path || col.Type == analyse.Prose:
		return append(b, c.Text...)
	case col.Type == analyse.Texts && len(c.List) > 0:
		b = append(b, '[')
		for i, s := range c.List {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		return append(b, ']')
	case col.Type == analyse.Texts:
		return b
	case col.Type == analyse.Moment:
		return csvTime(b, c.N)
	case col.Type == analyse.Share || col.Type == analyse.Usage:
		return appendShare(b, c.Share)
	case col.Type == analyse.Flag:
		return strconv.AppendBool(b, c.N != 0)
	}
	return strconv.AppendInt(b, c.N, 10)
}
