package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s: -want +got (-update rewrites)\n%s", name, d)
	}
}

const hostile = "evil\x1b[31m\u202e\n\xff\u009b\"\\,\U000e0001é漢"

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func python() *activity.Process {
	return &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 23155, Start: 5}, Start: at("2026-11-24T20:41:49.1Z"), Name: "python3", Exe: "/usr/bin/python3.11",
		Args: []string{"python3", "work.py"}, Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 23113}, Name: "bash"}},
		LoginUID: activity.NoID, User: "root", EffectiveUser: "root", Unit: activity.Unit{Name: "web.service"},
		Container: activity.Container{Runtime: "docker", ID: "4f5a6b7c8d9e0f1a2b3c", Name: "web"}}
}

func full() *activity.Process {
	return &activity.Process{ID: 2, Key: activity.ProcessKey{PID: 811, Start: 6}, Start: at("2026-11-24T08:00:00Z"), Name: hostile, Exe: "/opt/" + hostile, Args: []string{}, ArgsTruncated: true,
		Cwd: "/", Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 9}}, {Key: activity.ProcessKey{PID: 1}, Name: "systemd"}}, Deleted: true, MemFD: true,
		UID: 33, EUID: 0, LoginUID: 1000, EffectiveUser: "root", ExeSHA256: "aa", ExePackage: "p 1", Cgroup: "/c", Unit: activity.Unit{Name: "u.service", Description: hostile, User: "1000"},
		Container: activity.Container{ID: "4f5a6b7c8d9e0f1a2b3c", Image: "i:1", Pod: "shop/front"}}
}

