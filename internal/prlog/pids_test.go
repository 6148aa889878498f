package prlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// A PR-PIDS of the original's layout: two sections, the second one of a process
// that is no service and shows nothing.
const originalPIDs = `Port Reporter Version 1.01 Log File

Process detail log

System Date: Wed Jul 06 13:44:04 2005


Local computer name:

 TEST

Operating System: Windows XP


======================================================

Log number: 1

Log entry below recorded at: 05/7/6,13:52:1

======================================================

Process ID: 1096 (svchost.exe)

User context: NT AUTHORITY\SYSTEM

Service Name: DcomLaunch
Display Name: DCOM Server Process Launcher
Service Type: shares a process with other services

Service Name: ProtectedStorage
Display Name: Protected Storage

PID<T>Port           Local IP        State         Remote IP:Port
1096    TCP 3389   0.0.0.0         LISTENING     0.0.0.0
1096    TCP 3389   192.0.2.150     ESTABLISHED   192.0.2.100:1486
1096<T>TCP 80<T>192.0.2.150<T>TIME WAIT<T>192.0.2.101:3716

Port Statistics

TCP mappings: 3
UDP mappings: 0

TCP ports in a LISTENING state: <T>1 = 33.33%
TCP ports in a ESTABLISHED state: <T>1 = 33.33%
TCP ports in a TIME WAIT state: <T>1 = 33.33%

Loaded modules:
C:\WINDOWS\system32\svchost.exe (0x01000000)

C:\WINDOWS\system32\ntdll.dll (0x7C900000)
C:\Program Files (x86)\A Vendor\Some
   Product\long name.dll (0x5CB70000)

======================================================

Log number: 2

Log entry below recorded at: 05/7/6,13:52:4

======================================================

Process ID: 800

User context: TEST\Administrator

Process doesn't appear to be a service

800UDP 1026 0.0.0.0 :

Could not access module information for this process
`

var originalSections = []*Section{
	{Line: 17, Number: 1, Time: at("2005-07-06 13:52:01"), PID: 1096, PIDKnown: true, Name: "svchost.exe", User: `NT AUTHORITY\SYSTEM`,
		Services: []Service{{"DcomLaunch", "DCOM Server Process Launcher", typeShared}, {"ProtectedStorage", "Protected Storage", ""}},
		Mappings: []Mapping{
			{PID: 1096, Proto: activity.TCP, Local: ap("0.0.0.0:3389"), State: activity.StateListen},
			{PID: 1096, Proto: activity.TCP, Local: ap("192.0.2.150:3389"), Remote: ap("192.0.2.100:1486"), State: activity.StateEstablished},
			{PID: 1096, Proto: activity.TCP, Local: ap("192.0.2.150:80"), Remote: ap("192.0.2.101:3716"), State: activity.StateTimeWait}},
		Modules: []activity.Module{{Path: `C:\WINDOWS\system32\svchost.exe`, Base: 0x1000000}, {Path: `C:\WINDOWS\system32\ntdll.dll`, Base: 0x7c900000},
			{Path: `C:\Program Files (x86)\A Vendor\SomeProduct\long name.dll`, Base: 0x5cb70000}}},
	{Line: 57, Number: 2, Time: at("2005-07-06 13:52:04"), PID: 800, PIDKnown: true, User: `TEST\Administrator`,
		Mappings: []Mapping{{PID: 800, Proto: activity.UDP, Local: ap("0.0.0.0:1026")}}},
}

func tabs(s string) string { return strings.ReplaceAll(s, "<T>", "\t") }

func TestReadPIDsOriginal(t *testing.T) {
	text := tabs(originalPIDs)
	for name, text := range map[string]string{"unix": text, "dos": strings.ReplaceAll(text, "\n", "\r\n"), "utf-16": utf16Text(text, binary.LittleEndian)} {
		var head Header
		var got []*Section
		for s, err := range ReadPIDs(iotest.HalfReader(strings.NewReader(text)), ReadOptions{Location: time.UTC, Header: &head}) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got = append(got, s)
		}
		if d := cmp.Diff(originalSections, got, addrs); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
		want := Header{Log: LogPIDs, Version: "1.01", Date: time.Date(2005, 7, 6, 13, 44, 4, 0, time.UTC), Computer: "TEST", OS: "Windows XP"}
		if d := cmp.Diff(want, head); d != "" {
			t.Errorf("%s: header: -want +got\n%s", name, d)
		}
	}
}

