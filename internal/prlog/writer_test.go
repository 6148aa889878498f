package prlog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

const goldenHead = `Port Reporter Version 3.0 Log File

%s

System Date: Mon Jul 06 13:04:05 2026


Local computer name:

 web1

Operating System: Debian 12, Linux 6.1
Time zone: UTC (UTC+00:00)

`

const goldenInitial = `TCP/UDP Port to Process Mappings at service start-up

4 mappings found

PID:Process<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
0<T>TCP 52210<T>10.0.0.1       <T>TIME WAIT   <T>10.9.8.7:443
77<T>UDP 68   <T>0.0.0.0        <T>            <T>*:*
811:sshd<T>TCP 22   <T>0.0.0.0        <T>LISTENING   <T>0.0.0.0
811:sshd<T>TCP 22   <T>::             <T>LISTENING   <T>::

Port Statistics

TCP mappings: 3
UDP mappings: 1

TCP ports in a LISTENING state: <T>2 = 66.67%
TCP ports in a TIME WAIT state: <T>1 = 33.33%

======================================================

Process ID: 77

User context: 

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
77<T>UDP 68   <T>0.0.0.0        <T>            <T>*:*

Port Statistics

TCP mappings: 0
UDP mappings: 1

Could not access module information for this process

======================================================

Process ID: 811 (sshd)

User context: root

Service Name: ssh.service
Display Name: OpenBSD Secure Shell server
Service Type: runs in its own process

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
811<T>TCP 22   <T>0.0.0.0        <T>LISTENING   <T>0.0.0.0
811<T>TCP 22   <T>::             <T>LISTENING   <T>::

Port Statistics

TCP mappings: 2
UDP mappings: 0

TCP ports in a LISTENING state: <T>2 = 100.00%

Loaded modules:
/usr/sbin/sshd (0x01000000)

/usr/lib/libc.so.6 (0x7F0000401000)
/usr/lib/libz.so.1 (deleted) (0x7F0000601000)

`

const goldenPorts = `Port Reporter Version 3.0 Log File - Port usage log

Check PR-PIDS-26-07-6-13-4-5.log for corresponding process data

Log format:
date,time,protocol,local port,local IP address,remote port,remote IP address,PID,module,user context

26/7/6,13:4:5,TCP,22,0.0.0.0,,0.0.0.0,811,sshd,<root>
26/7/6,13:4:6,TCP,22,10.0.0.1,50122,10.0.0.2,811,sshd,<root>
26/7/6,13:5:5,UDP,5353,::,*,*,2301,curl,<1000>
26/7/6,13:5:5,TCP,40000,10.0.0.1,443,2001:db8::1,,,<>
`

const goldenPIDs = `
======================================================

Log number: 1

Log entry below recorded at: 26/7/6,13:4:5

======================================================

Process ID: 811 (sshd)

User context: root

Service Name: ssh.service
Display Name: OpenBSD Secure Shell server
Service Type: runs in its own process

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
811<T>TCP 22   <T>0.0.0.0        <T>LISTENING   <T>0.0.0.0

Port Statistics

TCP mappings: 1
UDP mappings: 0

TCP ports in a LISTENING state: <T>1 = 100.00%

Loaded modules:
/usr/sbin/sshd (0x01000000)

/usr/lib/libc.so.6 (0x7F0000401000)
/usr/lib/libz.so.1 (deleted) (0x7F0000601000)

======================================================

Log number: 2

Log entry below recorded at: 26/7/6,13:4:6

======================================================

Process ID: 811 (sshd)

User context: root

Service Name: ssh.service
Display Name: OpenBSD Secure Shell server
Service Type: runs in its own process

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
811<T>TCP 22   <T>0.0.0.0        <T>LISTENING   <T>0.0.0.0
811<T>TCP 22   <T>10.0.0.1       <T>ESTABLISHED <T>10.0.0.2:50122

Port Statistics

TCP mappings: 2
UDP mappings: 0

TCP ports in a LISTENING state: <T>1 = 50.00%
TCP ports in a ESTABLISHED state: <T>1 = 50.00%

Loaded modules: unchanged since log number 1

======================================================

Log number: 3

Log entry below recorded at: 26/7/6,13:5:5

======================================================

Process ID: 2301 (curl)

User context: 1000

Process doesn't appear to be a service

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
2301<T>UDP 5353 <T>::             <T>            <T>*:*

Port Statistics

TCP mappings: 0
UDP mappings: 1

Loaded modules:
/usr/bin/curl (0x55AA00000000)

======================================================

Log number: 4

Log entry below recorded at: 26/7/6,13:5:5

======================================================

Process ID: 

User context: 

PID<T>Port     <T>Local IP       <T>State       <T>Remote IP:Port
0<T>TCP 40000<T>10.0.0.1       <T>ESTABLISHED <T>[2001:db8::1]:443

Port Statistics

TCP mappings: 1
UDP mappings: 0

TCP ports in a ESTABLISHED state: <T>1 = 100.00%

Could not access module information for this process
`