// samples are events of every kind, as the goldens hold them.
func samples() []*activity.Event {
	now := at("2026-11-24T20:41:50.191786123Z")
	base := func(k activity.Kind, p activity.Proto, local, remote string) *activity.Event {
		now += 1_001_000_000
		e := &activity.Event{Time: now, Seq: uint64(now / 1e9 % 100), Kind: k, Proto: p, Tier: activity.TierEBPF, NetNS: 4026531833, Socket: 87, Owner: activity.ProcessKey{PID: 23155, Start: 5}, Process: python(), Local: addr(local)}
		if remote != "" {
			e.Remote = addr(remote)
		}
		return e
	}
	with := func(e *activity.Event, f func(*activity.Event)) *activity.Event { f(e); return e }
	orphan := func(e *activity.Event) { e.Owner, e.Process = activity.ProcessKey{}, nil }
	return []*activity.Event{
		{Time: now, Seq: 1, Kind: activity.KindRecorderStart, Tier: activity.TierEBPF, Coverage: &activity.Coverage{From: now, Reason: "started", Detail: "tracepoint set, kernel 6.1", Missing: []activity.Kind{activity.KindBindFailed, activity.KindKnock}}},
		with(base(activity.KindListen, activity.TCP, "[::]:80", ""), func(e *activity.Event) { e.Role = activity.RoleCreator }),
		with(base(activity.KindAccept, activity.TCP, "127.0.0.1:5001", "127.0.0.1:49188"), func(e *activity.Event) { e.Role = activity.RoleAcceptor; e.Flags = activity.FlagInbound }),
		with(base(activity.KindClose, activity.TCP, "127.0.0.1:5001", "127.0.0.1:49188"), func(e *activity.Event) {
			e.Role, e.Flags, e.Rx, e.Duration, e.RTT, e.Closer = activity.RoleAcceptor, activity.FlagInbound|activity.FlagMapped, 1000, 602931000, 20, 23155
		}),
		with(base(activity.KindClose, activity.TCP, "[2001:db8::1]:443", "[2001:db8::2]:50000"), func(e *activity.Event) {
			e.Provenance, e.Flags, e.Process = activity.Inferred, activity.FlagReset|activity.FlagNotAccepted|activity.FlagMPTCP, full()
			e.Unknown = activity.FactBytes | activity.FactDuration | activity.FactRTT | activity.FactRetransmits | activity.FactCloser
			e.Holders = []*activity.Process{python(), {Kernel: true, Name: "kworker", Key: activity.ProcessKey{PID: 3}}, {ID: 77}}
		}),
		with(base(activity.KindConnectFailed, activity.TCP, "10.0.0.1:40000", "10.9.9.9:22"), func(e *activity.Event) {
			e.Errno, e.Reason, e.Flags = 111, activity.ReasonRefused, activity.FlagConcluded
		}),
		with(base(activity.KindBindFailed, activity.TCP, "0.0.0.0:80", ""), func(e *activity.Event) {
			e.Errno, e.Reason, e.Holder = 98, activity.ReasonAddressInUse, &activity.Process{Key: activity.ProcessKey{PID: 811}, Name: "nginx", Exe: "/usr/sbin/nginx", UID: activity.NoID, EUID: activity.NoID, LoginUID: activity.NoID}
		}),
		with(base(activity.KindBindFailed, activity.UDP, "0.0.0.0:53", ""), func(e *activity.Event) {
			e.Errno, e.Reason, e.Unknown = 98, activity.ReasonAddressInUse, activity.FactHolder
		}),
		base(activity.KindConnect, activity.TCP, "10.0.0.1:40001", "93.184.216.34:443"),
		base(activity.KindBind, activity.UDP, "0.0.0.0:5353", ""),
		base(activity.KindFlow, activity.UDP, "10.0.0.1:40002", "9.9.9.9:53"),
		with(base(activity.KindFlowEnd, activity.UDP, "10.0.0.1:40002", "9.9.9.9:53"), func(e *activity.Event) {
			e.Reason, e.Rx, e.Tx, e.RxPackets, e.TxPackets, e.Duration, e.Flags = activity.ReasonIdle, 123456, 80, 2, 3, 61e9, activity.FlagTruncated
		}),
		with(base(activity.KindUnbind, activity.UDP, "0.0.0.0:5353", ""), func(e *activity.Event) { e.Duration = 3 * 86400e9 }),
		with(base(activity.KindUnlisten, activity.TCP, "[::]:80", ""), func(e *activity.Event) { e.Unknown = activity.FactDuration; e.Reason = activity.ReasonExited }),
		with(base(activity.KindKnock, activity.TCP, "10.0.0.1:4444", "203.0.113.9:6000"), func(e *activity.Event) { orphan(e); e.Socket = 0 }),
		with(base(activity.KindSnapshot, activity.TCP, "10.0.0.1:22", "203.0.113.9:6001"), func(e *activity.Event) {
			orphan(e)
			e.Unknown, e.Provenance, e.Tier = activity.FactOwner, activity.Snapshotted, activity.TierPoll
		}),
		with(base(activity.KindAccept, activity.TCP, "10.0.0.1:22", "203.0.113.9:6002"), func(e *activity.Event) {
			e.Process = nil
			e.Provenance = activity.Snapshotted
			e.Local = netip.AddrPort{}
			e.Unknown = activity.FactLocal
		}),
		{Time: now, Seq: 90, Kind: activity.KindGap, Coverage: &activity.Coverage{From: at("2026-11-24T20:00:00Z"), To: at("2026-11-24T20:00:05Z"), Reason: "ring overflow", Lost: [activity.NumKinds]uint64{activity.KindAccept: 312, activity.KindNone: 4}}},
		{Time: now, Seq: 91, Kind: activity.KindRecorderStop, Coverage: &activity.Coverage{Reason: "SIGTERM " + hostile}},
	}
}

