package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/testutil"
)

// historyRecord makes a record of n events of a random history that begins one
// second before a midnight.
func historyRecord(t *testing.T, seed uint64, n int) (dir string, events []activity.Event) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "record")
	w, err := journal.Open(journal.Config{Dir: dir, HostName: "web1", SegmentRows: 2000})
	if err != nil {
		t.Fatal(err)
	}
	h := testutil.NewHistory(seed)
	for range n {
		e := h.Next()
		e.Time -= 1e9
		w.Append(&e)
		events = append(events, e)
	}
	if err := w.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	return dir, events
}

func eventsOf(t *testing.T, dir string) (events []*activity.Event) {
	t.Helper()
	r, err := journal.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range r.Events(context.Background(), journal.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Kind.Coverage() {
			events = append(events, e)
		}
	}
	return events
}

func runOK(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	if code := Run(context.Background(), args, strings.NewReader(""), &out, &errs); code != exitDone {
		t.Fatalf("portreporter %q: exit code %d: %s", args, code, errs.String())
	}
	return out.String(), errs.String()
}

// The three classic logs hold every port's opening with its owner, to the second,
// also over a midnight: what is read of them is what was written.
func TestClassicRoundTrip(t *testing.T) {
	dir, events := historyRecord(t, 3, 6000)
	logs, back := filepath.Join(t.TempDir(), "logs")+"/", filepath.Join(t.TempDir(), "back")
	runOK(t, "export", "--dir", dir, "--format", "pr-ports", "--timezone", "UTC", "-o", logs)
	stdout, _ := runOK(t, "import", "--dir", back, "--timezone", "UTC", logs)
	if !strings.Contains(stdout, "of web1") {
		t.Errorf("the host is not told: %s", stdout)
	}
	if sets, _ := filepath.Glob(logs + "PR-PORTS-*.log"); len(sets) != 2 {
		t.Errorf("sets %v", sets)
	}
	var want, got []string
	opening := func(e *activity.Event) string {
		p := e.Process
		if p == nil {
			p = &activity.Process{}
		}
		return fmt.Sprintf("%d %s %s %v %v %d %s %s %s", e.Time/1e9, e.Kind, e.Proto, e.Local, e.Remote, e.Owner.PID, p.Name, p.User, p.Unit.Name)
	}
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == activity.KindListen, e.Kind == activity.KindBind, e.Proto == activity.TCP && (e.Kind == activity.KindAccept || e.Kind == activity.KindConnect):
			if e.Kind == activity.KindAccept && e.Local.Addr().Is6() {
				e.Kind = activity.KindConnect // the history has no listener for IPv6, so a reader cannot know better
			}
			want = append(want, opening(e))
		}
	}
	for _, e := range eventsOf(t, back) {
		got = append(got, opening(e))
	}
	if len(want) < 1000 {
		t.Fatalf("the history has %d openings", len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%.3000s", d)
	}
}

