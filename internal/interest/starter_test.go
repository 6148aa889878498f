package interest

import (
	"slices"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestEachStarterRule asks every starter rule of what it is about, and of what
// is near and harmless: a rule that finds nothing, or the everyday, is no hint.
func TestEachStarterRule(t *testing.T) {
	const (
		listen, accept, connect, end = activity.KindListen, activity.KindAccept, activity.KindConnect, activity.KindClose
	)
	change := func(e *activity.Event, f func(*activity.Event)) *activity.Event { f(e); return e }
	memfd := func(e *activity.Event) { e.Process.MemFD = true }
	deleted := func(e *activity.Event) { e.Process.Deleted = true }
	named := func(name string) func(*activity.Event) { return func(e *activity.Event) { e.Process.Name = name } }
	udp := func(e *activity.Event) { e.Proto = activity.UDP }
	cases := map[string]struct{ yes, no []*activity.Event }{
		"plaintext-login": {
			[]*activity.Event{event(listen, "0.0.0.0:23", "", "/usr/sbin/inetd"), event(listen, "[::]:513", "", "/usr/sbin/inetd"),
				event(accept, "10.0.0.1:23", "10.0.0.2:5000", "/usr/sbin/telnetd"), event(activity.KindSnapshot, "0.0.0.0:514", "", "/usr/sbin/rshd")},
			[]*activity.Event{event(listen, "127.0.0.1:23", "", "/x"), event(listen, "0.0.0.0:22", "", "/x"), event(connect, "10.0.0.1:5000", "10.0.0.2:23", "/usr/bin/telnet"),
				change(event(activity.KindBind, "0.0.0.0:514", "", "/usr/sbin/rsyslogd"), udp), event(accept, "127.0.0.1:23", "127.0.0.1:5000", "/x")},
		},
		"exposed-store": {
			[]*activity.Event{event(listen, "0.0.0.0:6379", "", "/usr/bin/redis-server"), event(listen, "[::]:2375", "", "/usr/bin/dockerd"),
				change(event(activity.KindBind, "0.0.0.0:11211", "", "/usr/bin/memcached"), udp)},
			[]*activity.Event{event(listen, "127.0.0.1:6379", "", "/usr/bin/redis-server"), event(listen, "[::1]:27017", "", "/usr/bin/mongod"),
				event(accept, "10.0.0.1:6379", "10.0.0.2:5000", "/usr/bin/redis-server"), event(connect, "10.0.0.1:5000", "10.0.0.2:9200", "/usr/bin/curl")},
		},
		"public-admin": {
			[]*activity.Event{event(accept, "192.0.2.1:445", "8.8.8.8:5000", "/usr/sbin/smbd"), event(accept, "10.0.0.1:3389", "[2001:4860::1]:5000", `C:\Windows\System32\svchost.exe`)},
			[]*activity.Event{event(accept, "10.0.0.1:445", "10.0.0.2:5000", "/usr/sbin/smbd"), event(accept, "10.0.0.1:443", "8.8.8.8:445", "/usr/sbin/nginx"),
				event(connect, "10.0.0.1:5000", "8.8.8.8:445", "/usr/bin/smbclient")},
		},
		"tool-port": {
			[]*activity.Event{event(listen, "0.0.0.0:4444", "", "/x"), event(connect, "10.0.0.1:5000", "203.0.113.7:31337", "/x")},
			[]*activity.Event{event(connect, "10.0.0.1:4444", "203.0.113.7:443", "/x"), event(listen, "0.0.0.0:4443", "", "/x"), event(activity.KindKnock, "10.0.0.1:4444", "203.0.113.7:5000", "")},
		},
		"shell-socket": {
			[]*activity.Event{event(connect, "10.0.0.1:5000", "203.0.113.7:443", "/usr/bin/bash"), event(listen, "0.0.0.0:9", "", "/usr/bin/nc.openbsd"),
				event(connect, "10.0.0.1:5000", "203.0.113.7:443", `C:\Windows\System32\cmd.exe`)},
			[]*activity.Event{event(connect, "127.0.0.1:5000", "127.0.0.1:80", "/usr/bin/bash"), event(connect, "10.0.0.1:5000", "203.0.113.7:22", "/usr/bin/ssh"),
				event(end, "10.0.0.1:5000", "203.0.113.7:443", "/usr/bin/bash")},
		},
		"temporary-directory": {
			[]*activity.Event{event(listen, "0.0.0.0:9", "", "/tmp/x"), event(connect, "10.0.0.1:5", "10.0.0.2:80", "/dev/shm/.x/y"), event(connect, "10.0.0.1:5", "10.0.0.2:80", `C:\Users\a\AppData\Local\Temp\x.exe`)},
			[]*activity.Event{event(listen, "0.0.0.0:9", "", "/usr/bin/tmp"), event(listen, "0.0.0.0:9", "", "/home/a/tmp/x"), event(end, "10.0.0.1:5", "10.0.0.2:80", "/tmp/x")},
		},
		"wrong-directory": {
			[]*activity.Event{event(listen, "0.0.0.0:22", "", "/home/a/sshd"), event(connect, "10.0.0.1:5", "10.0.0.2:80", `C:\Users\a\svchost.exe`)},
			[]*activity.Event{event(listen, "0.0.0.0:22", "", "/usr/sbin/sshd"), event(connect, "10.0.0.1:5", "10.0.0.2:80", `c:\windows\system32\SVCHOST.EXE`), event(listen, "0.0.0.0:9", "", "/home/a/sshd2")},
		},
		"kernel-name": {
			[]*activity.Event{change(event(connect, "10.0.0.1:5", "10.0.0.2:80", "/home/a/x"), named("kworker/0:1"))},
			[]*activity.Event{change(event(connect, "10.0.0.1:5", "10.0.0.2:80", "/home/a/x"), named("worker")),
				change(event(connect, "10.0.0.1:5", "10.0.0.2:80", "/x"), func(e *activity.Event) { e.Process.Exe, e.Process.Name, e.Process.Kernel = "", "kworker/0:1", true })},
		},
		"cloud-credentials": {
			[]*activity.Event{event(connect, "10.0.0.1:5", "169.254.169.254:80", "/usr/bin/curl"), event(activity.KindConnectFailed, "10.0.0.1:5", "169.254.169.254:80", "/bin/sh")},
			[]*activity.Event{event(connect, "10.0.0.1:5", "169.254.169.254:80", "/usr/bin/cloud-init"), event(connect, "10.0.0.1:5", "169.254.169.253:53", "/usr/bin/curl")},
		},
		"memfd": {
			[]*activity.Event{change(event(connect, "10.0.0.1:5", "10.0.0.2:80", "/memfd:x"), memfd)},
			[]*activity.Event{event(connect, "10.0.0.1:5", "10.0.0.2:80", "/usr/bin/x"), change(event(end, "10.0.0.1:5", "10.0.0.2:80", "/memfd:x"), memfd)},
		},
		"deleted": {
			[]*activity.Event{change(event(listen, "0.0.0.0:5", "", "/usr/bin/x"), deleted)},
			[]*activity.Event{event(listen, "0.0.0.0:5", "", "/usr/bin/x"), change(change(event(listen, "0.0.0.0:5", "", "/memfd:x"), deleted), memfd)},
		},
	}
	b := NewBuilder(testOptions())
	if err := b.AddStarter(); err != nil {
		t.Fatal(err)
	}
	s := built(t, b)
	for _, r := range s.Rules() {
		if id := strings.TrimPrefix(r.ID, starterPrefix); cases[id].yes == nil && !slices.Contains(conditionNames(), r.About) {
			t.Errorf("%s is not tested", r.ID)
		}
	}
	for id, c := range cases {
		for want, events := range map[bool][]*activity.Event{true: c.yes, false: c.no} {
			for _, e := range events {
				if got := slices.Contains(ids(s.Matcher().Event(e, nil)), starterPrefix+id); got != want {
					t.Errorf("%s: %v %v %v of %+v: %v", id, e.Kind, e.Local, e.Remote, e.Process, got)
				}
			}
		}
	}
}