func sampleSockets() []*activity.Socket {
	since, old := at("2026-11-24T09:10:11Z"), at("2026-10-01T02:03:04Z")
	return []*activity.Socket{
		{Proto: activity.TCP, State: activity.StateListen, Local: addr("0.0.0.0:22"), Inode: 5, UID: 0, Since: old, Owner: activity.ProcessKey{PID: 700}, Tier: activity.TierEBPF, Role: activity.RoleCreator, Cookie: 9, NetNS: 4026531833,
			Process: &activity.Process{Name: "sshd", Exe: "/usr/sbin/sshd", Key: activity.ProcessKey{PID: 700}, LoginUID: activity.NoID, User: "root", Unit: activity.Unit{Name: "ssh.service"}}},
		{Proto: activity.TCP, State: activity.StateListen, Local: addr("[::]:80"), Inode: 6, UID: 0, Since: since, Owner: activity.ProcessKey{PID: 23155}, Process: python(), Backlog: 2,
			Holders: []activity.ProcessKey{{PID: 23155}, {PID: 812}, {PID: 813}}, Others: []*activity.Process{{Name: "worker", Key: activity.ProcessKey{PID: 812}}}},
		{Proto: activity.TCP, State: activity.StateEstablished, Local: addr("[2001:db8:1234:5678:9abc:def0:1234:5678]:443"), Remote: addr("[2001:db8:1234:5678:9abc:def0:1234:9999]:50123"), Inode: 7, UID: 33, Since: since, Process: full(), Owner: full().Key, Rx: 10, Tx: 5, Mapped: true, MPTCP: true},
		{Proto: activity.UDP, State: activity.StateBound, Local: addr("127.0.0.53:53"), Inode: 8, UID: 101},
		{Proto: activity.TCP, State: activity.StateTimeWait, Local: addr("10.0.0.1:40000"), Remote: addr("10.0.0.2:443"), UID: activity.NoID},
		{Proto: activity.UDP, State: activity.StateBound, Local: addr("0.0.0.0:9"), UID: activity.NoID, Since: since, Owner: activity.ProcessKey{PID: 5},
			Process: &activity.Process{Name: "systemd-resolve", Exe: "/usr/lib/systemd/systemd-resolved", Key: activity.ProcessKey{PID: 5}, UID: activity.NoID}},
	}
}

func TestGoldenEvents(t *testing.T) {
	opt := Options{Host: "web1", Location: time.FixedZone("EET", 2*3600)}
	color := opt
	color.Color = true
	text, painted, c := NewText(opt), NewText(color), EventCSV(opt)
	var jsonl, txt, col []byte
	table := c.AppendHeader(nil)
	for _, e := range samples() {
		jsonl = AppendJSON(jsonl, e, opt)
		txt = text.Append(txt, e)
		col = painted.Append(col, e)
		table = c.Append(table, e)
	}
	golden(t, "events.jsonl", jsonl)
	golden(t, "events.txt", txt)
	golden(t, "events.color.txt", col)
	golden(t, "events.csv", table)
	checkLines(t, jsonl)
	if bytes.ContainsRune(txt, 0x1b) {
		t.Error("an escape in text without colour")
	}
}

func TestGoldenSockets(t *testing.T) {
	opt := Options{Host: "web1", Now: time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)}
	var jsonl []byte
	c := SocketCSV(opt)
	table := c.AppendHeader(nil)
	sockets := sampleSockets()
	for _, s := range sockets {
		jsonl = AppendSocketJSON(jsonl, s, opt)
		table = c.Append(table, s)
	}
	golden(t, "sockets.jsonl", jsonl)
	golden(t, "sockets.csv", table)
	checkLines(t, jsonl)
	for name, w := range map[string]int{"sockets.txt": 0, "sockets.120.txt": 120, "sockets.80.txt": 80, "sockets.40.txt": 40, "sockets.28.txt": 28} {
		opt.Width = w
		out := AppendSockets(nil, sockets, opt)
		golden(t, name, out)
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSuffix(line, "\n")
			if n := displaywidth.String(line); w != 0 && n > w {
				t.Errorf("%s: a line of %d columns in %d: %s", name, n, w, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%s: a line ends in spaces: %q", name, line)
			}
		}
	}
	opt.Width, opt.Color = 120, true
	golden(t, "sockets.color.txt", AppendSockets(nil, sockets, opt))
	golden(t, "sockets.none.txt", AppendSockets(nil, nil, Options{}))
}

