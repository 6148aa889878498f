package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/notify"
	"github.com/portreporter/portreporter/internal/recorder"
	"github.com/portreporter/portreporter/internal/render"
)

// dns is a resolver that knows two names.
type dns struct{ asked atomic.Int64 }

func (d *dns) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	d.asked.Add(1)
	if host == "evil.example" {
		return []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("::ffff:203.0.113.8")}, nil
	}
	return nil, errors.New("no such host")
}

func (d *dns) LookupAddr(_ context.Context, addr string) ([]string, error) {
	d.asked.Add(1)
	if addr == "203.0.113.7" {
		return []string{"Host.Cdn.Example."}, nil
	}
	return nil, errors.New("no such host")
}

func TestAddrNames(t *testing.T) {
	d := &dns{}
	n := newAddrNames(false)
	n.lookup = d
	n.lookUp(context.Background(), []string{"evil.example", "gone.example", "*.example"})
	if got := d.asked.Load(); got != 2 {
		t.Errorf("%d look-ups: a domain has no address of its own", got)
	}
	a, b, c := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("203.0.113.9")
	for addr, want := range map[netip.Addr]int{a: 1, b: 1, c: 0} {
		if got := n.of(addr); len(got) != want {
			t.Errorf("%v: %q", addr, got)
		}
	}
	n.reverse = true
	before := d.asked.Load()
	for range 3 {
		if d := cmp.Diff([]string{"evil.example", "host.cdn.example"}, n.of(a)); d != "" {
			t.Error(d)
		}
		n.of(c) // has no name, and that is remembered
	}
	if got := d.asked.Load() - before; got != 2 {
		t.Errorf("%d look-ups of two addresses", got)
	}
}

// TestRepeats: the same finding is not told again for a while, and what is
// remembered of them is bounded.
func TestRepeats(t *testing.T) {
	var told repeats
	now := time.Unix(1e9, 0)
	e := func(port uint16) *activity.Event {
		return &activity.Event{Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Process: &activity.Process{ID: 1}}
	}
	for i, c := range []struct {
		e     *activity.Event
		rule  string
		after time.Duration
		want  bool
	}{
		{e(80), "a", 0, true}, {e(80), "a", time.Second, false}, {e(80), "b", 0, true}, {e(81), "a", 0, true},
		{&activity.Event{}, "a", 0, true}, {&activity.Event{}, "a", 0, false}, {e(80), "a", repeatAfter, true},
	} {
		now = now.Add(c.after)
		if got := told.fresh(c.e, c.rule, now); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
	// Whoever calls has another port each time.
	call := func(kind activity.Kind, flags activity.Flags, local, remote uint16) *activity.Event {
		c := e(local)
		c.Kind, c.Flags = kind, flags
		if remote != 0 {
			c.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), remote)
		}
		return c
	}
	for i, pair := range [][2]*activity.Event{
		{call(activity.KindAccept, 0, 50000, 40000), call(activity.KindAccept, 0, 50000, 40001)},
		{call(activity.KindConnect, 0, 40000, 50001), call(activity.KindConnect, 0, 40001, 50001)},
		{call(activity.KindFlow, activity.FlagInbound, 50002, 40000), call(activity.KindFlow, activity.FlagInbound, 50002, 40001)},
		{call(activity.KindBind, activity.FlagAutoBind, 40000, 0), call(activity.KindBind, activity.FlagAutoBind, 40001, 0)},
	} {
		if rule := fmt.Sprint("call", i); !told.fresh(pair[0], rule, now) || told.fresh(pair[1], rule, now) {
			t.Errorf("%v: the second caller is another finding", pair[0].Kind)
		}
	}
	for i := range 3 * maxRepeats {
		told.fresh(e(uint16(i)), fmt.Sprint("r", i>>16), now)
	}
	if len(told.told) > maxRepeats {
		t.Errorf("%d remembered", len(told.told))
	}
}

