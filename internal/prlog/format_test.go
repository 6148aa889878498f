package prlog

import (
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestStamps(t *testing.T) {
	for _, tt := range []struct {
		when         time.Time
		stamp, names string
	}{
		{time.Date(2005, 7, 6, 13, 44, 4, 0, time.UTC), "05/7/6,13:44:4", "05-07-6-13-44-4"},
		{time.Date(2026, 12, 31, 0, 0, 59, 0, time.UTC), "26/12/31,0:0:59", "26-12-31-0-0-59"},
	} {
		if got := string(appendStamp(nil, tt.when)); got != tt.stamp {
			t.Errorf("stamp %q, want %q", got, tt.stamp)
		}
		if got := nameSuffix(tt.when); got != tt.names {
			t.Errorf("name %q, want %q", got, tt.names)
		}
		var ns int64
		c := clock{loc: time.UTC}
		if _, err := c.parse([]byte(tt.stamp+","), &ns); err != nil || ns != tt.when.UnixNano() {
			t.Errorf("%q read as %d, %v", tt.stamp, ns, err)
		}
	}
}

func TestParseName(t *testing.T) {
	for name, want := range map[string]struct {
		log    Log
		suffix string
	}{
		"PR-PIDS-05-07-6-13-44-4.log":      {LogPIDs, "05-07-6-13-44-4"},
		"pr-ports-05-7-06-1-4-04.LOG":      {LogPorts, "05-7-06-1-4-04"},
		"PR-INITIAL-26-12-31-0-0-59-2.log": {LogInitial, "26-12-31-0-0-59-2"},
		"PR-PIDS-05-07-6-13-44.log":        {},
		"PR-PIDS-05-07-6-13-44-4-2-2.log":  {},
		"PR-PIDS-05-07-6-13-44-444.log":    {},
		"PR-PIDS-05-07-6-13-44-.log":       {},
		"PR-PIDS-05-07-6-13-44-x.log":      {},
		"PR-PIDS-05-07-6-13-44-4.log.gz":   {},
		"PR-PIDS.log":                      {},
		"PR-OTHER-05-07-6-13-44-4.log":     {},
		"":                                 {},
	} {
		l, suffix, ok := ParseName(name)
		if l != want.log || suffix != want.suffix || ok != (want.log != LogNone) {
			t.Errorf("%q: %v %q %v", name, l, suffix, ok)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ in, text, column string }{
		{"sshd", "sshd", "sshd"},
		{"a b,c", "a b,c", "a b%2Cc"},
		{`<"x">`, `<"x">`, "%3C%22x%22%3E"},
		{"=1+1", "=1+1", "%3D1+1"},
		{"-bash", "-bash", "%2Dbash"},
		{"a\nb\x1b[31m", "a%0Ab%1B[31m", "a%0Ab%1B[31m"},
		{"50%", "50%", "50%"},
		{"%2C", "%252C", "%252C"},
		{"%2", "%2", "%2"},
		{" x ", "%20x%20", "%20x%20"},
		{"für", "für", "für"},
		{"\xff\u202e\u00a0", "%FF%E2%80%AE%C2%A0", "%FF%E2%80%AE%C2%A0"},
		{"", "", ""},
	} {
		for column, want := range map[bool]string{false: tt.text, true: tt.column} {
			got := string(appendText(nil, tt.in, column))
			if got != want || unescape(got) != tt.in {
				t.Errorf("%q, column %v: %q, back %q", tt.in, column, got, unescape(got))
			}
		}
	}
}

func TestImageName(t *testing.T) {
	for _, tt := range []struct {
		p    *activity.Process
		want string
	}{
		{nil, ""},
		{&activity.Process{}, ""},
		{&activity.Process{Name: "short"}, "short"},
		{&activity.Process{Name: "python3", Exe: "/usr/bin/python3.11"}, "python3.11"},
		{&activity.Process{Name: "x", Exe: "/memfd:a/b", MemFD: true}, "x"},
		{&activity.Process{Name: "kworker/0:1", Kernel: true}, "kworker/0:1"},
		{&activity.Process{Exe: `C:\WINDOWS\system32\svchost.exe`}, "svchost.exe"},
		{&activity.Process{Exe: `\Device\HarddiskVolume1\a.exe`}, "a.exe"},
		{&activity.Process{Exe: `/tmp/a\b`}, `a\b`},
	} {
		if got := imageName(tt.p); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

func TestUserName(t *testing.T) {
	for _, tt := range []struct {
		p    *activity.Process
		want string
	}{
		{nil, ""},
		{&activity.Process{User: "root"}, "root"},
		{&activity.Process{}, "0"},
		{&activity.Process{UID: activity.NoID}, ""},
		{&activity.Process{User: `NT AUTHORITY\SYSTEM`, UID: activity.NoID}, `NT AUTHORITY\SYSTEM`},
	} {
		if got := userName(tt.p); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

func TestStates(t *testing.T) {
	for s := activity.StateListen; s <= activity.StateClosed; s++ {
		for _, text := range []string{stateName(s), s.String()} {
			if got, ok := parseState(text); !ok || got != s {
				t.Errorf("%q: %v %v", text, got, ok)
			}
		}
	}
	for text, want := range map[string]activity.State{"SYN_SEND": activity.StateSynSent, "TIMED_WAIT": activity.StateTimeWait,
		"FIN_WAIT1": activity.StateFinWait1, "FIN_WAIT2": activity.StateFinWait2, "syn_rcvd": activity.StateSynReceived} {
		if got, ok := parseState(text); !ok || got != want {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
	if _, ok := parseState("LISTNING"); ok {
		t.Error("an unknown state was read")
	}
}

func TestServices(t *testing.T) {
	for _, tt := range []struct {
		unit activity.Unit
		want string
	}{
		{activity.Unit{}, "Process doesn't appear to be a service\n\n"},
		{activity.Unit{Name: "session-3.scope"}, "Process doesn't appear to be a service\n\n"},
		{activity.Unit{Name: "x.service"}, "Service Name: x.service\nDisplay Name: \nService Type: runs in its own process\n\n"},
		{activity.Unit{Name: "DcomLaunch, TermService", Description: "DCOM Launcher, Terminal Services"},
			"Service Name: DcomLaunch\nDisplay Name: DCOM Launcher\nService Type: shares a process with other services\n\n" +
				"Service Name: TermService\nDisplay Name: Terminal Services\nService Type: shares a process with other services\n\n"},
	} {
		if got := string(appendServices(nil, tt.unit)); got != tt.want {
			t.Errorf("%+v: %q", tt.unit, got)
		}
	}
}
