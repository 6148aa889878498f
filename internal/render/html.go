package render

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/analyse"
)

// The page's parts. Style and script are in the page itself, and their hashes
// in its content security policy: nothing else is loaded or run.
var (
	//go:embed report.html.tmpl
	pageTemplate string
	//go:embed report.css
	pageStyle string
	//go:embed report.js
	pageScript string
)

// page is what the template shows.
type page struct {
	Policy   string
	Style    template.CSS
	Script   template.JS
	Host     string
	From, To string
	Length   string
	Filter   string
	Events   string
	Complete bool // and nothing lost
	Coverage string
	Gaps     []pageGap
	Made     string
	Sections []pageSection
}

type pageGap struct {
	Text string
	Idle bool
}

// pageSection is one table.
type pageSection struct {
	ID, Title, About string
	Head             []pageHead
	Rows             [][]pageCell
	Week             []pageDay // instead of rows
	More             []string
}

type pageHead struct {
	Title string
	Right bool
	Bar   bool
}

type pageCell struct {
	Text  string
	Sort  string // what the script sorts by
	Right bool
	Time  bool
	Bar   int // in thousandths; -1 none
	Dim   bool
	Class string // "high" and the like
}

type pageDay struct {
	Name  string
	Hours []pageHour
}

type pageHour struct {
	Title string
	Level int // of 0 to 10
}

// AppendReportHTML appends one page with all the tables. It needs no other
// file, prints well, and shows text from the record escaped.
func AppendReportHTML(b []byte, h *ReportHead, tables []*analyse.Table, opt Options) []byte {
	p := page{Policy: "default-src 'none'; style-src '" + hashOf(pageStyle) + "'; script-src '" + hashOf(pageScript) + "'; base-uri 'none'; form-action 'none'",
		Style: template.CSS(pageStyle), Script: template.JS(pageScript), Host: Safe(opt.Host), From: reportTime(h.From, &opt), To: reportTime(h.To, &opt),
		Length: Duration(h.To - h.From), Filter: Safe(h.Filter), Events: grouped(h.Events), Complete: h.Complete() && h.Lost == 0, Coverage: h.coverage()}
	if !opt.Now.IsZero() {
		p.Made = opt.Now.In(opt.zone()).Format(time.DateTime + " MST")
	}
	for i := range h.Gaps {
		if i == maxGapsShown {
			p.Gaps = append(p.Gaps, pageGap{"and " + things(len(h.Gaps)-i, "more gap"), false})
			break
		}
		p.Gaps = append(p.Gaps, pageGap{h.Gaps[i].describe(&opt), h.Gaps[i].Idle})
	}
	for _, t := range tables {
		p.Sections = append(p.Sections, section(t, &opt))
	}
	var out strings.Builder
	t := template.Must(template.New("report").Parse(pageTemplate))
	if err := t.Execute(&out, &p); err != nil {
		panic(err) // a strings.Builder does not fail, and the template is ours
	}
	return append(b, out.String()...)
}

// hashOf is a hash source of Content Security Policy (CSP3 section 2.3.1).
func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func section(t *analyse.Table, opt *Options) pageSection {
	s := pageSection{ID: t.Report + t.Part, Title: t.Title, About: t.About, More: afterRows(t)}
	if t.Part == "week" {
		s.Week = weekOf(t)
		return s
	}
	full := *opt
	full.Now, full.Width = time.Time{}, 0 // a page is read on other days
	if t.Len == 0 {
		return s
	}
	g := newGrid(t, &full, palette{})
	for i, c := range g.cols {
		s.Head = append(s.Head, pageHead{Title: t.Columns[c].Title, Right: g.right(i), Bar: isBar(&t.Columns[c])})
	}
	for row := range t.Rows {
		cells := make([]pageCell, len(g.cols))
		for i, c := range g.cols {
			cells[i] = cellOf(&t.Columns[c], &row[c], cellText(&t.Columns[c], &row[c], &full), g.right(i), g.full[i])
		}
		s.Rows = append(s.Rows, cells)
	}
	return s
}

// cellOf is a cell of the page; full is the share whose bar is full.
func cellOf(col *analyse.Column, c *analyse.Cell, text string, right bool, full float64) pageCell {
	p := pageCell{Text: text, Right: right, Time: col.Type == analyse.Moment, Bar: -1,
		Dim: c.Unknown || text == "0" || text == "0 B"}
	if col.Name == "severity" {
		p.Class = strings.ToLower(text)
	}
	switch {
	case c.Unknown:
	case isBar(col):
		p.Sort = string(appendShare(nil, c.Share))
		p.Bar = int(min(max(c.Share/full, 0), 1)*1000 + 0.5)
		if p.Bar == 0 && c.Share > 0 {
			p.Bar = 4 // what is not nought is seen
		}
	case col.Type > analyse.Texts:
		p.Sort = string(appendCellCSV(nil, &analyse.Column{Type: analyse.Number}, c))
	}
	return p
}

func weekOf(t *analyse.Table) (days []pageDay) {
	most := int64(1)
	for row := range t.Rows {
		most = max(most, row[weekEvents].N)
	}
	for row := range t.Rows {
		if len(days) == 0 || days[len(days)-1].Name != row[0].Text {
			days = append(days, pageDay{Name: row[0].Text})
		}
		n := row[weekEvents].N
		h := pageHour{Title: row[0].Text + " " + row[1].Text + ": " + grouped(n) + " events"}
		if n > 0 {
			h.Level = 1 + int(float64(n)/float64(most)*9+0.5)
		}
		d := &days[len(days)-1]
		d.Hours = append(d.Hours, h)
	}
	return days
}
