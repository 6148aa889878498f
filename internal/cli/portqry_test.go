package cli

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

func TestParsePortqry(t *testing.T) {
	both := []probe.Proto{probe.TCP, probe.UDP}
	usual := func(change func(*portqryArgs)) portqryArgs {
		a, _ := parsePortqry([]string{"-n", "host"})
		change(&a)
		return a
	}
	for _, c := range []struct {
		args string
		want portqryArgs
	}{
		{"-n host", usual(func(*portqryArgs) {})},
		{"/N host /P BOTH /E 53", usual(func(a *portqryArgs) { a.protos, a.end = both, 53 })},
		{"--n host -o 25,110,143", usual(func(a *portqryArgs) { a.order = []uint16{25, 110, 143} })},
		{"-n host -r 20:25", usual(func(a *portqryArgs) { a.from, a.to = 20, 25 })},
		{"-n host -r 20;25", usual(func(a *portqryArgs) { a.from, a.to = 20, 25 })},
		{"-n host -s -nr -q -l f -y", usual(func(a *portqryArgs) {
			a.slow, a.noReverse, a.quiet, a.log, a.overwrite = true, true, true, "f", true
		})},
		{"-n host -cn !two words! -sp 4000", usual(func(a *portqryArgs) { a.community, a.source = "two words", 4000 })},
		{"-wport 135 -wt 30 -v", usual(func(a *portqryArgs) {
			a.host, a.watchPort, a.interval, a.verbose = "", 135, 30*time.Second, true
		})},
		{"-wpid 0", usual(func(a *portqryArgs) { a.host, a.watchPID = "", 0 })},
		{"-i", usual(func(a *portqryArgs) { a.host, a.interactive = "", true })},
		{"-n /dev -as LDAP -services f", usual(func(a *portqryArgs) { a.host, a.as, a.services = "/dev", "ldap", "f" })},
	} {
		got, err := parsePortqry(strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(portqryArgs{})); d != "" {
			t.Errorf("%s: -want +got\n%s", c.args, d)
		}
	}
}

func TestWrongPortqry(t *testing.T) {
	for args, want := range map[string]string{
		"-n":                     "-n needs a value: NAME",
		"-n -e 80":               "-n needs a value: NAME",
		"host":                   `unexpected word "host": options begin with - or /`,
		"-n h -prot udp":         `unknown option "-prot"; usage: portqry -n NAME [options], and portqry -? lists them`,
		"-n h -x":                `unknown option "-x"; usage: portqry -n NAME [options], and portqry -? lists them`,
		"/n h /ez 25":            `unknown option "-ez"; usage: portqry -n NAME [options], and portqry -? lists them`,
		"-n h -wprt 5":           `unknown option "-wprt"; did you mean "-wport"?`,
		"-n h -e 0":              `-e: bad port "0": 1 to 65535`,
		"-n h -e 65536":          `-e: bad port "65536": 1 to 65535`,
		"-n h -e 80 -o 80,81":    "-e and -o exclude each other",
		"-n h -r 80:80":          `-r: bad range "80:80": it must begin with the lower port`,
		"-n h -r 80":             `-r: bad range "80": FROM:TO`,
		"-n h -p icmp":           `-p: unknown protocol "icmp": tcp, udp or both`,
		"-n h -q -p both":        "-q is for one port: not with -o, -r or -p both",
		"-n h -local":            "-n and -local exclude each other",
		"-local -wport 5":        "-local and -wport exclude each other",
		"-local -q":              "-q has no meaning in local mode",
		"-wt 5 -n h":             "-wt is for -wport and -wpid",
		"-wport 5 -wt 1201":      `-wt: bad interval "1201": 1 to 1200 seconds`,
		"-n h -cn public":        "-cn: a community stands between exclamation marks, !public! for one",
		"-n h -n h":              "-n is given twice",
		"-e 80":                  "nothing to do: -n NAME names a system to query; see portqry -?",
		"-wpid x":                `-wpid: bad process id "x"`,
		"-n h -o 1,,2":           `-o: bad port "": 1 to 65535`,
		"-n h -sp 99999":         `-sp: bad port "99999": 1 to 65535`,
		"-n h -i -l f":           "-i and -l exclude each other",
		"-n h -services /nope/x": "",
	} {
		var out, msg bytes.Buffer
		code := RunPortQry(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &msg)
		if code != portqryFailed || want != "" && strings.TrimSpace(msg.String()) != "portqry: "+want || strings.Count(msg.String(), "\n") != 1 {
			t.Errorf("portqry %s: exit %d, %q, want %q", args, code, msg.String(), want)
		}
	}
}