// writeGolden writes one small set.
func writeGolden(t testing.TB, cfg Config) {
	t.Helper()
	listener := tcp(sshd, activity.StateListen, "0.0.0.0:22", "")
	conn := tcp(sshd, activity.StateEstablished, "10.0.0.1:22", "10.0.0.2:50122")
	nameless := udp(nil, "0.0.0.0:68")
	nameless.Owner.PID = 77
	cfg.ModuleSet = moduleSet
	w := newWriter(t, cfg)
	must(t, w.Start([]activity.Socket{listener, tcp(sshd, activity.StateListen, "[::]:22", ""), nameless,
		tcp(nil, activity.StateTimeWait, "10.0.0.1:52210", "10.9.8.7:443")}))
	table := tableOf(listener)
	must(t, w.Event(opened(activity.KindListen, listener, 0), table, moduleSet))
	must(t, w.Event(opened(activity.KindAccept, conn, time.Second), tableOf(listener, conn), moduleSet))
	must(t, w.Event(opened(activity.KindClose, conn, 2*time.Second), table, moduleSet))
	must(t, w.Event(opened(activity.KindBind, udp(curl, "[::]:5353"), time.Minute), table, moduleSet))
	must(t, w.Event(opened(activity.KindFlow, udp(curl, "[::]:5353"), time.Minute), table, moduleSet))
	must(t, w.Event(opened(activity.KindConnect, tcp(nil, 0, "10.0.0.1:40000", "[2001:db8::1]:443"), time.Minute), table, moduleSet))
	must(t, w.Close())
}

func TestGolden(t *testing.T) {
	cfg, _ := testConfig(t)
	writeGolden(t, cfg)
	const suffix = "26-07-6-13-4-5"
	if d := cmp.Diff([]string{suffix}, suffixes(t, cfg.Dir)); d != "" {
		t.Fatal(d)
	}
	for l, want := range map[Log]string{
		LogInitial: fmt.Sprintf(goldenHead, titleInitial) + goldenInitial,
		LogPorts:   goldenPorts,
		LogPIDs:    fmt.Sprintf(goldenHead, titlePIDs) + goldenPIDs,
	} {
		if d := cmp.Diff(strings.ReplaceAll(want, "<T>", "\t"), logText(t, cfg.Dir, l, suffix)); d != "" {
			t.Errorf("%v: -want +got\n%s", l, d)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no directory"},
		{Config{Dir: "x", Modules: "some"}, `modules "some": want changed or every`},
		{Config{Dir: "x", Ports: "none"}, `ports "none": want all or listeners`},
		{Config{Dir: "x", MaxBytes: -1}, "negative"},
		{Config{Dir: file}, file},
	}
	for _, tt := range tests {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.cfg, err)
		}
	}
}

func TestPortsListeners(t *testing.T) {
	cfg, _ := testConfig(t)
	cfg.Ports = "listeners"
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	conn := tcp(sshd, activity.StateEstablished, "10.0.0.1:22", "10.0.0.2:50122")
	for _, kind := range []activity.Kind{activity.KindAccept, activity.KindConnect} {
		e := opened(kind, conn, 0)
		if w.Wants(e) {
			t.Errorf("%v is wanted", kind)
		}
		must(t, w.Event(e, nil, nil))
	}
	auto := opened(activity.KindBind, udp(sshd, "0.0.0.0:40053"), 0)
	auto.Flags |= activity.FlagAutoBind
	if w.Wants(auto) {
		t.Error("a port that the kernel chose is wanted")
	}
	must(t, w.Event(auto, nil, nil))
	must(t, w.Event(opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0), nil, nil))
	must(t, w.Event(opened(activity.KindBind, udp(sshd, "0.0.0.0:53"), 0), nil, nil))
	must(t, w.Close())
	var kinds []activity.Kind
	for _, r := range readPorts(t, logText(t, cfg.Dir, LogPorts, "26-07-6-13-4-5")) {
		kinds = append(kinds, r.Kind())
	}
	if d := cmp.Diff([]activity.Kind{activity.KindListen, activity.KindBind}, kinds); d != "" {
		t.Error(d)
	}
}