const originalInitial = `Port Reporter Version 1.01 Log File

Service initialization log

System Date: Wed Jul 6 13:44:04 2005


Local computer name:

 TEST

Operating System: Windows XP

TCP/UDP Port to Process Mappings at service start-up

6 mappings found

PID:Process    Port        Local IP        State       Remote IP:Port
0:System Idle  TCP 4442    192.0.2.150     TIME WAIT    192.0.2.136:80
4:System       TCP 139     192.0.2.150     LISTENING    0.0.0.0:24793
4:System       UDP 445     0.0.0.0           *:*
424:winlogon.exeTCP 1200 192.0.2.150 CLOSE WAIT 192.0.2.44:389
800UDP 1027 0.0.0.0 :
1308:My TCP 1 tool.exe   UDP 123    127.0.0.1      *:*

======================================================
Process ID: 4 (System Process)

4TCP 139 192.0.2.150 LISTENING 0.0.0.0:24793
4UDP 445 0.0.0.0 :

Port Statistics

TCP mappings: 1
UDP mappings: 1

Could not access module information for this process

======================================================

Process ID: 424 (winlogon.exe)

User context: NT AUTHORITY\SYSTEM
`

func TestReadInitialOriginal(t *testing.T) {
	got, err := ReadInitial(strings.NewReader(originalInitial), ReadOptions{Location: time.UTC})
	must(t, err)
	want := &Initial{
		Header: Header{Log: LogInitial, Version: "1.01", Date: time.Date(2005, 7, 6, 13, 44, 4, 0, time.UTC), Computer: "TEST", OS: "Windows XP"},
		Found:  6,
		Mappings: []Mapping{
			{PID: 0, Name: "System Idle", Proto: activity.TCP, Local: ap("192.0.2.150:4442"), Remote: ap("192.0.2.136:80"), State: activity.StateTimeWait},
			{PID: 4, Name: "System", Proto: activity.TCP, Local: ap("192.0.2.150:139"), State: activity.StateListen},
			{PID: 4, Name: "System", Proto: activity.UDP, Local: ap("0.0.0.0:445")},
			{PID: 424, Name: "winlogon.exe", Proto: activity.TCP, Local: ap("192.0.2.150:1200"), Remote: ap("192.0.2.44:389"), State: activity.StateCloseWait},
			{PID: 800, Proto: activity.UDP, Local: ap("0.0.0.0:1027")},
			{PID: 1308, Name: "My TCP 1 tool.exe", Proto: activity.UDP, Local: ap("127.0.0.1:123")},
		},
		Processes: []Section{
			{Line: 27, PID: 4, PIDKnown: true, Name: "System Process", Mappings: []Mapping{
				{PID: 4, Proto: activity.TCP, Local: ap("192.0.2.150:139"), State: activity.StateListen},
				{PID: 4, Proto: activity.UDP, Local: ap("0.0.0.0:445")}}},
			{Line: 41, PID: 424, PIDKnown: true, Name: "winlogon.exe", User: `NT AUTHORITY\SYSTEM`},
		},
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What the writer writes, the reader reads.
func TestRoundTrip(t *testing.T) {
	cfg, _ := testConfig(t)
	writeGolden(t, cfg)
	const suffix = "26-07-6-13-4-5"
	initial, err := ReadInitial(strings.NewReader(logText(t, cfg.Dir, LogInitial, suffix)), ReadOptions{Location: time.UTC})
	must(t, err)
	head := Header{Log: LogInitial, Version: "3.0", Date: testStart.Truncate(time.Second), Computer: "web1", OS: "Debian 12, Linux 6.1", Zone: "UTC (UTC+00:00)"}
	if d := cmp.Diff(head, initial.Header); d != "" {
		t.Errorf("header: -want +got\n%s", d)
	}
	if initial.Found != 4 || len(initial.Mappings) != 4 || len(initial.Processes) != 2 {
		t.Errorf("initial: %+v", initial)
	}
	sshdModules := []activity.Module{{Path: "/usr/sbin/sshd", Base: 0x1000000}, {Path: "/usr/lib/libc.so.6", Base: 0x7f0000401000},
		{Path: "/usr/lib/libz.so.1", Base: 0x7f0000601000, Deleted: true}}
	if d := cmp.Diff(sshdModules, initial.Processes[1].Modules); d != "" {
		t.Errorf("modules: -want +got\n%s", d)
	}
	pids := readPIDs(t, logText(t, cfg.Dir, LogPIDs, suffix))
	records := readPorts(t, logText(t, cfg.Dir, LogPorts, suffix))
	if len(pids) != 4 || len(records) != 4 {
		t.Fatalf("%d sections, %d records", len(pids), len(records))
	}
	for i, r := range records {
		s := pids[i]
		if s.Number != uint64(i+1) || s.Time != r.Time || s.PID != r.PID || s.PIDKnown != r.PIDKnown || s.Name != r.Module || s.User != r.User {
			t.Errorf("record %+v and section %+v differ", r, s)
		}
		own := s.Mappings[len(s.Mappings)-1]
		if own.Proto != r.Proto || own.Local != r.Local || own.Remote != r.Remote {
			t.Errorf("record %+v is not in %+v", r, s.Mappings)
		}
	}
	if d := cmp.Diff(sshdModules, pids[0].Modules); d != "" || pids[1].ModulesAt != 1 {
		t.Errorf("modules: %+v\n%s", pids[1], d)
	}
}

func TestReadPIDsErrors(t *testing.T) {
	head := rule + "\n\nLog number: 1\n\nProcess ID: 5 (x)\n"
	tests := []struct{ in, want string }{
		{"what is this", `line 6: not a row of a port table: "what is this"`},
		{"5\tTCP 99999\t0.0.0.0", "bad port"},
		{"5\tTCP 99\t0.0.0", "bad IP address"},
		{"5\tTCP 9\t0.0.0.0\tSLEEPING\t0.0.0.0", "unknown TCP state"},
		{"Display Name: x", "no service name before"},
		{"Process ID: x\nLog number: 3", "bad process id"}, // two more sections
		{"Log entry below recorded at: yesterday", "bad date"},
		{"Loaded modules:\n/bin/x (0xZZ)", "bad module address"},
		{"Loaded modules:\n/bin/x\n\n", "module without an address"},
		{"Loaded modules: same as log number x", "bad number"},
		{"x more mappings", "bad number"},
		{strings.Repeat("x", 2*maxLine), "longer than 64 KiB"},
	}
	for _, tt := range tests {
		var errs []string
		var sections []*Section
		text := head + tt.in + "\n" + rule + "\n\nLog number: 2\n"
		for s, err := range ReadPIDs(strings.NewReader(text), ReadOptions{Location: time.UTC}) {
			if err != nil {
				errs = append(errs, err.Error())
				continue
			}
			sections = append(sections, s)
		}
		if len(errs) != 1 || !strings.Contains(errs[0], tt.want) {
			t.Errorf("%.40q: errors %q, want %q", tt.in, errs, tt.want)
		}
		if n := len(sections); n < 2 || n != 2+2*strings.Count(tt.in, lineNumber) || sections[0].PID != 5 || sections[n-1].Number != 2 {
			t.Errorf("%.40q: sections %+v", tt.in, sections)
		}
	}
}

func TestReadInitialErrors(t *testing.T) {
	text := originalInitial + strings.Repeat("rubbish\n", 500)
	got, err := ReadInitial(strings.NewReader(text), ReadOptions{Location: time.UTC})
	var bad *LineError
	if !errors.As(err, &bad) || bad.Line != 44 || strings.Count(err.Error(), "\n") != 99 {
		t.Errorf("error: %v", err)
	}
	if len(got.Mappings) != 6 || len(got.Processes) != 2 {
		t.Errorf("initial: %+v", got)
	}
	got, err = ReadInitial(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(originalInitial))), ReadOptions{})
	if !errors.Is(err, iotest.ErrTimeout) || got == nil {
		t.Errorf("broken reader: %v, %v", got, err)
	}
}