// told is a tester that answers what it was told, in turn.
type told struct {
	results map[string]probe.Result
	asked   []probe.Target
	err     error
}

func (f *told) test(_ context.Context, t probe.Target) (probe.Result, error) {
	f.asked = append(f.asked, t)
	r := f.results[t.Proto.String()+"/"+netip.AddrPortFrom(t.Addr, t.Port).String()]
	r.Target = t
	if r.Verdict == probe.NoVerdict {
		r.Verdict = probe.NotListening
	}
	return r, f.err
}

// runPortqry runs a command line with a tester in the network's place.
func runPortqry(t *testing.T, f *told, input string, args ...string) (code int, out string, err error) {
	t.Helper()
	a, err := parsePortqry(args)
	if err != nil {
		t.Fatal(err)
	}
	a.services = filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(a.services, []byte("smtp 25/tcp mail\ndomain 53/tcp\ndomain 53/udp # names\nbad line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	q := newPortqry(a, strings.NewReader(input), &b, portqryCommand(args))
	q.tester = f
	code, err = q.run(t.Context())
	return code, b.String(), errors.Join(err, q.closeLog())
}

func TestPortqryCodes(t *testing.T) {
	results := map[string]probe.Result{
		"tcp/127.0.0.1:25": {Verdict: probe.Listening}, "tcp/127.0.0.1:26": {Verdict: probe.NotListening},
		"tcp/127.0.0.1:27": {Verdict: probe.Filtered}, "udp/127.0.0.1:53": {Verdict: probe.ListeningOrFiltered},
	}
	for args, want := range map[string]int{"-e 25": 0, "-e 26": 1, "-e 27": 2, "-e 53 -p udp": 2, "-o 25,26": 1, "-o 27,26": 2, "-q -e 27": 2} {
		code, out, err := runPortqry(t, &told{results: results}, "", append([]string{"-n", "127.0.0.1", "-nr"}, strings.Fields(args)...)...)
		if code != want || err != nil {
			t.Errorf("%s: exit %d, %v, want %d", args, code, err, want)
		}
		if quiet := strings.Contains(args, "-q"); quiet != (out == "") {
			t.Errorf("%s printed %q", args, out)
		}
	}
	busy := errors.New("source port 4000: in use")
	if code, _, err := runPortqry(t, &told{err: busy}, "", "-n", "127.0.0.1", "-nr"); code != portqryFailed || !errors.Is(err, busy) {
		t.Errorf("no test: exit %d, %v", code, err)
	}
	if code, out, err := runPortqry(t, &told{}, "", "-n", "no such name.invalid"); code != portqryFailed || err == nil || !strings.Contains(out, "Failed to resolve name to IP address\n") {
		t.Errorf("no name: exit %d, %v, %s", code, err, out)
	}
}

func TestPortqryText(t *testing.T) {
	f := &told{results: map[string]probe.Result{"tcp/127.0.0.1:25": {Verdict: probe.Listening, Asked: "smtp",
		Answer: &probe.Answer{Protocol: "smtp", Fields: []probe.Field{{Name: "greeting", Values: []string{"220 mail\x1b[2J ready"}}}}}}}
	_, out, err := runPortqry(t, f, "", "-n", "127.0.0.1", "-nr", "-e", "25")
	want := "\nQuerying target system called:\n\n 127.0.0.1\n\nquerying...\n\nTCP port 25 (smtp service): LISTENING\n\n" +
		"Data returned from port:\n220 mail\\x1b[2J ready\n\n"
	if d := cmp.Diff(want, out); d != "" || err != nil {
		t.Errorf("%v: -want +got\n%s", err, d)
	}
	if len(f.asked) != 1 || f.asked[0].Service != "smtp" {
		t.Errorf("asked %+v", f.asked)
	}
}

func TestPortqryOrder(t *testing.T) {
	f := &told{}
	if _, _, err := runPortqry(t, f, "", "-n", "127.0.0.1", "-nr", "-p", "both", "-o", "143,25"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range f.asked {
		got = append(got, a.Proto.String()+"/"+netip.AddrPortFrom(a.Addr, a.Port).String())
	}
	if d := cmp.Diff([]string{"tcp/127.0.0.1:143", "udp/127.0.0.1:143", "tcp/127.0.0.1:25", "udp/127.0.0.1:25"}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A log holds what the screen did, without the community, and ends in its last
// line; it takes another's place only with leave.
func TestPortqryLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.txt")
	f := &told{results: map[string]probe.Result{"udp/127.0.0.1:161": {Verdict: probe.Listening, Asked: "snmp", Answer: &probe.Answer{Protocol: "snmp"}}}}
	args := []string{"-n", "127.0.0.1", "-nr", "-p", "udp", "-e", "161", "-cn", "!secret!", "-l", log}
	_, out, err := runPortqry(t, f, "", args...)
	if err != nil || !strings.Contains(out, "community name for query:\n\nsecret\n") {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"PortQry Version 2.0 Log File\n", "Command run:\n portqry -n 127.0.0.1 -nr -p udp -e 161 -cn !*! -l ", "Local computer name:\n",
		"community name for query:\n\n*\n", "UDP port 161 is LISTENING\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the log has no %q:\n%s", line, text)
		}
	}
	if !strings.HasSuffix(string(text), "\n========= end of log file ========= \n") || strings.Contains(string(text), "secret") {
		t.Errorf("log:\n%s", text)
	}
	if info, err := os.Stat(log); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, out, err := runPortqry(t, f, "n\n", args...); err == nil || !strings.Contains(out, "Overwrite it? (y/n)") {
		t.Errorf("refused: %v\n%s", err, out)
	}
	if now, _ := os.ReadFile(log); !bytes.Equal(now, text) {
		t.Error("a refused log was overwritten")
	}
	for _, leave := range []struct{ input, flag string }{{"y\n", "-nr"}, {"", "-y"}, {"", "-q"}} {
		more := args
		if leave.flag != "-nr" {
			more = append(args[:len(args):len(args)], leave.flag)
		}
		if _, _, err := runPortqry(t, f, leave.input, more...); err != nil {
			t.Errorf("%q %s: %v", leave.input, leave.flag, err)
		}
	}
}

func TestPortqryTalk(t *testing.T) {
	f := &told{results: map[string]probe.Result{"udp/10.0.0.1:53": {Verdict: probe.Listening, Asked: "dns", Answer: &probe.Answer{Protocol: "dns"}}}}
	input := strings.Join([]string{"help", "n 10.0.0.1", "q dns", "set e=25", "set p=both", "set nr", "set sp=99999", "set sp=4000", "set cn=!x y!", "q", "q dnss", "nod x", "set", "n", "set all", "exit", "q"}, "\n") + "\n"
	code, out, err := runPortqry(t, f, input, "-i", "-nr")
	if err != nil || code != portqryNotListening {
		t.Errorf("exit %d, %v", code, err)
	}
	for _, line := range []string{"Portqry Interactive Mode\n\nType 'help' for a list of commands\n\nDefault Node: 127.0.0.1\n\nCurrent option values:\n   end port= 80\n   protocol= TCP\n   source port= 0 (ephemeral)\n",
		">Default Node: 10.0.0.1\n", "UDP port 53 (domain service): LISTENING\n", "TCP port 53 (domain service): NOT LISTENING\n",
		">sp: bad port \"99999\": 1 to 65535\n", "unknown shortcut \"dnss\"; did you mean \"dns\"?", "unknown command \"nod\"; did you mean \"node\"?",
		"wrong use of \"set\"", "wrong use of \"n\"", "   end port= 25\n   protocol= BOTH\n   source port= 4000\n   community name= (set)\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if n := len(f.asked); n != 4 || f.asked[3].Proto != probe.UDP || f.asked[3].Port != 25 {
		t.Errorf("asked %+v", f.asked)
	}
}