// With modules "every" each section is as long as the original's.
func TestModulesEvery(t *testing.T) {
	for _, mode := range []string{"every", "changed"} {
		cfg, _ := testConfig(t)
		cfg.Modules = mode
		w := newWriter(t, cfg)
		must(t, w.Start(nil))
		for range 2 {
			must(t, w.Event(opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0), nil, moduleSet))
		}
		fork := *sshd // another process with the same modules
		fork.ID, fork.Key.PID = 3, 812
		must(t, w.Event(opened(activity.KindListen, tcp(&fork, 0, "0.0.0.0:23", ""), 0), nil, moduleSet))
		must(t, w.Close())
		text := logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-5")
		want := map[string]int{"every": 3, "changed": 1}[mode]
		if n := strings.Count(text, "/usr/sbin/sshd (0x01000000)"); n != want {
			t.Errorf("%s: %d module lists, want %d", mode, n, want)
		}
		if mode == "changed" && (!strings.Contains(text, "Loaded modules: unchanged since log number 1\n") || !strings.Contains(text, "Loaded modules: same as log number 1\n")) {
			t.Errorf("%s: %s", mode, text)
		}
	}
}

// A process with many ports does not have them all written again for each new
// one, or a busy server's log would grow with the square of its connections.
func TestLargeTable(t *testing.T) {
	cfg, _ := testConfig(t)
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	var socks []activity.Socket
	asked := 0
	table := func(uint32) []activity.Socket { asked++; return socks }
	for i := range 3000 {
		socks = append(socks, tcp(sshd, activity.StateEstablished, "10.0.0.1:22", fmt.Sprintf("10.0.1.2:%d", 1000+i)))
		must(t, w.Event(opened(activity.KindAccept, socks[i], time.Duration(i)*time.Second), table, moduleSet))
	}
	must(t, w.Close())
	if asked > 30 {
		t.Errorf("the table was asked for %d times", asked)
	}
	sections := readPIDs(t, logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-5"))
	if len(sections) != 3000 {
		t.Fatalf("%d sections", len(sections))
	}
	rows := 0
	for i, s := range sections {
		rows += len(s.Mappings) + s.More
		own := func(m Mapping) bool { return m.Remote.Port() == uint16(1000+i) }
		if len(s.Mappings) < maxRows && !slices.ContainsFunc(s.Mappings, own) {
			t.Fatalf("section %d does not show its own port: %+v", i+1, s)
		}
		if s.TableAt != 0 && len(sections[s.TableAt-1].Mappings) < manyRows {
			t.Fatalf("section %d refers to %d, which has no table", i+1, s.TableAt)
		}
	}
	if rows > 4*3000 {
		t.Errorf("%d rows in all", rows)
	}
}

// A busy process has its table written once a second, however small it is: the
// recorder has other things to do than to answer for it.
func TestTableOnceASecond(t *testing.T) {
	cfg, _ := testConfig(t)
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	asked := 0
	table := func(uint32) []activity.Socket { asked++; return nil }
	for i := range 40 {
		conn := tcp(sshd, activity.StateEstablished, "10.0.0.1:22", fmt.Sprintf("10.0.1.2:%d", 1000+i))
		must(t, w.Event(opened(activity.KindAccept, conn, time.Duration(i)*100*time.Millisecond), table, moduleSet))
	}
	must(t, w.Close())
	if asked != 5 { // from 13:4:5.6 to 13:4:9.5
		t.Errorf("the table was asked for %d times", asked)
	}
	for i, s := range readPIDs(t, logText(t, cfg.Dir, LogPIDs, "26-07-6-13-4-5")) {
		if len(s.Mappings) != 1 || s.Mappings[0].Remote.Port() != uint16(1000+i) {
			t.Errorf("section %d: %+v", i+1, s)
		}
	}
}

func TestRotation(t *testing.T) {
	cfg, clock := testConfig(t)
	cfg.MaxBytes = 4000
	snapshots := 0
	cfg.Snapshot = func() []activity.Socket {
		snapshots++
		return []activity.Socket{tcp(sshd, activity.StateListen, "0.0.0.0:22", "")}
	}
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	event := func() {
		must(t, w.Event(opened(activity.KindListen, tcp(sshd, 0, "0.0.0.0:22", ""), 0), nil, moduleSet))
	}
	for range 9 { // about 600 bytes each, all in one second
		event()
	}
	want := []string{"26-07-6-13-4-5", "26-07-6-13-4-5-2"}
	if d := cmp.Diff(want, suffixes(t, cfg.Dir)); d != "" {
		t.Errorf("by size: -want +got\n%s", d)
	}
	clock.t = time.Date(2026, 7, 6, 23, 59, 59, 0, time.UTC)
	must(t, w.Flush())
	clock.t = time.Date(2026, 7, 7, 0, 0, 0, 0, time.UTC)
	must(t, w.Flush())
	clock.t = testStart // a step back begins nothing
	must(t, w.Flush())
	want = append(want, "26-07-7-0-0-0")
	if d := cmp.Diff(want, suffixes(t, cfg.Dir)); d != "" {
		t.Errorf("by day: -want +got\n%s", d)
	}
	if snapshots != 1 {
		t.Errorf("%d snapshots: a set that follows at once needs none", snapshots)
	}
	event()
	must(t, w.Close())
	total := 0
	for _, s := range want {
		sections := readPIDs(t, logText(t, cfg.Dir, LogPIDs, s))
		if n := len(readPorts(t, logText(t, cfg.Dir, LogPorts, s))); n != len(sections) {
			t.Errorf("%s: %d records, %d sections", s, n, len(sections))
		}
		total += len(sections)
		if sections[0].Number != 1 || len(sections[0].Modules) != 3 {
			t.Errorf("%s does not stand alone: %+v", s, sections[0])
		}
	}
	if total != 10 {
		t.Errorf("%d entries", total)
	}
	text := logText(t, cfg.Dir, LogInitial, want[1])
	if !strings.Contains(text, "Mappings continue those of PR-INITIAL-26-07-6-13-4-5.log\n") {
		t.Errorf("second PR-INITIAL: %s", text)
	}
	if text := logText(t, cfg.Dir, LogInitial, want[2]); !strings.Contains(text, "1 mappings found") {
		t.Errorf("third PR-INITIAL: %s", text)
	}
}

func TestFilesArePrivate(t *testing.T) {
	cfg, _ := testConfig(t)
	writeGolden(t, cfg)
	entries, err := os.ReadDir(cfg.Dir)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if mode := info.Mode().Perm(); mode&0o027 != 0 && filepath.Separator == '/' {
			t.Errorf("%s has mode %v", e.Name(), mode)
		}
	}
}

