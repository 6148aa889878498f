package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/analyse"
)

// allTypes is a table with a column of each type.
func allTypes() *analyse.Table {
	return &analyse.Table{Report: "ports", Title: "Ports", About: "A row is a port.",
		Columns: []analyse.Column{{Name: "process", Title: "PROCESS", Type: analyse.Text}, {Name: "exe", Title: "", Type: analyse.Text},
			{Name: "users", Title: "USERS", Type: analyse.Texts, Rank: 3}, {Name: "events", Title: "EVENTS", Type: analyse.Number},
			{Name: "pid", Title: "PID", Type: analyse.Ident, Rank: 1}, {Name: "rx", Title: "RX", Type: analyse.Octets, Rank: 2},
			{Name: "open_ns", Title: "OPEN", Type: analyse.Nanos, Rank: 4}, {Name: "last", Title: "LAST", Type: analyse.Moment, Rank: 5},
			{Name: "share", Title: "SHARE", Type: analyse.Share, Rank: 1}, {Name: "in_use", Title: "IN USE", Type: analyse.Usage, Rank: 1},
			{Name: "deleted", Title: "DELETED", Type: analyse.Flag, Rank: 2}, {Name: "never", Title: "NEVER", Type: analyse.Number, Rank: 2}}}
}

// fill gives a table its rows.
func fill(t *analyse.Table, rows ...[]analyse.Cell) {
	t.Len, t.Rows = len(rows), slices.Values(rows)
}

func row(process string, users []string, events int64, part float64) []analyse.Cell {
	return []analyse.Cell{{Text: process}, {Text: "/bin/" + process}, {List: users}, {N: events}, {N: 4242}, {N: events * 1500}, {N: 90e9}, {N: 1767225600e9},
		{Share: part}, {Share: part / 2}, {N: events % 2}, {}}
}

