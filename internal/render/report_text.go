package render

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
)

// maxGapsShown is how many gaps are named one by one.
const maxGapsShown = 10

// AppendReportHead appends h for people: what the reports are about, and what
// the record lacks of it.
func AppendReportHead(b []byte, h *ReportHead, opt Options) []byte {
	pal := newPalette(opt.Color)
	line := func(label, text string, p paint) {
		b = append(b, pal.dim.on...)
		b = pad(append(b, label...), len("Coverage  ")-len(label))
		b = append(b, pal.dim.off...)
		b = append(b, p.on...)
		b = append(b, text...)
		b = append(append(b, p.off...), '\n')
	}
	if opt.Host != "" {
		line("Host", Safe(opt.Host), paint{})
	}
	line("Time", reportTime(h.From, &opt)+" to "+reportTime(h.To, &opt)+" ("+Duration(h.To-h.From)+")", paint{})
	if h.Filter != "" {
		line("Filter", Safe(h.Filter), paint{})
	}
	line("Events", grouped(h.Events), paint{})
	paintCoverage := pal.good
	if !h.Complete() || h.Lost > 0 {
		paintCoverage = pal.bad
	}
	line("Coverage", h.coverage(), paintCoverage)
	for i, g := range h.Gaps {
		if i == maxGapsShown {
			line("", "and "+strconv.Itoa(len(h.Gaps)-i)+" more gaps", pal.bad)
			break
		}
		if p := pal.bad; g.Idle {
			line("", "idle: "+g.describe(&opt), paint{})
		} else {
			line("", "gap: "+g.describe(&opt), p)
		}
	}
	return b
}

func (g *Gap) describe(opt *Options) string {
	return reportTime(g.From, opt) + " to " + reportTime(g.To, opt) + ": " + Safe(g.Reason)
}

// coverage says in words how much is on record.
func (h *ReportHead) coverage() string {
	s := "complete"
	missing := max(h.To-h.From-h.Recorded, 0)
	if h.Complete() && missing >= int64(time.Second) {
		s += ", but for " + Duration(missing) + " in which no recorder ran"
	}
	if !h.Complete() {
		s = "NOT complete: " + Duration(missing) + " of " + Duration(h.To-h.From) + " not on record"
		if n := h.faults(); n > 0 {
			s += ", " + things(n, "gap")
		}
	}
	if h.Lost > 0 {
		s += "; " + grouped(h.Lost) + " events known lost"
	}
	if h.Damaged > 0 {
		s += "; " + things(h.Damaged, "part") + " of the record cannot be read"
	}
	return s
}

// faults counts the gaps that are none of idleness.
func (h *ReportHead) faults() (n int) {
	for _, g := range h.Gaps {
		if !g.Idle {
			n++
		}
	}
	return n
}

