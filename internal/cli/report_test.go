package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/journal"
)

func TestRecordedTime(t *testing.T) {
	interval := func(from, to int64, s journal.State) journal.Interval {
		return journal.Interval{From: from, To: to, State: s}
	}
	for _, c := range []struct {
		name  string
		spans []journal.Interval
		want  []analyse.Span
	}{
		{"nothing", nil, nil},
		{"one run, to its last event and that", []journal.Interval{interval(10, 20, journal.StateRecorded)}, []analyse.Span{{From: 10, To: 21}}},
		{"a gap in it", []journal.Interval{interval(10, 20, journal.StateRecorded), interval(12, 15, journal.StateGap)}, []analyse.Span{{From: 10, To: 12}, {From: 15, To: 21}}},
		{"gaps that overlap and reach out of it", []journal.Interval{interval(10, 20, journal.StateRecorded), interval(5, 12, journal.StateGap), interval(11, 13, journal.StateGap), interval(19, 30, journal.StateGap)},
			[]analyse.Span{{From: 13, To: 19}}},
		{"two runs, out of order and over one another", []journal.Interval{interval(30, 40, journal.StateRecorded), interval(10, 20, journal.StateRecorded), interval(20, 30, journal.StateCrashed), interval(35, 50, journal.StateRecorded)},
			[]analyse.Span{{From: 10, To: 21}, {From: 30, To: 51}}},
	} {
		if d := cmp.Diff(c.want, recorded(c.spans)); d != "" {
			t.Errorf("%s: -want +got\n%s", c.name, d)
		}
	}
}

func TestAskedTime(t *testing.T) {
	spans := []journal.Interval{{From: 100, To: 200, State: journal.StateRecorded}, {From: 300, To: 400, State: journal.StateRecorded}}
	for _, c := range []struct{ from, to, now, wantFrom, wantTo int64 }{
		{0, 0, 1000, 100, 401},
		{150, 0, 1000, 150, 401},
		{150, 350, 1000, 150, 350},
		{0, 5000, 1000, 100, 401}, // the future is not on record
		{600, 0, 1000, 600, 600},
	} {
		if from, to := asked(spans, c.from, c.to, c.now); from != c.wantFrom || to != c.wantTo {
			t.Errorf("%+v: from %d to %d", c, from, to)
		}
	}
	if from, to := asked(nil, 0, 0, 1000); from != 0 || to != 0 {
		t.Errorf("of nothing: %d to %d", from, to)
	}
}

func TestWholeHours(t *testing.T) {
	if !wholeHours(time.UTC, 0) || !wholeHours(time.FixedZone("", -5*3600), 0) || wholeHours(time.FixedZone("", 5*3600+1800), 0) {
		t.Error("hours of half-hour zones do not begin when those of UTC do")
	}
}

// TestLookUp: every address is asked for once, many at a time; what has no name
// has none, and when time is up the rest is left.
func TestLookUp(t *testing.T) {
	var addrs []netip.Addr
	for i := range 3 * maxLookups {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	names := lookUp(t.Context(), addrs, func(_ context.Context, a string) ([]string, error) {
		if strings.HasSuffix(a, ".7") {
			return nil, errors.New("no such name")
		}
		return []string{"host-" + a + ".example.", "other."}, nil
	})
	for i, n := range names {
		want := "host-" + addrs[i].String() + ".example"
		if i == 7 {
			want = ""
		}
		if n != want {
			t.Errorf("%s is %q", addrs[i], n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := lookUp(ctx, addrs, func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() })
	if len(late) != len(addrs) || strings.Join(late, "") != "" {
		t.Errorf("after the time is up: %q", late)
	}
}

// TestDocExamples: each command that a page shows, and what it prints, is what
// a script runs; with -update, the page shows what the script says.
func TestDocExamples(t *testing.T) {
	scripts := map[string]string{} // output by command
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		examplesOf(t, f, scripts)
	}
	for _, page := range []string{"REPORTS.md", "COOKBOOK.md"} {
		path := filepath.Join("..", "..", "docs", page)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, shown := string(b), 0
		text = regexp.MustCompile("(?s)```\n\\$ (portreporter [^\n]*)\n(.*?)```\n").ReplaceAllStringFunc(text, func(block string) string {
			shown++
			lines := strings.SplitN(block, "\n", 3)
			command := strings.TrimPrefix(lines[1], "$ ")
			want, ok := scripts[command]
			if !ok {
				t.Errorf("%s: no script runs %q and compares what it prints", page, command)
				return block
			}
			got := strings.TrimSuffix(lines[2], "```\n")
			if !*update && got != want {
				t.Errorf("%s: %q: -script +page (go test ./internal/cli -run DocExamples -update)\n%s", page, command, cmp.Diff(want, got))
			}
			return fmt.Sprintf("```\n$ %s\n%s```\n", command, want)
		})
		if shown == 0 {
			t.Errorf("%s shows no command", page)
		}
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// examplesOf reads the commands of a script whose output it compares with a file.
func examplesOf(t *testing.T, script string, into map[string]string) {
	t.Helper()
	a, err := txtar.ParseFile(script)
	if err != nil {
		t.Fatal(err)
	}
	command := ""
	for line := range strings.Lines(string(a.Comment)) {
		line = strings.TrimSpace(line)
		if c, ok := strings.CutPrefix(line, "exec portreporter "); ok {
			command = "portreporter " + c
		}
		if file, ok := strings.CutPrefix(line, "cmp stdout "); ok && command != "" {
			if i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == file }); i >= 0 {
				into[command] = string(a.Files[i].Data)
			}
		}
	}
}