func TestReportText(t *testing.T) {
	table := allTypes()
	fill(table, row("nginx", []string{"root", "www-data"}, 12345, 0.75), row("ev\x1bil", nil, 0, 0.0001),
		[]analyse.Cell{{Unknown: true}, {Unknown: true}, {}, {N: 7}, {Unknown: true}, {}, {}, {}, {Unknown: true}, {Unknown: true}, {}, {}})
	table.Hidden, table.Rest, table.Slack, table.Note = 3, 40, 2, "odd"
	got := string(AppendReport(nil, table, Options{}))
	want := `
Ports
A row is a port.
PROCESS   USERS           EVENTS   PID       RX   OPEN  LAST              SHARE                         IN USE                        DELETED
nginx     root, www-data  12,345  4242  18.5 MB  1m30s  2026-01-01 00:00   75.0 % ████████████████████   37.5 % ███████▌              yes
ev\x1bil                       0  4242      0 B  1m30s  2026-01-01 00:00   <0.1 % ▏                      <0.1 % ▏
-                              7     -      0 B    0ns                          -                             -
and 3 more, with 40 events
there were more rows than are kept: the counts may be low by up to 2
odd
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if strings.Contains(got, "NEVER") || strings.Contains(got, "/bin/nginx") {
		t.Errorf("a column that nothing is in, or that has no title, is shown:\n%s", got)
	}
}

// TestReportWidth: no line of a table is wider than the terminal, from 40
// columns on; and no line ends in spaces.
func TestReportWidth(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	texts := []string{"nginx", "日本語のプロセス", strings.Repeat("long/", 60), "e\u0301", "a\nb\x1b[31m", "\xff\xfe", ""}
	for range 400 {
		table := allTypes()
		var rows [][]analyse.Cell
		for range rnd.IntN(6) {
			r := row(texts[rnd.IntN(len(texts))], texts[:rnd.IntN(len(texts))], rnd.Int64N(1e9), rnd.Float64())
			r[rnd.IntN(len(r))].Unknown = true
			rows = append(rows, r)
		}
		fill(table, rows...)
		width := 60 + rnd.IntN(200)
		for line := range strings.Lines(string(AppendReport(nil, table, Options{Width: width}))) {
			line = strings.TrimSuffix(line, "\n")
			if w := displaywidth.String(line); w > width {
				t.Fatalf("width %d: %d columns: %q", width, w, line)
			}
			if strings.Contains(line, "\x1b") || !utf8.ValidString(line) {
				t.Fatalf("not shown safely: %q", line)
			}
		}
		plain, coloured := AppendReport(nil, table, Options{Width: width}), AppendReport(nil, table, Options{Width: width, Color: true})
		if d := cmp.Diff(string(plain), stripColour(string(coloured))); d != "" {
			t.Fatalf("colour changes the text: %s", d)
		}
	}
}

// stripColour takes escape sequences away.
func stripColour(s string) string {
	var b strings.Builder
	for s != "" {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	return b.String()
}

// TestReportJSON: each line is one JSON object with what the row says, whatever
// texts are in it.
func TestReportJSON(t *testing.T) {
	table := allTypes()
	table.Part, table.Hidden, table.Rest, table.Slack = "x", 2, 9, 1
	cells := row("a\"\\\n\x1b\xff", []string{"<b>", ""}, 5, 0.5)
	cells[2].More, cells[4].Unknown, cells[7].N = true, true, 0
	opt := Options{Host: "h"}
	lines := bytes.SplitAfter(AppendReportRestJSON(AppendReportRowJSON(nil, table, cells, opt), table, opt), []byte("\n"))
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines)-1)
	}
	want := []map[string]any{
		{"v": 1., "report": "ports", "by": "x", "host": "h", "process": "a\"\\\n\x1b\ufffd", "exe": "/bin/a\"\\\n\x1b\ufffd", "users": []any{"<b>", ""}, "users_more": true,
			"events": 5., "pid": nil, "rx": 7500., "open_ns": 90e9, "last": nil, "share": 0.5, "in_use": 0.25, "deleted": true, "never": 0.},
		{"v": 1., "report": "ports", "by": "x", "host": "h", "more": map[string]any{"rows": 2., "events": 9., "low_by": 1.}},
	}
	for i := range want {
		var got map[string]any
		if err := json.Unmarshal(lines[i], &got); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Errorf("line %d: -want +got\n%s", i, d)
		}
	}
	if b := AppendReportRestJSON(nil, allTypes(), opt); len(b) != 0 {
		t.Errorf("nothing is left out: %s", b)
	}
}

// TestReportCSV: an RFC 4180 reader gets the texts back as they are.
func TestReportCSV(t *testing.T) {
	table := allTypes()
	hostile := "a,\"b\"\n=1+1\x1b"
	b := AppendReportHeaderCSV(nil, table)
	b = AppendReportRowCSV(b, table, row(hostile, []string{"x", "y"}, 5, 0.123456789))
	b = AppendReportRowCSV(b, table, row("b", nil, 6, 0))
	records, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	want := []string{"1", "ports", "", hostile, "/bin/" + hostile, `["x","y"]`, "5", "4242", "7500", "90000000000", "2026-01-01T00:00:00Z", "0.123457", "0.061728", "true", "0"}
	if d := cmp.Diff(want, records[1]); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff([]string{"v", "report", "by", "process"}, records[0][:4]); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func head() *ReportHead {
	day := int64(24 * time.Hour)
	return &ReportHead{From: 1767225600e9, To: 1767225600e9 + day, Recorded: day, Events: 1234567, Filter: "user:<b>"}
}

func TestReportHead(t *testing.T) {
	minute := int64(time.Minute)
	for _, c := range []struct {
		name string
		set  func(*ReportHead)
		want []string
	}{
		{"whole", func(*ReportHead) {}, []string{"Time      2026-01-01 00:00:00 to 2026-01-02 00:00:00 (1d00h)", "Filter    user:<b>", "Events    1,234,567", "Coverage  complete"}},
		{"idle", func(h *ReportHead) {
			h.Recorded -= minute
			h.Gaps = []Gap{{From: h.From, To: h.From + minute, Reason: "not running", Idle: true}}
		}, []string{"Coverage  complete, but for 1m00s in which no recorder ran", "          idle: 2026-01-01 00:00:00 to 2026-01-01 00:01:00: not running"}},
		{"gap", func(h *ReportHead) {
			h.Recorded -= minute
			h.Gaps, h.Lost = []Gap{{From: h.From, To: h.From + minute, Reason: "ring\x1b full"}}, 3120
		}, []string{"Coverage  NOT complete: 1m00s of 1d00h not on record, 1 gap; 3,120 events known lost",
			`          gap: 2026-01-01 00:00:00 to 2026-01-01 00:01:00: ring\x1b full`}},
		{"many", func(h *ReportHead) { h.Gaps = make([]Gap, 12) }, []string{"          and 2 more gaps"}},
		{"damaged", func(h *ReportHead) { h.Damaged = 2 }, []string{"; 2 parts of the record cannot be read"}},
	} {
		h := head()
		c.set(h)
		got := string(AppendReportHead(nil, h, Options{Host: "web1"}))
		for _, line := range append(c.want, "Host      web1\n") {
			if !strings.Contains(got, line) {
				t.Errorf("%s: %q is not in\n%s", c.name, line, got)
			}
		}
		var j map[string]any
		if err := json.Unmarshal(AppendReportHeadJSON(nil, h, Options{Host: "web1"}), &j); err != nil || j["complete"] != h.Complete() || j["report"] != "coverage" {
			t.Errorf("%s: %v %v", c.name, j, err)
		}
	}
}

// TestReportHTML: one page that loads nothing and runs nothing but its own
// script, in which text stays text.
func TestReportHTML(t *testing.T) {
	table := allTypes()
	evil := `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	fill(table, row(evil, []string{evil, "\x1b]0;x\x07"}, 5, 0.5))
	table.Note = evil
	h := head()
	h.Filter, h.Gaps = evil, []Gap{{From: h.From, To: h.To, Reason: evil}}
	got := string(AppendReportHTML(nil, h, []*analyse.Table{table, {Report: "scans", Title: "Scans", About: "None."}}, Options{Host: evil, Now: time.Unix(1767225600, 0)}))
	if n := strings.Count(got, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	for _, bad := range []string{"<img", "alert(1)</script>", "\x1b", "http://", "https://", "ZgotmplZ", "style=\""} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	for _, part := range []string{"&lt;script&gt;alert(1)", "default-src &#39;none&#39;", hashOf(pageScript)[:20], `<rect width="1000"`, "<h2>Scans</h2>", "<p>none</p>", "@page"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in the page", part)
		}
	}
	// What the policy allows is what the page has.
	for tag, text := range map[string]string{"style": pageStyle, "script": pageScript} {
		_, rest, _ := strings.Cut(got, "<"+tag+">")
		in, _, _ := strings.Cut(rest, "</"+tag+">")
		if in != text || !strings.Contains(strings.ReplaceAll(got, "&#43;", "+"), hashOf(text)) {
			t.Errorf("the policy does not allow the page's own %s", tag)
		}
	}
}

// TestWeek draws the week as a chart, in text and on the page.
func TestWeek(t *testing.T) {
	table := &analyse.Table{Report: "hours", Part: "week", Columns: []analyse.Column{{Name: "weekday"}, {Name: "hour"}, {Name: "share", Type: analyse.Share}, {Name: "events", Type: analyse.Number}}}
	var rows [][]analyse.Cell
	for d := range 7 {
		for range 24 {
			rows = append(rows, []analyse.Cell{{Text: time.Weekday(d).String()}, {Text: "00:00"}, {}, {N: int64(d * d)}})
		}
	}
	fill(table, rows...)
	text := string(AppendReport(nil, table, Options{}))
	if !strings.Contains(text, "\nSat  "+strings.Repeat("█", 48)+"\n") || !strings.Contains(text, "\nMon  "+strings.Repeat("▁", 48)+"\n") {
		t.Error(text)
	}
	page := string(AppendReportHTML(nil, head(), []*analyse.Table{table}, Options{}))
	if strings.Count(page, `class="l10"`) != 24 || strings.Count(page, `class="l0"`) != 24 {
		t.Error("the page's chart has other levels")
	}
}