// checkLines checks that each line is one JSON object without a name twice.
func checkLines(t *testing.T, lines []byte) {
	t.Helper()
	for line := range bytes.Lines(lines) {
		d := json.NewDecoder(bytes.NewReader(line))
		if err := noTwins(d); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}

type twinError string

func (e twinError) Error() string { return "the name " + string(e) + " comes twice" }

// noTwins reads one value, and finds a name that an object has twice, which
// encoding/json accepts.
func noTwins(d *json.Decoder) error {
	tok, err := d.Token()
	if err != nil || tok != json.Delim('{') && tok != json.Delim('[') {
		return err
	}
	names := map[string]bool{}
	for d.More() {
		if tok == json.Delim('{') {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if names[key.(string)] {
				return twinError(key.(string))
			}
			names[key.(string)] = true
		}
		if err := noTwins(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "nginx: worker": "nginx: worker", `C:\Windows`: `C:\Windows`, "é漢👍": "é漢👍", "a\nb\tc\r": `a\nb\tc\r`, "\x1b[31m": `\x1b[31m`, "\x7f\x00": `\x7f\x00`,
		"a\u202eb": `a\u202eb`, "\u009b": `\u009b`, "\xff\xfe": `\xff\xfe`, "\u200b\ufeff\u2066": `\u200b\ufeff\u2066`, "\U000e0001": `\U000e0001`, "\ufffd": "\ufffd", "\u00a0": `\u00a0`,
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { Safe("nothing to escape é") }); n != 0 {
		t.Errorf("%v allocations without anything to escape", n)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 99_949: "99.9 kB", 100_000: "100 kB", 999_949: "999 kB", 999_950: "1.0 MB",
		1_500_000: "1.5 MB", 340e9: "340 GB", 1<<64 - 1: "18.4 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0ns", 999: "999ns", 20_000: "20us", 602931000: "602.9ms", 1e6: "1ms", 12_400_000_000: "12.4s", 303e9: "5m03s", 11520e9: "3h12m",
		367200e9: "4d06h", -2e9: "-2s", -1 << 63: "-106751d23h"} {
		if got := Duration(n); got != want {
			t.Errorf("Duration(%d) = %q, want %q", n, got, want)
		}
	}
	for s, want := range map[int64]string{-5: "now", 0: "now", 12: "12s", 300: "5m", 7200: "2h", 400_000: "4d"} {
		if got := Age(0, s*1e9); got != want {
			t.Errorf("Age of %d s = %q, want %q", s, got, want)
		}
	}
}

// fuzzed puts one outside text wherever an event can hold one.
func fuzzed(s string) *activity.Event {
	p := full()
	for _, f := range []*string{&p.Name, &p.Exe, &p.Cwd, &p.User, &p.EffectiveUser, &p.LoginUser, &p.ExeSHA256, &p.ExePackage, &p.Cgroup, &p.Unit.Name, &p.Unit.Description,
		&p.Container.Runtime, &p.Container.ID, &p.Container.Name, &p.Container.Image, &p.Container.Pod, &p.Ancestors[0].Name} {
		*f = s
	}
	p.Args = []string{s, "", s}
	return &activity.Event{Kind: activity.KindClose, Proto: activity.TCP, Local: netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(s), 1), Process: p, Owner: p.Key, Holder: p,
		Coverage: &activity.Coverage{Reason: s, Detail: s}}
}

// FuzzJSON checks that any text gives valid JSON that reads back as that text.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", hostile, "\u2028\ud7ff\U0001f600", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := AppendJSON(nil, fuzzed(s), Options{Host: s})
		var got struct {
			Host    string
			Process struct {
				Name, Cwd *string
				Args      []string
				Container struct{ Image string }
			}
			Detail string
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if bytes.Count(line, []byte("\n")) != 1 || unsafeAt(string(bytes.TrimSuffix(line, []byte("\n")))) != len(line)-1 {
			t.Fatalf("not one line that is safe to show: %q", line)
		}
		// The standard library replaces a run of invalid bytes one by one too.
		want := strings.ToValidUTF8(s, "\ufffd")
		if std, _ := json.Marshal(s); json.Unmarshal(std, &want) != nil {
			t.Fatal("the standard library fails")
		}
		if got.Host != want || got.Process.Args[0] != want || got.Process.Container.Image != want || got.Detail != want {
			t.Fatalf("%q reads back as %+v", want, got)
		}
		if s != "" && (*got.Process.Name != want || *got.Process.Cwd != want) {
			t.Fatalf("%q reads back as %q, %q", want, *got.Process.Name, *got.Process.Cwd)
		}
	})
}