// conn.log holds every connection and flow that ended, to the microsecond, and
// every attempt that reached the wire; in it they stand when they ended, and in
// the record again in the order in which they began.
func TestZeekRoundTrip(t *testing.T) {
	dir, events := historyRecord(t, 4, 6000)
	log, back := filepath.Join(t.TempDir(), "conn.log"), filepath.Join(t.TempDir(), "back")
	runOK(t, "export", "--dir", dir, "--format", "zeek", "-o", log)
	runOK(t, "import", "--dir", back, log)
	ending := func(e *activity.Event) string {
		return fmt.Sprintf("%s %s %v %v rx=%d tx=%d us=%d", e.Kind, e.Proto, e.Local, e.Remote, e.Rx, e.Tx, e.Duration/1e3)
	}
	collect := func(e *activity.Event, to []string) []string {
		switch e.Kind {
		case activity.KindClose, activity.KindFlowEnd, activity.KindKnock:
			return append(to, ending(e))
		}
		return to
	}
	var want, got []string
	for i := range events {
		want = collect(&events[i], want)
	}
	last := int64(0)
	for _, e := range eventsOf(t, back) {
		if got = collect(e, got); e.Time < last {
			t.Fatalf("%v comes after %v", e.When(), time.Unix(0, last))
		}
		last = e.Time
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 1000 {
		t.Fatalf("the history has %d endings", len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%.3000s", d)
	}
}

// A compressed copy is the same log; one that is torn gives what it holds, and is
// told.
func TestImportCompressed(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "conn.log")
	record, _ := historyRecord(t, 5, 3000)
	runOK(t, "export", "--dir", record, "--format", "zeek", "-o", log)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		return path
	}
	back := filepath.Join(dir, "back")
	runOK(t, "import", "--dir", back, log)
	n := len(eventsOf(t, back))
	stdout, stderr := runOK(t, "import", "--dir", back, write("conn.01.log.gz", b.String()))
	if len(eventsOf(t, back)) != n || !strings.Contains(stderr, "was imported already") || !strings.Contains(stdout, "nothing new") {
		t.Errorf("a compressed copy: %s%s", stdout, stderr)
	}
	var out, errs strings.Builder
	torn := filepath.Join(dir, "torn")
	code := Run(context.Background(), []string{"import", "--dir", torn, write("torn.log.gz", b.String()[:b.Len()/2])}, nil, &out, &errs)
	if got := len(eventsOf(t, torn)); code != exitPartial || got == 0 || got >= n || !strings.Contains(errs.String(), "unexpected EOF") {
		t.Errorf("a torn copy: exit code %d, %d of %d events: %s", code, got, n, errs.String())
	}
}

