package prlog

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	_ "time/tzdata" // for systems without
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// An excerpt in the original's form, as a web page wrapped it.
const wrapped = `Port Reporter Version 1.01 Log File - Port usage log

Check PR-PIDS-05-07-6-13-44-4.log for corresponding process data

Log format:
date,time,protocol,local port,local IP address,remote port,remote 
IP address,PID,module,user context

05/7/6,13:52:1,TCP,3389,0.0.0.0,,0.0.0.0,1096,svchost.exe,
   <NT AUTHORITY\SYSTEM>
05/7/6,13:52:2,TCP,3389,192.0.2.150,1486,192.0.2.100,1096,svchost.exe,
   <NT AUTHORITY\SYSTEM>
05/7/6,13:52:4,UDP,1088,0.0.0.0,*,*,1540,rdpclip.exe,<TEST\Administrator>
`

func at(s string) int64 {
	t, err := time.Parse(time.DateTime, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var wrappedRecords = []Record{
	{Line: 9, Time: at("2005-07-06 13:52:01"), Proto: activity.TCP, Local: ap("0.0.0.0:3389"), PID: 1096, PIDKnown: true, Module: "svchost.exe", User: `NT AUTHORITY\SYSTEM`},
	{Line: 11, Time: at("2005-07-06 13:52:02"), Proto: activity.TCP, Local: ap("192.0.2.150:3389"), Remote: ap("192.0.2.100:1486"), PID: 1096, PIDKnown: true, Module: "svchost.exe", User: `NT AUTHORITY\SYSTEM`},
	{Line: 13, Time: at("2005-07-06 13:52:04"), Proto: activity.UDP, Local: ap("0.0.0.0:1088"), PID: 1540, PIDKnown: true, Module: "rdpclip.exe", User: `TEST\Administrator`},
}

func utf16Text(s string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// The same log in every form that an editor, a copy or a download gives it.
func TestReadPortsEncodings(t *testing.T) {
	dos := strings.ReplaceAll(wrapped, "\n", "\r\n")
	for name, text := range map[string]string{
		"unix": wrapped, "dos": dos, "utf-8 bom": "\xef\xbb\xbf" + dos, "no last newline": strings.TrimSuffix(wrapped, "\n"),
		"utf-16 le": utf16Text(dos, binary.LittleEndian), "utf-16 be": utf16Text(wrapped, binary.BigEndian), "utf-16 le without a mark": utf16Text(dos, binary.LittleEndian)[2:],
		"utf-16 be without a mark": utf16Text(dos, binary.BigEndian)[2:], "nul tail": wrapped + "\x00\x00\x00",
	} {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
			var head Header
			var got []Record
			for rec, err := range ReadPorts(r, ReadOptions{Location: time.UTC, Header: &head}) {
				if err != nil {
					t.Errorf("%s, %s: %v", name, how, err)
				}
				if head.Log == LogNone {
					t.Errorf("%s, %s: no header before the first record", name, how)
				}
				got = append(got, rec)
			}
			if d := cmp.Diff(wrappedRecords, got, addrs); d != "" {
				t.Errorf("%s, %s: -want +got\n%s", name, how, d)
			}
			if d := cmp.Diff(Header{Log: LogPorts, Version: "1.01", PIDsFile: "PR-PIDS-05-07-6-13-44-4.log"}, head); d != "" {
				t.Errorf("%s, %s: header: -want +got\n%s", name, how, d)
			}
		}
	}
}

// A log that another follows keeps each one's escapes apart, and what was read
// of an owner before.
func TestReadPortsTwoVersions(t *testing.T) {
	const row = "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4444,a%41.exe,<u>\n"
	var got []string
	for rec, err := range ReadPorts(strings.NewReader("Port Reporter Version 1.01 Log File - Port usage log\n"+row+row+"Port Reporter Version 3.0 Log File - Port usage log\n"+row+row), ReadOptions{}) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, rec.Module)
	}
	if d := cmp.Diff([]string{"a%41.exe", "a%41.exe", "aA.exe", "aA.exe"}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestReadPortsLenient(t *testing.T) {
	base := Record{Line: 1, Time: at("2005-07-06 13:52:01"), Proto: activity.TCP, Local: ap("10.0.0.1:80"), Remote: ap("10.0.0.2:99"), PID: 4, PIDKnown: true, Module: "m", User: "u"}
	with := func(f func(*Record)) []Record {
		r := base
		f(&r)
		return []Record{r}
	}
	tests := []struct {
		name, in string
		want     []Record
	}{
		{"plain", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", []Record{base}},
		{"padded", "05/07/06,13:52:01,tcp,80,10.0.0.1,99,10.0.0.2,4,m,<u>", []Record{base}},
		{"four digits of a year", "2005/7/6, 13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", []Record{base}},
		{"windows 2000", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2", with(func(r *Record) { r.PID, r.PIDKnown, r.Module, r.User = 0, false, "", "" })},
		{"no process known", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,,,<>", with(func(r *Record) { r.PID, r.PIDKnown, r.Module, r.User = 0, false, "", "" })},
		{"comma in the module", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,a,b.exe,<u>", with(func(r *Record) { r.Module = "a,b.exe" })},
		{"comma in the user", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<a,b>", with(func(r *Record) { r.User = "a,b" })},
		{"user without brackets", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,u", []Record{base}},
		{"percent is no escape in the original", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,a%41,<u>", with(func(r *Record) { r.Module = "a%41" })},
		{"ipv6", "05/7/6,13:52:1,TCP,80,fe80::1%3,99,::ffff:10.0.0.2,4,m,<u>", with(func(r *Record) { r.Local = ap("[fe80::1]:80") })},
		{"ipv6 listener", "05/7/6,13:52:1,TCP,80,::,,::,4,m,<u>", with(func(r *Record) { r.Local, r.Remote = ap("[::]:80"), netip.AddrPort{} })},
		{"listener with port 0", "05/7/6,13:52:1,TCP,80,10.0.0.1,0,0.0.0.0,4,m,<u>", with(func(r *Record) { r.Remote = netip.AddrPort{} })},
		{"wrapped twice", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,\n  10.0.0.2,4,m,\n<u>", []Record{base}},
		{"wrapped within the user", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<NT \n  AUTHORITY>", with(func(r *Record) { r.User = "NTAUTHORITY" })},
		{"truncated at the end", "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u", []Record{base}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, readPorts(t, tt.in), addrs); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// Lines of seven columns follow each other, and none is taken for the end of
// the one before.
func TestReadPortsWindows2000(t *testing.T) {
	head := "Log format:\ndate,time,protocol,local port,local IP address,remote port,remote IP address\n\n"
	rows := "05/7/6,13:52:1,TCP,80,0.0.0.0,,0.0.0.0\n05/7/6,13:52:1,UDP,53,0.0.0.0,*,*\n"
	for _, text := range []string{rows, head + rows, strings.Replace(head, "remote IP", "remote\nIP", 1) + rows} {
		got := readPorts(t, text)
		if len(got) != 2 || got[0].Kind() != activity.KindListen || got[1].Kind() != activity.KindBind || got[0].PIDKnown {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestReadPortsErrors(t *testing.T) {
	good := "05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>\n"
	long := strings.Repeat("x", 3*maxLine)
	tests := []struct{ in, want string }{
		{"hello\x1b[31m", `line 2: not a line of PR-PORTS: "hello\x1b[31m"`},
		{"05/13/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", `line 2: bad date or time: want year/month/day,hour:minute:second: `},
		{"05/2/30,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", "bad date"},
		{"05/7/6,24:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", "bad date"},
		{"05/7/6,13:52:1,TCP,65536,10.0.0.1,99,10.0.0.2,4,m,<u>", "local: bad port"},
		{"05/7/6,13:52:1,TCP,80,10.0.0.1,-9,10.0.0.2,4,m,<u>", "remote: bad port"},
		{"05/7/6,13:52:1,TCP,80,10.0.0.256,99,10.0.0.2,4,m,<u>", "local: bad IP address"},
		{"05/7/6,13:52:1,SCTP,80,10.0.0.1,99,10.0.0.2,4,m,<u>", "bad protocol"},
		{"05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,x,m,<u>", "bad PID"},
		{"05/7/6,13:52:1,TCP,80,10.0.0.1\n05/7/6,13:52:1,TCP\n", "want ten columns, or seven"},
		{"05/7/6", "bad date"},
		{long, "line is longer than 64 KiB"},
		{"05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2,4,m\n\n", "want ten columns"},
	}
	for _, tt := range tests {
		var errs []string
		good2 := 0
		for _, err := range ReadPorts(strings.NewReader(good+tt.in+"\n"+good), ReadOptions{Location: time.UTC}) {
			var bad *LineError
			switch {
			case err == nil:
				good2++
			case !errors.As(err, &bad) || bad.Line < 2 || bad.Line > 3:
				t.Errorf("%.40q: %v", tt.in, err)
			default:
				errs = append(errs, err.Error())
			}
		}
		if good2 != 2 || len(errs) == 0 || !strings.Contains(errs[0], tt.want) {
			t.Errorf("%.60q: %d good, errors %q, want %q", tt.in, good2, errs, tt.want)
		}
	}
	broken := io.MultiReader(strings.NewReader(good), iotest.ErrReader(errFull))
	var last error
	n := 0
	for _, last = range ReadPorts(broken, ReadOptions{}) {
		n++
	}
	if n != 2 || !errors.Is(last, errFull) {
		t.Errorf("%d yielded, last %v", n, last)
	}
}

// The hour that ends summer time comes twice; a log that goes forward tells
// which one is meant.
func TestReadPortsSummerTime(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := testConfig(t)
	cfg.Location = loc
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	start := time.Date(2026, 10, 24, 23, 30, 7, 0, time.UTC) // 01:30 in summer
	var want, got []string
	for i := range 14 {
		e := opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0)
		e.Time = start.Add(time.Duration(i) * 15 * time.Minute).UnixNano()
		want = append(want, e.When().String())
		must(t, w.Event(e, nil, nil))
	}
	must(t, w.Close())
	text := logText(t, cfg.Dir, LogPorts, suffixes(t, cfg.Dir)[0])
	for r, err := range ReadPorts(strings.NewReader(text), ReadOptions{Location: loc}) {
		must(t, err)
		got = append(got, time.Unix(0, r.Time).UTC().String())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func FuzzReadPorts(f *testing.F) {
	f.Add([]byte(wrapped))
	f.Add([]byte(utf16Text(wrapped, binary.LittleEndian)))
	f.Add([]byte(strings.ReplaceAll(goldenPorts, "\n", "\r\n")))
	f.Add([]byte("05/7/6,13:52:1,TCP,80,10.0.0.1,99,10.0.0.2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		last := 0
		for r, err := range ReadPorts(bytes.NewReader(b), ReadOptions{Location: time.UTC}) {
			var bad *LineError
			switch {
			case errors.As(err, &bad) && bad.Line > last && r == (Record{}):
				last = bad.Line
			case err == nil && r.Line > last && (r.Proto == activity.TCP || r.Proto == activity.UDP):
				last = r.Line
			default:
				t.Fatalf("after line %d: %+v, %v", last, r, err)
			}
		}
	})
}

// FuzzPortsRoundTrip: any name that a process can have comes back as it was.
func FuzzPortsRoundTrip(f *testing.F) {
	for _, s := range []string{"sshd", "a,b", `a"b`, "a\nb", "=cmd()", "%41", "%", "a%", " x ", "<u>", "\x1b[31m", "\xff", "ü", "\u202e", "a\tb", "\r"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, user string) {
		cfg, _ := testConfig(t)
		w := &Writer{cfg: cfg}
		p := &activity.Process{Name: name, User: user, UID: activity.NoID}
		line := w.record(opened(activity.KindListen, tcp(p, 0, "0.0.0.0:22", ""), 0))
		if bytes.Count(line, []byte(",")) != 9 || bytes.IndexByte(line, '\n') != len(line)-1 || bytes.ContainsAny(line, "\r\x1b\"") {
			t.Fatalf("not ten columns: %q", line)
		}
		r := readPorts(t, versionLine+titlePorts+"\n\n"+string(line))
		if len(r) != 1 || r[0].Module != name || r[0].User != user {
			t.Fatalf("%q %q became %+v from %q", name, user, r, line)
		}
	})
}

// portsText is a log of n lines of a busy server.
func portsText(n int) []byte {
	b := []byte("Port Reporter Version 1.01 Log File - Port usage log\n\nLog format:\n" + columnLine + "\n\n")
	for i := range n {
		t := testStart.Add(time.Duration(i) * 20 * time.Millisecond)
		b = fmt.Appendf(appendStamp(b, t), ",TCP,%d,172.16.16.150,%d,10.2.%d.%d,%d,%s,<%s>\n",
			[]int{443, 80, 3389, 445}[i%4], 1024+i%60000, i/250%250, i%250, 1000+i%40*4, []string{"svchost.exe", "nginx", "System"}[i%3],
			[]string{`NT AUTHORITY\SYSTEM`, "www-data"}[i%2])
	}
	return b
}

func BenchmarkReadPorts(b *testing.B) {
	text := portsText(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range ReadPorts(bytes.NewReader(text), ReadOptions{Location: time.UTC}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 100_000 {
			b.Fatal(n)
		}
	}
}

// The same with encoding/csv and strings, as one would write it in an hour.
func BenchmarkReadPortsBaseline(b *testing.B) {
	text := portsText(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if n := len(baseline(b, text)); n != 100_000 {
			b.Fatal(n)
		}
	}
}

func baseline(b *testing.B, text []byte) (all []Record) {
	_, body, _ := bytes.Cut(text, []byte(columnLine+"\n"))
	r := csv.NewReader(bytes.NewReader(body))
	r.LazyQuotes = true
	for {
		f, err := r.Read()
		if err == io.EOF {
			return all
		}
		must(b, err)
		when, err := time.ParseInLocation("06/1/2 15:4:5", f[0]+" "+f[1], time.UTC)
		must(b, err)
		local, err := netip.ParseAddrPort(f[4] + ":" + f[3])
		must(b, err)
		remote, err := netip.ParseAddrPort(f[6] + ":" + f[5])
		must(b, err)
		pid, err := strconv.ParseUint(f[7], 10, 32)
		must(b, err)
		proto, err := activity.ParseProto(strings.ToLower(f[2]))
		must(b, err)
		all = append(all, Record{Time: when.UnixNano(), Proto: proto, Local: local, Remote: remote, PID: uint32(pid), PIDKnown: true,
			Module: f[8], User: strings.Trim(f[9], "<>")})
	}
}

func TestBaselineAgrees(t *testing.T) {
	text := portsText(500)
	var want []Record
	testing.Benchmark(func(b *testing.B) { want = baseline(b, text) })
	got := readPorts(t, string(text))
	for i := range got {
		got[i].Line = 0
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
}