func TestRetention(t *testing.T) {
	cfg, clock := testConfig(t)
	must(t, os.MkdirAll(cfg.Dir, 0o750))
	age := func(suffix, version string, days int) {
		for l := LogInitial; l <= LogPIDs; l++ {
			name := filepath.Join(cfg.Dir, l.String()+"-"+suffix+".log")
			must(t, os.WriteFile(name, []byte(versionPrefix+version+versionSuffix+"\n"+strings.Repeat("x", 300)), 0o640))
			when := testStart.AddDate(0, 0, -days)
			must(t, os.Chtimes(name, when, when))
		}
	}
	age("26-07-1-0-0-0", "3.0", 5)
	age("26-07-3-0-0-0", "3.0", 3)
	age("26-07-4-0-0-0", "3.0", 2)
	age("05-07-6-13-44-4", "1.01", 7000) // the original's, put here to be read
	cfg.MaxAge = 4 * 24 * time.Hour
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	must(t, w.Close())
	want := []string{"05-07-6-13-44-4", "26-07-3-0-0-0", "26-07-4-0-0-0", "26-07-6-13-4-5"}
	if d := cmp.Diff(want, suffixes(t, cfg.Dir)); d != "" {
		t.Errorf("by age: -want +got\n%s", d)
	}
	cfg.MaxAge, cfg.MaxTotal = 0, 3500
	clock.t = testStart.Add(time.Second)
	w = newWriter(t, cfg)
	must(t, w.Start(nil))
	must(t, w.Close())
	want = []string{"05-07-6-13-44-4", "26-07-4-0-0-0", "26-07-6-13-4-5", "26-07-6-13-4-6"}
	if d := cmp.Diff(want, suffixes(t, cfg.Dir)); d != "" {
		t.Errorf("by size: -want +got\n%s", d)
	}
}