// Every prefix of a log is read without a wrong section before the cut.
func TestReadPIDsTruncated(t *testing.T) {
	text := tabs(originalPIDs)
	for i := range text {
		var got []*Section
		for s, err := range ReadPIDs(strings.NewReader(text[:i]), ReadOptions{Location: time.UTC}) {
			if err == nil {
				got = append(got, s)
			}
		}
		if len(got) == 2 {
			if d := cmp.Diff(originalSections[0], got[0], addrs); d != "" {
				t.Fatalf("cut at %d: %s", i, d)
			}
		}
	}
}

func FuzzReadPIDs(f *testing.F) {
	f.Add([]byte(tabs(originalPIDs)))
	f.Add([]byte(originalInitial))
	f.Add([]byte(tabs(fmt.Sprintf(goldenHead, titlePIDs) + goldenPIDs)))
	f.Add([]byte(utf16Text(originalInitial, binary.BigEndian)))
	f.Fuzz(func(t *testing.T, b []byte) {
		last := 0
		for s, err := range ReadPIDs(bytes.NewReader(b), ReadOptions{Location: time.UTC}) {
			if (s == nil) == (err == nil) {
				t.Fatalf("yielded %v, %v", s, err)
			}
			if s != nil && s.Line <= last {
				t.Fatalf("section of line %d after %d", s.Line, last)
			}
			if s != nil {
				last = s.Line
			}
		}
		if got, _ := ReadInitial(bytes.NewReader(b), ReadOptions{Location: time.UTC}); got == nil {
			t.Fatal("nothing")
		}
	})
}