func things(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func reportTime(ns int64, opt *Options) string {
	return time.Unix(0, ns).In(opt.zone()).Format(time.DateTime)
}

// grouped writes a number with commas: 1,234,567.
func grouped[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(f float64) string {
	s := strconv.FormatFloat(f*100, 'f', 1, 64)
	if f > 0 && s == "0.0" {
		s = "<0.1"
	}
	if f < 1 && s == "100.0" {
		s = ">99.9"
	}
	return s + " %"
}

// AppendReport appends t for people, with bars. Columns that nothing is in are
// left out, and where opt.Width is narrower than the table the least important
// ones too; long texts are cut with an ellipsis.
func AppendReport(b []byte, t *analyse.Table, opt Options) []byte {
	pal := newPalette(opt.Color)
	b = append(b, '\n')
	b = append(append(append(b, pal.head.on...), t.Title...), pal.head.off...)
	b = append(b, '\n')
	for _, line := range wrapped(t.About, opt.Width) {
		b = append(append(append(b, pal.dim.on...), line...), pal.dim.off...)
		b = append(b, '\n')
	}
	switch {
	case t.Len == 0:
		b = append(b, "none\n"...)
	case t.Part == "week":
		b = appendWeek(b, t, &pal)
	default:
		g := newGrid(t, &opt, pal)
		b = g.append(b)
	}
	for _, line := range afterRows(t) {
		b = append(append(b, line...), '\n')
	}
	return b
}

// afterRows says in words what the rows do not show.
func afterRows(t *analyse.Table) (lines []string) {
	if t.Hidden > 0 {
		line := "and " + grouped(t.Hidden) + " more"
		if t.Rest > 0 {
			line += ", with " + grouped(t.Rest) + " events"
		}
		lines = append(lines, line)
	}
	if t.Slack > 0 {
		lines = append(lines, "there were more rows than are kept: the counts may be low by up to "+grouped(t.Slack))
	}
	if t.Note != "" {
		lines = append(lines, Safe(t.Note))
	}
	return lines
}

// wrapped breaks a text of ours into lines of at most w columns; 0 is 100.
func wrapped(s string, w int) (lines []string) {
	if w <= 0 || w > 100 {
		w = 100
	}
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= w:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// grid lays a table out: the columns that are shown, and their widths.
type grid struct {
	t     *analyse.Table
	opt   *Options
	pal   palette
	cols  []int     // of the table
	width []int     // of each of those
	full  []float64 // of each of those: the share whose bar is full
}

const gridGap = 2

func newGrid(t *analyse.Table, opt *Options, pal palette) *grid {
	g := &grid{t: t, opt: opt, pal: pal}
	told, width, most := make([]bool, len(t.Columns)), make([]int, len(t.Columns)), make([]float64, len(t.Columns))
	for row := range t.Rows {
		for i := range row {
			c := &row[i]
			told[i] = told[i] || !c.Unknown && (c.Text != "" || len(c.List) > 0 || c.N != 0 || c.Share != 0)
			width[i] = max(width[i], displaywidth.String(cellText(&t.Columns[i], c, opt)))
			most[i] = max(most[i], c.Share)
		}
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Title == "" || c.Rank > 0 && !told[i] {
			continue // nothing is in it
		}
		if isBar(c) {
			width[i] = len(">99.9 %") + 1 + barWidth
		}
		if c.Type == analyse.Usage || most[i] == 0 {
			most[i] = 1
		}
		g.cols = append(g.cols, i)
		g.width = append(g.width, max(width[i], len(c.Title)))
		g.full = append(g.full, most[i])
	}
	g.fit()
	return g
}

func isBar(col *analyse.Column) bool { return col.Type == analyse.Share || col.Type == analyse.Usage }

// barWidth is the width of a bar at most, leastBar at least.
const (
	barWidth = 20
	leastBar = 6
)

// least is how narrow a column may get.
func (g *grid) least(i int) int {
	switch col := &g.t.Columns[g.cols[i]]; col.Type {
	case analyse.Prose:
		return min(g.width[i], 60)
	case analyse.Path:
		return min(g.width[i], 24)
	case analyse.Text:
		if col.Rank == 0 {
			return min(g.width[i], 28)
		}
		return min(g.width[i], 18)
	case analyse.Texts:
		return min(g.width[i], 18)
	case analyse.Share, analyse.Usage:
		return g.width[i] - barWidth + leastBar
	}
	return g.width[i]
}

func (g *grid) total(width func(i int) int) (n int) {
	for i := range g.cols {
		n += width(i) + gridGap
	}
	return n - gridGap
}

// fit drops columns and narrows the widest until the table fits.
func (g *grid) fit() {
	if g.opt.Width <= 0 {
		return
	}
	for g.total(g.least) > g.opt.Width {
		drop, rank := -1, 0
		for i, c := range g.cols {
			if r := g.t.Columns[c].Rank; r >= rank && r > 0 {
				drop, rank = i, r
			}
		}
		if drop < 0 {
			break
		}
		g.cols = slices.Delete(g.cols, drop, drop+1)
		g.width = slices.Delete(g.width, drop, drop+1)
		g.full = slices.Delete(g.full, drop, drop+1)
	}
	for g.total(func(i int) int { return g.width[i] }) > g.opt.Width {
		widest := -1
		for i := range g.cols {
			if g.width[i] > g.least(i) && (widest < 0 || g.width[i] > g.width[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		g.width[widest]--
	}
}

func (g *grid) append(b []byte) []byte {
	b = append(b, g.pal.head.on...)
	spaces := 0
	for i, c := range g.cols {
		b = pad(b, spaces)
		b, spaces = g.aligned(b, i, g.t.Columns[c].Title, paint{})
	}
	b = append(append(b, g.pal.head.off...), '\n')
	for row := range g.t.Rows {
		b = append(g.row(b, row), '\n')
	}
	return b
}

func (g *grid) row(b []byte, row []analyse.Cell) []byte {
	spaces := 0 // owed before the next text, so that no line ends in them
	for i, c := range g.cols {
		s := cellText(&g.t.Columns[c], &row[c], g.opt)
		if s == "" {
			spaces += g.width[i] + gridGap
			continue
		}
		b = pad(b, spaces)
		if isBar(&g.t.Columns[c]) {
			b, spaces = g.bar(b, i, s, &row[c])
		} else {
			b, spaces = g.aligned(b, i, s, g.paint(i, s))
		}
	}
	return b
}

func (g *grid) paint(i int, value string) paint {
	switch col := &g.t.Columns[g.cols[i]]; {
	case col.Name == "severity":
		s, _ := activity.ParseSeverity(value) // no severity is dim
		return g.pal.severity(s)
	case i == 0:
		return g.pal.name
	case col.Type == analyse.Moment || value == "0" || value == "0 B":
		return g.pal.dim
	}
	return paint{}
}

// right reports whether a column's values stand at its right.
func (g *grid) right(i int) bool {
	switch g.t.Columns[g.cols[i]].Type {
	case analyse.Number, analyse.Ident, analyse.Octets, analyse.Nanos:
		return true
	}
	return false
}

// aligned appends a value, and gives the spaces that are owed after it.
func (g *grid) aligned(b []byte, i int, s string, p paint) ([]byte, int) {
	w, used := g.width[i], displaywidth.String(s)
	text := []byte(s)
	switch {
	case used > w && g.t.Columns[g.cols[i]].Type == analyse.Path:
		text, used = cutFront(s, w)
	case used > w:
		text, used = cut(text, w, 0)
	}
	spaces := gridGap
	if g.right(i) {
		b = pad(b, w-used)
	} else {
		spaces += w - used
	}
	b = append(b, p.on...)
	b = append(b, text...)
	return append(b, p.off...), spaces
}

// cutFront shortens a path to its last w columns: its end says more.
func cutFront(s string, w int) ([]byte, int) {
	for used := displaywidth.String(s); used > w-1 && s != ""; used = displaywidth.String(s) {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	return append([]byte("…"), s...), displaywidth.String(s) + 1
}

// bar appends a percentage and its bar.
func (g *grid) bar(b []byte, i int, s string, c *analyse.Cell) ([]byte, int) {
	number := 7 // ">99.9 %"
	b = append(pad(b, number-len(s)), s...)
	room := g.width[i] - number - 1
	if c.Unknown || room <= 0 {
		return b, g.width[i] - number + gridGap
	}
	b = append(b, ' ')
	b = append(b, g.pal.bar.on...)
	b, used := appendBar(b, c.Share/g.full[i], room)
	return append(b, g.pal.bar.off...), room - used + gridGap
}

// appendBar draws a part of the whole in eighths of a column. What is not
// nought is seen.
func appendBar(b []byte, part float64, room int) ([]byte, int) {
	eighths := int(min(max(part, 0), 1)*float64(room*8) + 0.5)
	if eighths == 0 && part > 0 {
		eighths = 1
	}
	blocks := []rune(" ▏▎▍▌▋▊▉█")
	n := 0
	for ; eighths >= 8; eighths -= 8 {
		b = append(b, "█"...)
		n++
	}
	if eighths > 0 {
		b = append(b, string(blocks[eighths])...)
		n++
	}
	return b, n
}

// listed is how many values of a list are shown.
const listed = 8

// cellText is a cell for people; "" where there is nothing.
func cellText(col *analyse.Column, c *analyse.Cell, opt *Options) string {
	if c.Unknown {
		return "-"
	}
	switch col.Type {
	case analyse.Text, analyse.Path, analyse.Prose:
		return Safe(c.Text)
	case analyse.Texts:
		return listText(c)
	case analyse.Number:
		return grouped(c.N)
	case analyse.Ident:
		return strconv.FormatInt(c.N, 10)
	case analyse.Octets:
		return Bytes(uint64(c.N))
	case analyse.Nanos:
		return Duration(c.N)
	case analyse.Moment:
		return momentText(c.N, opt)
	case analyse.Share, analyse.Usage:
		return percent(c.Share)
	case analyse.Flag:
		if c.N != 0 {
			return "yes"
		}
	}
	return ""
}

func listText(c *analyse.Cell) string {
	var s strings.Builder
	for i, v := range c.List {
		if i == listed {
			return s.String() + ", +" + strconv.Itoa(len(c.List)-i)
		}
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(Safe(v))
	}
	if c.More {
		s.WriteString(", ...")
	}
	return s.String()
}

// momentText leaves the date out on the day of opt.Now.
func momentText(ns int64, opt *Options) string {
	if ns == 0 {
		return ""
	}
	at := time.Unix(0, ns).In(opt.zone())
	if !opt.Now.IsZero() && at.Format(time.DateOnly) == opt.Now.In(opt.zone()).Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format("2006-01-02 15:04")
}

// appendWeek draws days and hours as a chart: the fuller a block, the more events.
func appendWeek(b []byte, t *analyse.Table, pal *palette) []byte {
	var most float64
	for row := range t.Rows {
		most = max(most, float64(row[weekEvents].N))
	}
	b = append(pad(b, len("mon  ")), "00  02  04  06  08  10  12  14  16  18  20  22"...)
	b = append(b, '\n')
	levels := []rune(" ▁▂▃▄▅▆▇█")
	i := -1
	for row := range t.Rows {
		if i++; i%24 == 0 {
			b = append(b, row[0].Text[:3]...)
			b = append(append(b, "  "...), pal.bar.on...)
		}
		level := 0
		if n := float64(row[weekEvents].N); n > 0 {
			level = 1 + int(n/most*7+0.5)
		}
		b = append(b, strings.Repeat(string(levels[level]), 2)...)
		if i%24 == 23 {
			b = append(append(b, pal.bar.off...), '\n')
		}
	}
	return b
}

// weekEvents is the column of events in the table of the week.
const weekEvents = 3