// FuzzCSV checks that any text gives a record that reads back verbatim.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"", hostile, `a"b`, " x ", "a,b", "=1+1", "\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := EventCSV(Options{Host: s})
		rows, err := csv.NewReader(bytes.NewReader(c.Append(c.AppendHeader(nil), fuzzed(s)))).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		want := strings.ReplaceAll(s, "\r\n", "\n") // as encoding/csv reads it
		for i, name := range rows[0] {
			switch name {
			case "host", "process.name", "process.exe", "process.user", "process.container.pod", "reason", "detail":
				if rows[1][i] != want {
					t.Errorf("%s: %q reads back as %q", name, want, rows[1][i])
				}
			case "process.args":
				if !json.Valid([]byte(rows[1][i])) {
					t.Errorf("args are %q", rows[1][i])
				}
			}
		}
	})
}

// FuzzText checks that no text of an event or socket can break a line, act on a
// terminal or widen a table.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", hostile, "漢字漢字漢字漢字漢字", "e\u0301\u0301\u0301", "\u200d👨‍👩‍👧"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := fuzzed(s)
		out := NewText(Options{}).Append(nil, e)
		e.Kind = activity.KindGap
		out = NewText(Options{}).Append(out, e)
		sock := &activity.Socket{Local: addr("[::]:1"), Process: e.Process, Owner: e.Owner}
		const columns = 80
		table := AppendSockets(nil, []*activity.Socket{sock}, Options{Width: columns})
		for line := range bytes.Lines(table) {
			if w := displaywidth.Bytes(bytes.TrimSuffix(line, []byte("\n"))); w > columns {
				t.Errorf("%d columns: %q", w, line)
			}
		}
		if out = append(out, table...); bytes.Count(out, []byte("\n")) != 4 {
			t.Errorf("lines are broken: %q", out)
		}
		for _, r := range string(bytes.ReplaceAll(out, []byte("\n"), nil)) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U is shown: %q", r, out)
			}
		}
		if !utf8.Valid(out) {
			t.Fatalf("not UTF-8: %q", out)
		}
	})
}

func TestTimeOutOfOrder(t *testing.T) {
	text := NewText(Options{})
	for ns, want := range map[int64]string{-1: "1969-12-31 23:59:59.999", 0: "1970-01-01 00:00:00.000", 1_999_999_999: "1970-01-01 00:00:01.999"} {
		if got := string(text.time(nil, ns)); got != want {
			t.Errorf("%d is %s, want %s", ns, got, want)
		}
	}
}

// TestFactNames keeps the words beside the bits: each fact and flag shows.
func TestFactNames(t *testing.T) {
	if got, want := string(unknownFacts(nil, 1<<11-1)), "owner bytes packets duration rtt retransmits reason closer local remote holder"; got != want {
		t.Errorf("facts are %q, want %q", got, want)
	}
	all := activity.FlagMapped | activity.FlagAutoBind | activity.FlagReset | activity.FlagInbound | activity.FlagNotAccepted | activity.FlagRecovered | activity.FlagConcluded | activity.FlagMPTCP | activity.FlagTruncated | activity.FlagPeerFirst
	var got map[string]any
	if err := json.Unmarshal(AppendJSON(nil, &activity.Event{Flags: all}, Options{}), &got); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"mapped", "autobind", "inbound", "unaccepted", "recovered", "guessed", "mptcp", "truncated", "peer_first", "reset"} {
		if !reflect.DeepEqual(got[w], true) {
			t.Errorf("%s is %v", w, got[w])
		}
	}
}