// TestReadLogged: lines that a crash tore or somebody spoilt are passed over.
func TestReadLogged(t *testing.T) {
	dir := t.TempDir()
	e := &activity.Event{Time: 5e18, Seq: 7, Kind: activity.KindListen, Process: &activity.Process{Key: activity.ProcessKey{PID: 9, Start: 1}, Start: 4e18, Exe: "/tmp/x", Name: "x"}}
	line := string(render.AppendFindingsJSON(render.AppendJSON(nil, e, render.Options{}), []activity.Finding{
		{Rule: writableRule, Severity: activity.SeverityHigh, Reason: "r"}, {Rule: "other", Severity: activity.SeverityLow, Reason: "s"}}))
	text := "torn\n{}\n" + `{"time":"no","interest":[{}]}` + "\n" + `{"interest":[{"rule":"x","severity":"grave"}]}` + "\n" + line + line[:40]
	if err := os.WriteFile(filepath.Join(dir, interestLog), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	l := readLogged("events", dir, &stderr)
	if stderr.Len() > 0 {
		t.Error(stderr.String())
	}
	if !l.wasWritable(e.Process) || l.wasWritable(&activity.Process{Key: e.Process.Key, Start: 3e18, Exe: "/tmp/x"}) || l.wasWritable(nil) {
		t.Error("the process that was writable is another one")
	}
	now := []activity.Finding{{Rule: "other", Severity: activity.SeverityHigh, Reason: "as it is now"}}
	want := []activity.Finding{now[0], {Rule: writableRule, Severity: activity.SeverityHigh, Reason: "r"}}
	if d := cmp.Diff(want, l.add(e, now)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if got := l.add(&activity.Event{Time: 5e18, Seq: 8}, nil); got != nil {
		t.Errorf("another event: %v", got)
	}
	if l := readLogged("events", t.TempDir(), &stderr); len(l.events) != 0 || stderr.Len() > 0 {
		t.Errorf("no log: %v, %s", l, stderr.String())
	}
}

// keeper is a sink that keeps what it is sent.
type keeper struct{ got chan *notify.Alert }

func (k keeper) Send(_ context.Context, a *notify.Alert) error { k.got <- a; return nil }
func (k keeper) Close() error                                  { return nil }

// TestWatch: what is found is written down and, from a severity on, told, with
// nothing in the words that could act on a terminal.
func TestWatch(t *testing.T) {
	cfg := defaultConfig(func(string) string { return "" })
	cfg.Dir = t.TempDir()
	cfg.InterestRules = filepath.Join(cfg.Dir, "rules.toml")
	rule := "starter = false\n[[rule]]\nid = \"open\"\nseverity = \"high\"\nreason = \"it is open\"\nports = [4444, 4445]\n[[rule]]\nid = \"low\"\nseverity = \"low\"\nports = 4446\n"
	if err := os.WriteFile(cfg.InterestRules, []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &recording{cfg: cfg, host: "web1", log: slog.New(slog.DiscardHandler)}
	if err := r.openInterest(); err != nil {
		t.Fatal(err)
	}
	w, sink := r.watch, keeper{make(chan *notify.Alert, 10)}
	w.out = []outlet{{"test", notify.NewQueue(sink, 0, func(error) {})}}
	w.queue = recorder.NewQueue(16)
	p := &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 7, Start: 1}, Name: "evil\x1b[2J", Exe: "/x\n\"]", User: "root"}
	for _, port := range []uint16{4444, 80, 4446, 4444} {
		w.queue.Put(&activity.Event{Time: 5e18, Kind: activity.KindListen, Proto: activity.TCP, Process: p, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port)})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.run(ctx)
	close(sink.got)
	var got []*notify.Alert
	for a := range sink.got {
		got = append(got, a)
	}
	if len(got) != 1 || got[0].Rule != "open" || got[0].Severity != activity.SeverityHigh {
		t.Fatalf("%+v", got)
	}
	if want := `high open: it is open: listen          tcp  0.0.0.0:4444  evil\x1b[2J[7] root`; got[0].Text != want {
		t.Errorf("got %q\nwant %q", got[0].Text, want)
	}
	for _, f := range got[0].Fields {
		if strings.ContainsAny(f.Value, "\n\x1b") || f.Value == "" {
			t.Errorf("%s=%q", f.Name, f.Value)
		}
	}
	log, err := os.ReadFile(filepath.Join(cfg.Dir, interestLog))
	if err != nil || bytes.Count(log, []byte("\n")) != 2 || !bytes.HasPrefix(log, got[0].JSON) {
		t.Errorf("%v: %s", err, log)
	}
	if s := w.status(); s.Found != 2 || s.Rules != 2 || s.Outlets["test"] != (tally{Sent: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestWatchReloads: rules that were changed are loaded anew; when they are wrong
// the ones before stay.
func TestWatchReloads(t *testing.T) {
	cfg := defaultConfig(func(string) string { return "" })
	cfg.Dir = t.TempDir()
	cfg.InterestRules = filepath.Join(cfg.Dir, "rules.toml")
	write := func(text string, age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(cfg.InterestRules, []byte(text), 0o600), os.Chtimes(cfg.InterestRules, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	one := "starter = false\n[[rule]]\nid = \"a\"\nports = 1\n"
	write(one, 3*time.Hour)
	var log bytes.Buffer
	r := &recording{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := r.openInterest(); err != nil {
		t.Fatal(err)
	}
	w := r.watch
	for _, step := range []struct {
		text string
		want int64
		says string
	}{
		{"", 1, ""}, // unchanged
		{one + "[[rule]]\nid = \"b\"\nports = 2\n", 2, "loaded anew"},
		{"starer = false", 2, "unknown key"},
		{one, 1, "works again"},
	} {
		log.Reset()
		if step.text != "" {
			write(step.text, time.Duration(len(step.text))*time.Minute)
		}
		w.refresh(context.Background())
		if got := w.rules.Load(); got != step.want || !strings.Contains(log.String(), step.says) || step.says == "" && log.Len() > 0 {
			t.Errorf("%q: %d rules, %s", step.text, got, log.String())
		}
	}
	if err := w.log.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPackagedRules: the file of the package is right as it is and changes
// nothing; without its comments it is right, too.
func TestPackagedRules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "interest.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var active strings.Builder
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			line = rest
		}
		active.WriteString(line)
	}
	for want, text := range map[int]string{0: string(text), 3: active.String()} {
		path := filepath.Join(t.TempDir(), "interest.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := checkRules([]string{path}, &out); err != nil || out.String() != fmt.Sprintf("%s: %s\n", path, count(want, "rule")) {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

// FuzzLogged: no line of the log crashes its reader, and a finding that is taken
// has a severity.
func FuzzLogged(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-24T20:41:50.191786123Z","seq":1042,"process":{"pid":7,"start":"2026-11-24T20:41:49.1Z","exe":"/x"},"interest":[{"rule":"starter.world-writable","severity":"high","reason":"r"}]}`))
	f.Add([]byte("{\"process\":{},\"interest\":[{}]}\n{\"interest\":null}\n\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, interestLog), data, 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		l := readLogged("events", dir, &stderr)
		for _, found := range l.events {
			for _, x := range found {
				if x.Severity == activity.SeverityNone {
					t.Errorf("%+v", x)
				}
			}
		}
		if bytes.Count(stderr.Bytes(), []byte("\n")) > 1 {
			t.Errorf("more than a line: %s", stderr.String())
		}
	})
}

// TestLoadRules: files that nobody named need not be there; those that were,
// must, and what they name.
func TestLoadRules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg := func(rules, baseline string) Config {
		c := defaultConfig(func(string) string { return "" })
		c.Dir, c.InterestRules, c.InterestBaseline = filepath.Join(dir, "record"), rules, baseline
		return c
	}
	sigma := "title: x\nlogsource:\n  category: network_connection\ndetection:\n  a:\n    DestinationPort: 1\n  condition: a\n"
	write("sigma/a.yml", sigma)
	write("sigma/deep/b.YAML", sigma)
	write("sigma/deep/wrong.yml", "title: x")
	write("sigma/README.md", "no rule")
	big := write("big.toml", strings.Repeat("#", maxRuleFile+1))
	rule := write("rule.toml", "starter = false\n[[rule]]\nid = \"r\"\nports = 1\n")
	for name, c := range map[string]struct {
		cfg     Config
		rules   int
		skipped int
		err     string
	}{
		"one's own":                      {cfg(rule, ""), 1, 0, ""},
		"not there":                      {cfg(filepath.Join(dir, "none.toml"), ""), 0, 0, "rules of interest: open "},
		"a directory":                    {cfg(dir, ""), 0, 0, "rules of interest: read "},
		"too large":                      {cfg(big, ""), 0, 0, "rules of interest: " + big + ": larger than 1048576 bytes"},
		"baseline not there":             {cfg(rule, filepath.Join(dir, "none.json")), 0, 0, "rules of interest: open "},
		"baseline broken":                {cfg(rule, write("b.json", "{")), 0, 0, "rules of interest: " + filepath.Join(dir, "b.json") + ": baseline: "},
		"a directory of Sigma rules":     {cfg(write("s.toml", "starter = false\nsigma = \"sigma\""), ""), 2, 1, ""},
		"one Sigma rule":                 {cfg(write("o.toml", "starter = false\nsigma = [\"sigma/a.yml\"]"), ""), 1, 0, ""},
		"Sigma rules that are not there": {cfg(write("n.toml", "sigma = \"none\""), ""), 0, 0, "rules of interest: " + filepath.Join(dir, "n.toml") + ": sigma: lstat "},
		"a rule that is not there":       {cfg(write("d.toml", "disable = \"starter.x\""), ""), 0, 0, "rules of interest: " + filepath.Join(dir, "d.toml") + ":1:11: there is no rule"},
	} {
		r, err := loadRules(c.cfg, nil, nil)
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.err) || exitCode(err) != exitUsage {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := len(r.set.Rules()); got != c.rules || len(r.skipped) != c.skipped {
			t.Errorf("%s: %d rules, %v left out", name, got, r.skipped)
		}
	}
}

// TestReplaceFile: what is there is replaced whole, or stays.
func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	for _, text := range []string{"one", "two"} {
		if err := replaceFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%v: %q", err, b)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
	if err := replaceFile(filepath.Join(path, "x"), nil); err == nil {
		t.Error("a file in a file is written")
	}
}
