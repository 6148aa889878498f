package prlog

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
)

// A PR-INITIAL of the original's layout, with the details of one process.
const setInitial = `Port Reporter Version 1.01 Log File

Service initialization log

System Date: Wed Jul 06 13:44:04 2005


Local computer name:

 TEST

Operating System: Windows XP

TCP/UDP Port to Process Mappings at service start-up

4 mappings found

PID:Process<T>Port<T>Local IP<T>State<T>Remote IP:Port
4:System<T>TCP 445<T>0.0.0.0<T>LISTENING<T>0.0.0.0
4:System<T>UDP 137<T>192.0.2.150<T><T>*:*
1096:svchost.exe<T>TCP 3389<T>0.0.0.0<T>LISTENING<T>0.0.0.0
0:System Idle Process<T>TCP 1025<T>192.0.2.150<T>TIME WAIT<T>192.0.2.9:80

======================================================

Process ID: 1096 (svchost.exe)

User context: NT AUTHORITY\SYSTEM

Service Name: TermService
Display Name: Terminal Services
Service Type: shares a process with other services

Loaded modules:
C:\WINDOWS\system32\svchost.exe (0x01000000)

C:\WINDOWS\system32\ntdll.dll (0x7C900000)
`

// story is an event as far as a log of connections can tell it.
type story struct {
	When, Kind, Local, Remote, Name, Exe, User, Unit string
	PID                                              uint32
	Modules                                          int
}

type told struct {
	events []story
	errs   []string
	raw    []activity.Event
}

func tell(t *testing.T, s Set) (out told) {
	t.Helper()
	sets := map[activity.ModuleSetID]*activity.ModuleSet{}
	opt := SetOptions{Location: time.UTC, Origin: "test", Modules: func(m *activity.ModuleSet) { sets[m.ID] = m }}
	for e, err := range s.Events(opt) {
		if err != nil {
			out.errs = append(out.errs, err.Error())
			continue
		}
		out.raw = append(out.raw, *e)
		v := story{When: e.When().Format(time.TimeOnly), Kind: e.Kind.String(), Local: e.Local.String(), PID: e.Owner.PID}
		if e.Remote.IsValid() {
			v.Remote = e.Remote.String()
		}
		if p := e.Process; p != nil {
			v.Name, v.Exe, v.User, v.Unit = p.Name, p.Exe, p.User, p.Unit.Name
			if p.Modules != 0 {
				v.Modules = len(sets[p.Modules].Modules)
			}
		}
		if e.Tier != activity.TierImport {
			t.Errorf("%v has tier %s", v, e.Tier)
		}
		if (e.Process == nil) != (e.Unknown&activity.FactOwner != 0) {
			t.Errorf("%v: owner unknown: %v", v, e.Unknown)
		}
		out.events = append(out.events, v)
	}
	return out
}

const svchostExe = `C:\WINDOWS\system32\svchost.exe`