func TestNoAllocations(t *testing.T) {
	events, text, opt := samples(), NewText(Options{Color: true}), Options{Host: "web1"}
	buf := make([]byte, 0, 64<<10)
	for _, e := range events {
		for name, f := range map[string]func(){"text": func() { buf = text.Append(buf[:0], e) }, "JSON": func() { buf = AppendJSON(buf[:0], e, opt) }} {
			if n := testing.AllocsPerRun(20, f); n != 0 {
				t.Errorf("%s of %v: %v allocations", name, e.Kind, n)
			}
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	e, buf := samples()[3], make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], e, Options{Host: "web1"})
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkText(b *testing.B) {
	e, buf, text := samples()[3], make([]byte, 0, 4096), NewText(Options{Location: time.Local})
	b.ReportAllocs()
	for b.Loop() {
		e.Time += 1e6
		buf = text.Append(buf[:0], e)
	}
}

func BenchmarkCSV(b *testing.B) {
	e, buf, c := samples()[3], make([]byte, 0, 4096), EventCSV(Options{Host: "web1"})
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0], e)
	}
}

// BenchmarkSockets50000 is `list --all` of a busy machine: a mixture as odd as
// the samples on a terminal, and one server's connections into a pipe.
func BenchmarkSockets50000(b *testing.B) {
	few := sampleSockets()
	mixed, server := make([]*activity.Socket, 50_000), make([]*activity.Socket, 50_000)
	p := python()
	for i := range mixed {
		mixed[i] = few[i%len(few)]
		server[i] = &activity.Socket{Proto: activity.TCP, State: activity.StateEstablished, Local: addr("127.0.0.1:7001"), Process: p, Owner: p.Key,
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(i)), Since: at("2026-11-24T09:10:11Z") + int64(i)*1e5}
	}
	now := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		sockets []*activity.Socket
		opt     Options
	}{{"mixed", mixed, Options{Width: 120, Now: now}}, {"server", server, Options{Now: now}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = AppendSockets(buf[:0], c.sockets, c.opt)
			}
		})
	}
}

// TestDocumentation keeps docs/JSON.md beside the code: it has each name that
// a JSON line or a CSV header holds.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../../docs/JSON.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	names := strings.Split(strings.TrimSpace(string(EventCSV(Options{}).AppendHeader(nil))), ",")
	names = append(names, strings.Split(strings.TrimSpace(string(SocketCSV(Options{}).AppendHeader(nil))), ",")...)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				if k != "lost" {
					walk(inner)
				}
				names = append(names, k)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	var lines []byte
	for _, e := range append(samples(), fuzzed("x")) {
		lines = AppendJSON(lines, e, Options{Host: "h"})
	}
	sockets := sampleSockets()
	for i := range sockets {
		lines = AppendSocketJSON(lines, sockets[i], Options{})
	}
	for line := range bytes.Lines(lines) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		walk(v)
	}
	seen := map[string]bool{}
	for _, n := range names {
		short := n[strings.LastIndexByte(n, '.')+1:]
		if !seen[n] && !strings.Contains(doc, "`"+n+"`") && !strings.Contains(doc, "`"+short+"`") {
			t.Errorf("%s is not documented", n)
		}
		seen[n] = true
	}
	for _, w := range append(activity.Kinds(), activity.Reasons()...) {
		if !strings.Contains(doc, w) {
			t.Errorf("the word %s is not documented", w)
		}
	}
}