// An import that was cut short is not taken for a whole one, nor doubled.
func TestImportCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	log := filepath.Join(t.TempDir(), "PR-PORTS-05-07-6-13-44-4.log")
	if err := os.WriteFile(log, []byte("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	runOK(t, "import", "--dir", dir, log)
	path := filepath.Join(dir, ledgerName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begun, _, _ := strings.Cut(string(b), "\n")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for name, tt := range map[string]struct{ ledger, want string }{
		"cut short":  {begun + "\n", "the last import was cut short, or still runs: if not, remove " + dir},
		"not a list": {"hello\n", "not a list of imports"},
	} {
		if err := os.WriteFile(path, []byte(tt.ledger), 0o640); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		if code := Run(context.Background(), []string{"import", "--dir", dir, log}, nil, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit code %d: %s", name, code, errs.String())
		}
	}
	// A recorder's own record is not added to.
	record, _ := historyRecord(t, 1, 10)
	var out, errs strings.Builder
	if code := Run(context.Background(), []string{"import", "--dir", record, log}, nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "is a recorder's record") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// An interrupted import says so, and leaves nothing that passes for a whole one.
func TestImportInterrupted(t *testing.T) {
	record, _ := historyRecord(t, 5, 3000)
	log, dir := filepath.Join(t.TempDir(), "conn.log"), filepath.Join(t.TempDir(), "case")
	runOK(t, "export", "--dir", record, "--format", "zeek", "-o", log)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs strings.Builder
	if code := Run(ctx, []string{"import", "--dir", dir, log}, nil, &out, &errs); code != exitFailed {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// Pipes are read once, and links followed; a log that belongs before others is
// told to stand after them.
func TestImportFrom(t *testing.T) {
	dir := t.TempDir()
	logs, link, back := filepath.Join(dir, "logs"), filepath.Join(dir, "link"), filepath.Join(dir, "back")
	row := func(year string) string {
		return year + "/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>\n"
	}
	if err := os.MkdirAll(filepath.Join(logs, "deep"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "deep", "PR-PORTS-05-07-6-13-44-4.log"), []byte(row("2005")), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(logs, link); err != nil {
		link = logs // Windows asks for a privilege
	}
	runOK(t, "import", "--dir", back, "--host", "h", link)
	if n := len(eventsOf(t, back)); n != 1 {
		t.Errorf("%d events through a link", n)
	}
	var out, errs strings.Builder
	if code := Run(context.Background(), []string{"import", "--dir", back, "-"}, strings.NewReader(row("2004")), &out, &errs); code != exitDone {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if !strings.Contains(errs.String(), "- begins before 2005-07-06 ") || len(eventsOf(t, back)) != 2 {
		t.Errorf("an older log: %s", errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "portreporter-import-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if b, err := os.ReadFile(filepath.Join(back, ledgerName)); err != nil || strings.Count(string(b), `"state":"done"`) != 2 {
		t.Errorf("ledger %s, %v", b, err)
	}
}

func TestSameHost(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"WEB1", "web1", true}, {"web1", "web1.corp.example", true}, {"web1.corp", "web1", true}, {"web1.a", "web1.b", false}, {"web1", "web2", false}, {"web1", "", false}} {
		if got := sameHost(tt.a, tt.b); got != tt.want || sameHost(tt.b, tt.a) != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}

// Of the logs that are found in a directory, one that is no gzip in spite of its
// beginning is told; the rest is imported. One that is named is an error.
func TestImportUnreadable(t *testing.T) {
	dir := t.TempDir()
	logs, broken := filepath.Join(dir, "logs"), filepath.Join(dir, "logs", "PR-PORTS-05-07-6-13-44-5.log.gz")
	if err := os.Mkdir(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{broken: "\x1f\x8b\x00rest", filepath.Join(logs, "PR-PORTS-05-07-6-13-44-4.log"): "05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>\n",
		filepath.Join(dir, "x.evtx"): "ElfFile\x00\x00"} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args       []string
		code       int
		want       string
		imported   int
		importedIn string
	}{
		{[]string{logs}, exitPartial, "1 file could not be read", 1, "a"},
		{[]string{broken}, exitFailed, "gzip: ", 0, "b"},
		{[]string{t.TempDir()}, exitFailed, "no log that can be read here is in ", 0, "d"},
		{[]string{filepath.Join(dir, "x.evtx")}, exitFailed, "wevtutil qe x.evtx /lf:true /f:xml", 0, "c"},
	} {
		var out, errs strings.Builder
		to := filepath.Join(dir, tt.importedIn)
		code := Run(context.Background(), append([]string{"import", "--dir", to}, tt.args...), nil, &out, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%v: exit code %d: %s", tt.args, code, errs.String())
		}
		if tt.imported > 0 && len(eventsOf(t, to)) != tt.imported {
			t.Errorf("%v: %s", tt.args, out.String())
		}
	}
}

// A file has its name when it is whole, a link stays one, and what is no file is
// written to and not replaced.
func TestExportTo(t *testing.T) {
	record, _ := historyRecord(t, 2, 100)
	dir := t.TempDir()
	file, link := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "link.jsonl")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		link = file // Windows asks for a privilege
	}
	want, _ := runOK(t, "export", "--dir", record, "--format", "jsonl")
	for _, to := range []string{file, link, os.DevNull, "-"} {
		stdout, _ := runOK(t, "export", "--dir", record, "--format", "jsonl", "-o", to)
		if to == "-" && stdout != want || to != "-" && stdout != "" {
			t.Errorf("%s: stdout %.100q", to, stdout)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s: %.100q, %v", to, got, err)
		}
	}
	if st, err := os.Lstat(link); err != nil || link != file && st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Errorf("%s is %v, %v", os.DevNull, st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A log of more events than a segment, or the memory of a sort, has.
func TestImportLarge(t *testing.T) {
	const lines = 150_000
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "26/1/1,%d:%d:%d,TCP,443,10.0.0.1,%d,10.1.%d.%d,%d,a.exe,<X>\n", 23-i/10000%24, i/60%60, i%60, 1024+i%60000, i/250%250, i%250, 4+i%40*4)
	}
	log, dir := filepath.Join(t.TempDir(), "PR-PORTS-26-01-1-0-0-0.log"), filepath.Join(t.TempDir(), "case")
	if err := os.WriteFile(log, []byte(b.String()), 0o640); err != nil {
		t.Fatal(err)
	}
	runOK(t, "import", "--dir", dir, log)
	n, last := 0, int64(0)
	for _, e := range eventsOf(t, dir) {
		if n++; e.Time < last {
			t.Fatalf("event %d is out of order", n)
		}
		last = e.Time
	}
	if n != lines {
		t.Errorf("%d of %d events", n, lines)
	}
	if stdout, _ := runOK(t, "verify", "--dir", dir); !strings.Contains(stdout, "the record is whole") {
		t.Error(stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