// The three logs of a set, joined.
func TestSet(t *testing.T) {
	got := tell(t, Set{Initial: strings.NewReader(tabs(setInitial)), Ports: strings.NewReader(wrapped), PIDs: strings.NewReader(tabs(originalPIDs))})
	want := []story{
		{When: "13:44:04", Kind: "snapshot", Local: "0.0.0.0:445", PID: 4, Name: "System"},
		{When: "13:44:04", Kind: "snapshot", Local: "192.0.2.150:137", PID: 4, Name: "System"},
		{When: "13:44:04", Kind: "snapshot", Local: "0.0.0.0:3389", PID: 1096, Name: "svchost.exe", Exe: svchostExe, User: `NT AUTHORITY\SYSTEM`, Unit: "TermService", Modules: 2},
		{When: "13:52:01", Kind: "listen", Local: "0.0.0.0:3389", PID: 1096, Name: "svchost.exe", Exe: svchostExe, User: `NT AUTHORITY\SYSTEM`, Unit: "DcomLaunch, ProtectedStorage", Modules: 3},
		{When: "13:52:02", Kind: "accept", Local: "192.0.2.150:3389", Remote: "192.0.2.100:1486", PID: 1096, Name: "svchost.exe", Exe: svchostExe, User: `NT AUTHORITY\SYSTEM`,
			Unit: "DcomLaunch, ProtectedStorage", Modules: 3},
		{When: "13:52:04", Kind: "bind", Local: "0.0.0.0:1088", PID: 1540, Name: "rdpclip.exe", User: `TEST\Administrator`},
	}
	if d := cmp.Diff(want, got.events); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	// The fixtures' second section is another process's than the second line.
	wantErrs := []string{
		`line 57: the section is of another process than the line of PR-PORTS with its number: "Log number: 2"`,
	}
	if d := cmp.Diff(wantErrs, got.errs); d != "" {
		t.Errorf("errors: -want +got\n%s", d)
	}
	if f := got.raw[4].Flags; f != activity.FlagInbound|activity.FlagConcluded {
		t.Errorf("the accept's flags are %b", f)
	}
	if a, b := got.raw[3].Process, got.raw[4].Process; a != b {
		t.Errorf("one process became two: %+v and %+v", a, b)
	}
	if a, b := got.raw[2].Process, got.raw[3].Process; a.ID != b.ID || a.Rev >= b.Rev {
		t.Errorf("what the section adds is no revision: %+v and %+v", a, b)
	}
}

func portsLog(lines ...string) io.Reader {
	return strings.NewReader("Port Reporter Version 1.01 Log File - Port usage log\n\n" + strings.Join(lines, "\n") + "\n")
}

func section(n int, at string, pid int, name, rest string) string {
	return fmt.Sprintf("%s\n\nLog number: %d\n\nLog entry below recorded at: %s\n\n%s\n\nProcess ID: %d (%s)\n\nUser context: A\\b\n\n%s\n", rule, n, at, rule, pid, name, rest)
}

func TestSetJoin(t *testing.T) {
	const head = "Port Reporter Version 1.01 Log File\n\nProcess detail log\n"
	mods := "Loaded modules:\nC:\\a.exe (0x01000000)\n\nC:\\b.dll (0x02000000)\n"
	tests := []struct {
		name   string
		ports  io.Reader
		pids   string
		want   []string // name, exe and number of modules
		errors []string
	}{
		{"a line that is broken has its number all the same",
			portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<A\\b>", "05/7/6,1:2:3,XYZ,80,0.0.0.0,,0.0.0.0,8,b.exe,<A\\b>", "05/7/6,1:2:4,TCP,81,0.0.0.0,,0.0.0.0,9,a.exe,<A\\b>"),
			section(1, "05/7/6,1:2:3", 7, "a.exe", "") + section(2, "05/7/6,1:2:3", 8, "b.exe", "") + section(3, "05/7/6,1:2:4", 9, "a.exe", mods),
			[]string{"a.exe  0", `a.exe C:\a.exe 2`}, []string{`line 4: bad protocol: "05/7/6,1:2:3,XYZ,80,0.0.0.0,,0.0.0.0,8,b.exe,<A\\b>"`}},
		{"PR-PIDS was cut short", portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<>", "05/7/6,1:2:4,TCP,81,0.0.0.0,,0.0.0.0,7,a.exe,<>"),
			section(1, "05/7/6,1:2:3", 7, "a.exe", mods), []string{`a.exe C:\a.exe 2`, `a.exe C:\a.exe 2`}, nil},
		{"PR-PORTS was cut short", portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<>"),
			section(1, "05/7/6,1:2:3", 7, "a.exe", mods) + section(2, "05/7/6,1:2:3", 7, "a.exe", mods), []string{`a.exe C:\a.exe 2`},
			[]string{"1 sections at the end have no line in PR-PORTS"}},
		{"a section is missing", portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<>", "05/7/6,1:2:4,TCP,81,0.0.0.0,,0.0.0.0,8,a.exe,<>"),
			section(2, "05/7/6,1:2:4", 8, "a.exe", mods), []string{`a.exe  0`, `a.exe C:\a.exe 2`}, nil},
		{"modules of a section before", portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<>", "05/7/6,1:2:4,TCP,81,0.0.0.0,,0.0.0.0,8,c.exe,<>"),
			section(1, "05/7/6,1:2:3", 7, "a.exe", mods) + section(2, "05/7/6,1:2:4", 8, "c.exe", "Loaded modules: same as log number 1\n"),
			[]string{`a.exe C:\a.exe 2`, `c.exe  2`}, nil},
		{"Windows 2000 has no pid", portsLog("05/7/6,1:2:3,TCP,80,10.0.0.1,99,10.0.0.2", "05/7/6,1:2:3,UDP,53,10.0.0.1,*,*"), "", []string{" ", " "}, nil},
		{"the idle process owns nothing", portsLog("05/7/6,1:2:3,TCP,80,10.0.0.1,99,10.0.0.2,0,System Idle Process,<>"), "", []string{" "}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Set{Ports: tt.ports}
			if tt.pids != "" {
				s.PIDs = strings.NewReader(head + tt.pids)
			}
			got := tell(t, s)
			var names []string
			for _, e := range got.events {
				if e.PID == 0 {
					names = append(names, e.Name+" "+e.Exe)
				} else {
					names = append(names, fmt.Sprintf("%s %s %d", e.Name, e.Exe, e.Modules))
				}
			}
			if d := cmp.Diff(tt.want, names); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if d := cmp.Diff(tt.errors, got.errs); d != "" {
				t.Errorf("errors: -want +got\n%s", d)
			}
		})
	}
}