// FuzzPIDsRoundTrip: names, services and paths come back as they were.
func FuzzPIDsRoundTrip(f *testing.F) {
	f.Add("sshd", "root", "ssh.service", "OpenSSH", "/usr/sbin/sshd")
	f.Add("a (b)", "Log number: 3", "x", "======", "/tmp/a (0x1)")
	f.Add("\n", "\r\n", "\x1b[0m", "%0A", " ")
	f.Fuzz(func(t *testing.T, name, user, unit, display, path string) {
		cfg, _ := testConfig(t)
		w := newWriter(t, cfg)
		must(t, w.Start(nil))
		p := &activity.Process{Key: activity.ProcessKey{PID: 5, Start: 1}, Name: name, User: user, UID: activity.NoID,
			Unit: activity.Unit{Name: strings.ReplaceAll(unit, ",", ""), Description: display}, Modules: 1}
		set := func(activity.ModuleSetID) *activity.ModuleSet {
			return &activity.ModuleSet{ID: 1, Modules: []activity.Module{{Path: "/" + path, Base: 1 << 40}, {Path: "/lib", Base: 9}}}
		}
		must(t, w.Event(opened(activity.KindListen, tcp(p, 0, "0.0.0.0:22", ""), 0), nil, set))
		must(t, w.Close())
		got := readPIDs(t, logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-5"))
		if len(got) != 1 || got[0].Name != name || got[0].User != user {
			t.Fatalf("%q %q became %+v", name, user, got)
		}
		if want := []activity.Module{{Path: strings.TrimSuffix("/"+path, deletedMark), Base: 1 << 40, Deleted: strings.HasSuffix("/"+path, deletedMark)}, {Path: "/lib", Base: 9}}; !cmp.Equal(want, got[0].Modules) {
			t.Fatalf("modules %q became %+v", path, got[0].Modules)
		}
		for _, s := range got[0].Services {
			if s.Name != strings.TrimSpace(p.Unit.Name) || s.Display != strings.TrimSpace(display) {
				t.Fatalf("service %q %q became %+v", unit, display, s)
			}
		}
	})
}

// The steady state: processes that the set knows, each event a connection.
func BenchmarkWriterEvent(b *testing.B) {
	cfg, _ := testConfig(b)
	cfg.create = (&fullDisk{room: 1 << 62, create: true}).open
	w := newWriter(b, cfg)
	must(b, w.Start(nil))
	conn := tcp(sshd, activity.StateEstablished, "10.0.0.1:22", "10.0.0.2:50122")
	var socks []activity.Socket
	for i := range 100 {
		socks = append(socks, tcp(sshd, activity.StateEstablished, "10.0.0.1:22", fmt.Sprintf("10.0.0.3:%d", 1000+i)))
	}
	table := func(uint32) []activity.Socket { return socks }
	e := opened(activity.KindAccept, conn, 0)
	b.ReportAllocs()
	for b.Loop() {
		must(b, w.Event(e, table, moduleSet))
	}
	must(b, w.Close())
}

func BenchmarkReadPIDs(b *testing.B) {
	text := []byte(strings.Repeat(tabs(originalPIDs), 1000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range ReadPIDs(bytes.NewReader(text), ReadOptions{Location: time.UTC}) {
			if err != nil && !concernsLine(err) {
				b.Fatal(err)
			}
		}
	}
}

// A PR-INITIAL without end is held up to a bound, and the rest told.
func TestReadInitialBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("Port Reporter Version 1.01 Log File\n\nService initialization log\n\n")
	const processes, each = 30, 40000
	for i := range processes {
		fmt.Fprintf(&b, "Process ID: %d (a.exe)\n\nLoaded modules:\n", i+1)
		b.WriteString(strings.Repeat("a.dll (0x1000)\n", each))
	}
	log, err := ReadInitial(strings.NewReader(b.String()), ReadOptions{})
	var line *LineError
	if !errors.As(err, &line) || !strings.Contains(err.Error(), "too many processes and modules") {
		t.Errorf("error %v", err)
	}
	if n := len(log.Processes); n == 0 || n > maxRead/each {
		t.Errorf("%d processes are held", n)
	}
}
