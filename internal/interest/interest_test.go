package interest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

func testOptions() Options {
	return Options{Filter: filter.Options{Now: time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)}}
}

// setOf makes a set of the rules in text alone.
func setOf(t testing.TB, text string, opt Options) *Set {
	t.Helper()
	b := NewBuilder(opt)
	if err := b.Add("interest.toml", []byte("starter = false\n"+text)); err != nil {
		t.Fatal(err)
	}
	return built(t, b)
}

func built(t testing.TB, b *Builder) *Set {
	t.Helper()
	s, err := b.Set()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// event makes an event of a process named by its executable.
func event(k activity.Kind, local, remote, exe string) *activity.Event {
	e := &activity.Event{Time: 1e18, Kind: k, Proto: activity.TCP, Local: addr(local)}
	if remote != "" {
		e.Remote = addr(remote)
	}
	if exe != "" {
		e.Owner = activity.ProcessKey{PID: 7, Start: 1}
		e.Process = &activity.Process{ID: activity.ProcessID(len(exe)) + 1, Key: e.Owner, Exe: exe, Name: exe[strings.LastIndexAny(exe, `/\`)+1:], UID: 33, User: "www-data"}
	}
	return e
}

func ids(found []activity.Finding) (names []string) {
	for _, f := range found {
		names = append(names, f.Rule)
	}
	return names
}

// TestRules asks each kind of rule of events that it is about and of some that
// it is not.
func TestRules(t *testing.T) {
	listen := func(local, exe string) *activity.Event { return event(activity.KindListen, local, "", exe) }
	connect := func(remote, exe string) *activity.Event {
		return event(activity.KindConnect, "10.0.0.1:40000", remote, exe)
	}
	opt := testOptions()
	opt.Names = func(a netip.Addr) []string {
		return map[string][]string{"203.0.113.7": {"evil.example"}, "203.0.113.8": {"a.b.cdn.example"}}[a.String()]
	}
	opt.Writable = func(p *activity.Process) bool { return strings.HasPrefix(p.Exe, "/tmp/") }
	opt.Filter.Modules = func(id activity.ModuleSetID) *activity.ModuleSet {
		return &activity.ModuleSet{ID: id, Modules: []activity.Module{{Path: "/usr/bin/web", Package: "web 1"}, {Path: "/opt/liblzma.so.5.6.0"}}}
	}
	withModules := connect("1.2.3.4:443", "/usr/bin/web")
	withModules.Process.Modules, withModules.Process.ExePackage = 9, "web 1"
	packaged := listen("0.0.0.0:80", "/usr/bin/web")
	packaged.Process.ExePackage = "web 1" // and no modules known

	for _, c := range []struct {
		rule string
		e    *activity.Event
		want bool
	}{
		{`when = "port:22"`, listen("0.0.0.0:22", "/usr/sbin/sshd"), true},
		{`when = "port:22"`, listen("0.0.0.0:23", "/usr/sbin/sshd"), false},
		{`ports = [4444, "5000-5010", "udp/53", "ssh"]`, listen("0.0.0.0:5007", "/x"), true},
		{`ports = [4444, "5000-5010", "udp/53", "ssh"]`, listen("0.0.0.0:53", "/x"), false},
		{`ports = [4444, "5000-5010", "udp/53", "ssh"]`, listen("0.0.0.0:22", "/x"), true},
		{`ports = 40000`, connect("1.2.3.4:443", "/x"), false}, // the kernel's pick
		{`ports = 443`, connect("1.2.3.4:443", "/x"), true},
		{`ports = 443`, event(activity.KindAccept, "10.0.0.1:8443", "1.2.3.4:443", "/x"), false},
		{`processes = ["nc", "socat*"]`, listen("0.0.0.0:1", "/usr/bin/socat1"), true},
		{`processes = ["nc", "socat*"]`, listen("0.0.0.0:1", "/usr/bin/cat"), false},
		{`users = "www-data"`, listen("0.0.0.0:1", "/x"), true},
		{`users = ["root"]`, listen("0.0.0.0:1", "/x"), false},
		{`addresses = ["203.0.113.0/24", "2001:db8::1", "::ffff:192.0.2.1"]`, connect("203.0.113.9:1", "/x"), true},
		{`addresses = ["203.0.113.0/24", "2001:db8::1", "::ffff:192.0.2.1"]`, connect("192.0.2.1:1", "/x"), true},
		{`addresses = ["203.0.113.0/24", "2001:db8::1", "::ffff:192.0.2.1"]`, connect("[2001:db8::1]:1", "/x"), true},
		{`addresses = ["203.0.113.0/24", "2001:db8::1", "::ffff:192.0.2.1"]`, connect("203.0.114.0:1", "/x"), false},
		{`addresses = "10.0.0.0/8"`, connect("203.0.114.0:1", "/x"), false}, // one's own address is not "communication with"
		{`addresses = "0.0.0.0/0"`, connect("255.255.255.255:1", "/x"), true},
		{`addresses = "0.0.0.0/0"`, connect("[::1]:1", "/x"), false},
		{`addresses = "ff00::/8"`, connect("[ffff::1]:1", "/x"), true},
		{`hosts = "EVIL.example."`, connect("203.0.113.7:1", "/x"), true},
		{`hosts = "*.cdn.example"`, connect("203.0.113.8:1", "/x"), true},
		{`hosts = "cdn.example"`, connect("203.0.113.8:1", "/x"), false},
		{`modules = "*liblzma.so.5.6*"`, withModules, true},
		{`modules = "*libssl*"`, withModules, false},
		{`condition = "unpackaged-module"`, withModules, true},
		{`condition = "unpackaged-module"`, packaged, false},
		{`condition = "world-writable"`, listen("0.0.0.0:1", "/tmp/x"), true},
		{`condition = "world-writable"`, listen("0.0.0.0:1", "/usr/x"), false},
		{`belongs = {sshd = "/usr/sbin", cron = ["/usr/sbin/"]}`, listen("0.0.0.0:1", "/tmp/sshd"), true},
		{`belongs = {sshd = "/usr/sbin", cron = ["/usr/sbin/"]}`, listen("0.0.0.0:1", "/usr/sbin/sshd"), false},
		{`belongs = {sshd = "/usr/sbin", cron = ["/usr/sbin/"]}`, listen("0.0.0.0:1", "/usr/sbin2/cron"), true},
		{`belongs."svchost.exe" = 'C:\Windows\System32'`, listen("0.0.0.0:1", `c:\windows\system32\SVCHOST.EXE`), false},
		{`belongs."svchost.exe" = 'C:\Windows\System32'`, listen("0.0.0.0:1", `C:\Users\a\svchost.exe`), true},
		{"processes = \"nc\"\nports = 4444", listen("0.0.0.0:4444", "/bin/nc"), true}, // all of a rule's keys
		{"processes = \"nc\"\nports = 4444", listen("0.0.0.0:4444", "/bin/cat"), false},
		{`when = "port:22"`, &activity.Event{Kind: activity.KindGap, Local: addr("0.0.0.0:22")}, false},
		{`when = "-process:sshd"`, listen("0.0.0.0:1", ""), true},
		{`processes = "nc"`, &activity.Event{Kind: activity.KindListen, Process: &activity.Process{ID: 3}}, false}, // the stub of a lost record
	} {
		s := setOf(t, "[[rule]]\nid = \"r\"\n"+c.rule, opt)
		for range 2 { // the second time the process is known
			if got := len(s.Matcher().Event(c.e, nil)) == 1; got != c.want {
				t.Errorf("%s of %v %v %v: %v", c.rule, c.e.Kind, c.e.Local, c.e.Remote, got)
			}
		}
	}
}

func TestFinding(t *testing.T) {
	s := setOf(t, `
[[rule]]
id = "a"
title = "A title"
severity = "critical"
reason = "because"
ports = 22
[[rule]]
id = "b"
title = "Another title"
ports = 22
[[rule]]
id = "c"
condition = "widened"
`, testOptions())
	m := s.Matcher()
	m.Event(event(activity.KindListen, "127.0.0.1:22", "", "/x"), nil)
	m.Event(event(activity.KindUnlisten, "127.0.0.1:22", "", "/x"), nil)
	got := m.Event(event(activity.KindListen, "0.0.0.0:22", "", "/x"), []activity.Finding{{Rule: "before"}})
	want := []activity.Finding{
		{Rule: "before"},
		{Rule: "a", Severity: activity.SeverityCritical, Reason: "because"},
		{Rule: "b", Severity: activity.SeverityMedium, Reason: "Another title"},
		{Rule: "c", Severity: activity.SeverityMedium, Reason: "c: port 22 was open to this host alone, now to every address"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestWidened: what counts is a listener that replaces a narrower one.
func TestWidened(t *testing.T) {
	type step struct {
		kind  activity.Kind
		local string
		want  bool
	}
	open, shut := activity.KindListen, activity.KindUnlisten
	for name, steps := range map[string][]step{
		"loopback to all":         {{open, "127.0.0.1:8080", false}, {shut, "127.0.0.1:8080", false}, {open, "0.0.0.0:8080", true}},
		"once":                    {{open, "127.0.0.1:80", false}, {shut, "127.0.0.1:80", false}, {open, "[::]:80", true}, {shut, "[::]:80", false}, {open, "[::]:80", false}},
		"address to all":          {{open, "192.0.2.1:80", false}, {shut, "192.0.2.1:80", false}, {open, "0.0.0.0:80", true}},
		"found, then all":         {{activity.KindSnapshot, "[::1]:80", false}, {shut, "[::1]:80", false}, {open, "0.0.0.0:80", true}},
		"narrower":                {{open, "0.0.0.0:80", false}, {shut, "0.0.0.0:80", false}, {open, "127.0.0.1:80", false}},
		"an address each":         {{open, "127.0.0.1:53", false}, {open, "192.0.2.1:53", false}, {shut, "127.0.0.1:53", false}, {shut, "192.0.2.1:53", false}, {open, "127.0.0.1:53", false}, {open, "192.0.2.1:53", false}},
		"another port":            {{open, "127.0.0.1:80", false}, {shut, "127.0.0.1:80", false}, {open, "0.0.0.0:81", false}},
		"more closed than opened": {{shut, "127.0.0.1:80", false}, {shut, "127.0.0.1:80", false}, {open, "127.0.0.1:80", false}, {shut, "127.0.0.1:80", false}, {open, "0.0.0.0:80", true}},
	} {
		m := setOf(t, "[[rule]]\nid = \"w\"\ncondition = \"widened\"", testOptions()).Matcher()
		for i, st := range steps {
			if got := len(m.Event(event(st.kind, st.local, "", "/usr/bin/x"), nil)) == 1; got != st.want {
				t.Errorf("%s: step %d: %v", name, i, got)
			}
		}
	}
	m := setOf(t, "[[rule]]\nid = \"w\"\ncondition = \"widened\"", testOptions()).Matcher()
	m.Event(event(open, "127.0.0.1:80", "", "/usr/bin/x"), nil)
	m.Event(event(shut, "127.0.0.1:80", "", "/usr/bin/x"), nil)
	if m.Event(event(open, "0.0.0.0:80", "", "/usr/bin/other"), nil) != nil {
		t.Error("another program's listener is taken for the first one's")
	}
}

func TestSocket(t *testing.T) {
	s := setOf(t, `
[[rule]]
id = "listening"
when = "state:listen port:6379 -local:loopback"
[[rule]]
id = "calls"
when = "kind:connect"
ports = 443
`, testOptions())
	m := s.Matcher()
	for _, c := range []struct {
		s    activity.Socket
		want []string
	}{
		{activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: addr("0.0.0.0:6379")}, []string{"listening"}},
		{activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: addr("127.0.0.1:6379")}, nil},
		{activity.Socket{Proto: activity.TCP, State: activity.StateEstablished, Role: activity.RoleCreator, Local: addr("10.0.0.1:4000"), Remote: addr("1.1.1.1:443")}, []string{"calls"}},
		{activity.Socket{Proto: activity.TCP, State: activity.StateEstablished, Role: activity.RoleAcceptor, Local: addr("10.0.0.1:443"), Remote: addr("1.1.1.1:40000")}, nil},
	} {
		if d := cmp.Diff(c.want, ids(m.Socket(&c.s, nil))); d != "" {
			t.Errorf("%v %v: -want +got\n%s", c.s.State, c.s.Local, d)
		}
	}
}

func TestStarter(t *testing.T) {
	b := NewBuilder(testOptions())
	if err := b.AddStarter(); err != nil {
		t.Fatal(err)
	}
	s := built(t, b)
	for _, r := range s.Rules() {
		if !strings.HasPrefix(r.ID, "starter.") || r.File != "" || r.Reason == "" || r.Title == "" {
			t.Errorf("%+v", r)
		}
		if r.Source == "" && !strings.HasPrefix(r.About, "widened") && !strings.HasPrefix(r.About, "new-") {
			t.Errorf("%s has no source", r.ID)
		}
	}
	m := s.Matcher()
	for _, c := range []struct {
		e    *activity.Event
		want []string
	}{
		{event(activity.KindListen, "0.0.0.0:22", "", "/usr/sbin/sshd"), nil},
		{event(activity.KindAccept, "10.0.0.1:22", "203.0.113.7:5000", "/usr/sbin/sshd"), nil},
		{event(activity.KindListen, "0.0.0.0:23", "", "/usr/sbin/telnetd"), []string{"starter.plaintext-login"}},
		{event(activity.KindConnect, "10.0.0.1:4000", "10.0.0.2:23", "/usr/bin/telnet"), nil},
		{event(activity.KindListen, "127.0.0.1:6379", "", "/usr/bin/redis-server"), nil},
		{event(activity.KindListen, "0.0.0.0:6379", "", "/usr/bin/redis-server"), []string{"starter.exposed-store"}},
		{event(activity.KindConnect, "10.0.0.1:4000", "203.0.113.7:4444", "/usr/bin/bash"), []string{"starter.tool-port", "starter.shell-socket"}},
		{event(activity.KindConnect, "10.0.0.1:4444", "203.0.113.7:443", "/usr/bin/curl"), nil},
		{event(activity.KindConnect, "10.0.0.1:4444", "203.0.113.7:443", "/tmp/sshd"), []string{"starter.temporary-directory", "starter.wrong-directory"}},
		{event(activity.KindAccept, "10.0.0.1:3389", "8.8.8.8:5000", `C:\Windows\System32\svchost.exe`), []string{"starter.public-admin"}},
	} {
		if d := cmp.Diff(c.want, ids(m.Event(c.e, nil))); d != "" {
			t.Errorf("%v %v %v: -want +got\n%s", c.e.Kind, c.e.Local, c.e.Remote, d)
		}
	}
}