// Another user under the same pid and name is another process, and without
// PR-PORTS the sections' tables are told, each row once.
func TestSetOwners(t *testing.T) {
	got := tell(t, Set{Ports: portsLog("05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>", "05/7/6,1:2:3,TCP,81,0.0.0.0,,0.0.0.0,7,A.EXE,<X>", "05/7/6,1:2:3,TCP,82,0.0.0.0,,0.0.0.0,7,a.exe,<Y>")})
	if a, b, c := got.raw[0].Process, got.raw[1].Process, got.raw[2].Process; a.ID != b.ID || a.ID == c.ID {
		t.Errorf("ids %d, %d and %d", a.ID, b.ID, c.ID)
	}
	got = tell(t, Set{PIDs: strings.NewReader(tabs(originalPIDs + originalPIDs[strings.Index(originalPIDs, rule):]))})
	if d := cmp.Diff([]string{"0.0.0.0:3389", "192.0.2.150:3389", "0.0.0.0:1026"}, locals(got.raw)); d != "" {
		t.Errorf("sections alone: -want +got\n%s", d)
	}
}

func locals(es []activity.Event) (out []string) {
	for i := range es {
		out = append(out, es[i].Local.String())
	}
	return out
}

// A log that fails is told, and the others are read; a caller that has seen
// enough is not called again.
func TestSetFaults(t *testing.T) {
	broken := errors.New("disk on fire")
	got := tell(t, Set{Initial: iotest.ErrReader(broken), Ports: strings.NewReader(wrapped), PIDs: iotest.ErrReader(broken)})
	if len(got.events) != 3 || len(got.errs) != 2 {
		t.Errorf("got %d events and %q", len(got.events), got.errs)
	}
	s := Set{Initial: strings.NewReader(tabs(setInitial)), Ports: portsLog("nonsense", "05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>"), PIDs: strings.NewReader("x\ny\nz\n" + tabs(originalPIDs))}
	for n := range 8 {
		s.Initial, s.Ports = strings.NewReader(tabs(setInitial)), portsLog("nonsense", "05/7/6,1:2:3,TCP,80,0.0.0.0,,0.0.0.0,7,a.exe,<X>")
		seen := 0
		for range s.Events(SetOptions{Location: time.UTC}) {
			if seen++; seen > n {
				break
			}
		}
	}
}

