package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func hostileFindings() []activity.Finding {
	return []activity.Finding{
		{Rule: "a.b", Severity: activity.SeverityLow, Reason: "plain"},
		{Rule: "evil\x1b[2J", Severity: activity.SeverityCritical, Reason: "line\nbreak \"quoted\" \u202e <b>"},
	}
}

func TestFindingsJSON(t *testing.T) {
	e := &activity.Event{Time: 1, Seq: 2, Kind: activity.KindKnock}
	plain := AppendJSON(nil, e, Options{})
	if got := AppendFindingsJSON(append([]byte(nil), plain...), nil); string(got) != string(plain) {
		t.Errorf("without findings the line changes: %s", got)
	}
	line := AppendFindingsJSON([]byte("before\n"+string(plain)), hostileFindings())
	var got struct {
		Seq      int
		Interest []struct{ Rule, Severity, Reason string }
	}
	text, ok := strings.CutPrefix(string(line), "before\n")
	if err := json.Unmarshal([]byte(text), &got); err != nil || !ok || strings.Count(text, "\n") != 1 {
		t.Fatalf("%v: %q", err, line)
	}
	if got.Seq != 2 || len(got.Interest) != 2 || got.Interest[0].Severity != "low" || got.Interest[1].Reason != hostileFindings()[1].Reason {
		t.Errorf("got %+v", got)
	}
}

func TestFindingsText(t *testing.T) {
	got := string(NewText(Options{}).AppendFindings([]byte("x\n"), hostileFindings()))
	want := "x\n    ! low       a.b: plain\n    ! critical  evil\\x1b[2J: line\\nbreak \"quoted\" \\u202e <b>\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if got := string(NewText(Options{Color: true}).AppendFindings(nil, hostileFindings()[1:])); !strings.Contains(got, "\x1b[31mcritical\x1b[") {
		t.Errorf("colour: %q", got)
	}
}

func TestFindingsCSV(t *testing.T) {
	found := hostileFindings()
	c := EventCSV(Options{}).Interest(func(e *activity.Event) []activity.Finding {
		if e.Seq == 1 {
			return nil
		}
		return found[:1]
	})
	b := c.AppendHeader(nil)
	b = c.Append(b, &activity.Event{Kind: activity.KindKnock, Seq: 1})
	b = c.Append(b, &activity.Event{Kind: activity.KindKnock, Seq: 2})
	lines := strings.Split(string(b), "\r\n")
	if !strings.HasSuffix(lines[0], ",interest") || !strings.HasSuffix(lines[1], ",") ||
		!strings.HasSuffix(lines[2], `,"[{""rule"":""a.b"",""severity"":""low"",""reason"":""plain""}]"`) {
		t.Errorf("%q", lines)
	}
}

// TestFindingsTable: the column is there when there is something in it, and the
// table keeps its width.
func TestFindingsTable(t *testing.T) {
	socks := []*activity.Socket{{Proto: activity.TCP, State: activity.StateListen}, {Proto: activity.UDP, State: activity.StateBound}}
	opt := Options{Findings: func(s *activity.Socket) []activity.Finding { return nil }}
	if got := string(AppendSockets(nil, socks, opt)); strings.Contains(got, "INTEREST") {
		t.Errorf("an empty column:\n%s", got)
	}
	opt.Findings = func(s *activity.Socket) []activity.Finding {
		if s == socks[0] {
			return hostileFindings()
		}
		return nil
	}
	got := string(AppendSockets(nil, socks, opt))
	lines := strings.Split(got, "\n")
	if !strings.HasSuffix(lines[0], "INTEREST") || !strings.HasSuffix(lines[1], `critical evil\x1b[2J +1`) || strings.HasSuffix(lines[2], " ") {
		t.Errorf("got\n%s", got)
	}
	for width := 28; width < 140; width++ {
		opt.Width = width
		for line := range strings.Lines(string(AppendSockets(nil, socks, opt))) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("width %d: a line of %d: %s", width, n, line)
			}
		}
	}
	opt.Width, opt.Color = 0, true
	if got := string(AppendSockets(nil, socks, opt)); !strings.Contains(got, "\x1b[31mcritical") {
		t.Errorf("colour: %q", got)
	}
}