// What the writer wrote comes back: every event that it has an entry for, with
// its process, services and modules.
func TestSetRoundTrip(t *testing.T) {
	cfg, _ := testConfig(t)
	cfg.Ports, cfg.Location = "all", time.UTC
	w := newWriter(t, cfg)
	must(t, w.Start(nil))
	proc := *sshd
	proc.Unit = activity.Unit{Name: "ssh.service", Description: "OpenBSD Secure Shell server"}
	listener := tcp(&proc, activity.StateListen, "0.0.0.0:22", "")
	conn := tcp(&proc, activity.StateEstablished, "10.0.0.1:22", "10.0.0.2:50122")
	out := tcp(&proc, activity.StateEstablished, "10.0.0.1:40000", "[2001:db8::1]:443")
	for i, e := range []*activity.Event{opened(activity.KindListen, listener, 0), opened(activity.KindAccept, conn, 0), opened(activity.KindConnect, out, 0)} {
		e.Time = testStart.Add(time.Duration(i) * time.Second).UnixNano()
		must(t, w.Event(e, nil, moduleSet))
	}
	must(t, w.Close())
	s := openSet(t, cfg.Dir)
	got := tell(t, s)
	if len(got.errs) > 0 {
		t.Errorf("errors: %q", got.errs)
	}
	set := moduleSet(proc.Modules)
	var want []story
	for i, s := range []struct{ kind, local, remote string }{{"listen", "0.0.0.0:22", ""}, {"accept", "10.0.0.1:22", "10.0.0.2:50122"}, {"connect", "10.0.0.1:40000", "[2001:db8::1]:443"}} {
		want = append(want, story{When: testStart.Add(time.Duration(i) * time.Second).UTC().Format(time.TimeOnly), Kind: s.kind, Local: s.local, Remote: s.remote,
			PID: proc.Key.PID, Name: imageName(&proc), Exe: proc.Exe, User: userName(&proc), Unit: "ssh.service", Modules: len(set.Modules)})
	}
	if d := cmp.Diff(want, got.events, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func openSet(t *testing.T, dir string) (s Set) {
	t.Helper()
	names, err := os.ReadDir(dir)
	must(t, err)
	for _, n := range names {
		f, err := os.Open(filepath.Join(dir, n.Name()))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		switch l, _, _ := ParseName(n.Name()); l {
		case LogInitial:
			s.Initial = f
		case LogPorts:
			s.Ports = f
		case LogPIDs:
			s.PIDs = f
		}
	}
	return s
}

// Whatever the logs hold, events are whole: a kind, a protocol, the tier, and a
// process exactly where the owner is not said to be unknown.
func FuzzSet(f *testing.F) {
	f.Add(tabs(setInitial), wrapped, tabs(originalPIDs))
	f.Add("", "05/7/6,1:2:3,TCP,80,10.0.0.1,99,10.0.0.2\n", "Log number: 1\nProcess ID: 7 (a)\nLoaded modules: same as log number 9\n")
	f.Fuzz(func(t *testing.T, initial, ports, pids string) {
		s := Set{Initial: strings.NewReader(initial), Ports: strings.NewReader(ports), PIDs: strings.NewReader(pids)}
		for e, err := range s.Events(SetOptions{Location: time.UTC}) {
			switch {
			case err != nil && e == nil:
			case err != nil:
				t.Fatalf("both %v and %v", e, err)
			case e.Kind == activity.KindNone || e.Proto != activity.TCP && e.Proto != activity.UDP || e.Tier != activity.TierImport:
				t.Fatalf("not whole: %+v", e)
			case (e.Process == nil) != (e.Unknown&activity.FactOwner != 0):
				t.Fatalf("owner %v, unknown %v", e.Process, e.Unknown)
			case e.Local.Addr() != e.Local.Addr().Unmap() || e.Remote.IsValid() && e.Remote.Addr() == (netip.Addr{}) && e.Remote.Port() == 0:
				t.Fatalf("addresses %v %v", e.Local, e.Remote)
			}
		}
	})
}
