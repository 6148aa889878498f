package interest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestForms: each key in the ways in which it may be written, and what the rule
// then says that it is about.
func TestForms(t *testing.T) {
	for _, c := range []struct{ text, about string }{
		{`when = "port:22"`, `port:22`},
		{`when = 'exe:C:\Windows\* or port:22'`, `exe:C:\Windows\* or port:22`},
		{"when = \"\"\"\nport:22\nproto:tcp\"\"\"", `port:22 proto:tcp`},
		{`ports = 22`, `ports 22`},
		{`ports = "ssh"`, `ports 22`},
		{`ports = [22, "8000-8010", "tcp/80", "udp/domain"]`, `ports 22,8000-8010,tcp/80,udp/53`},
		{"ports = [\n  22, # ssh\n  23,\n]", `ports 22,23`},
		{`processes = "nc"`, `process:nc`},
		{`processes = ["nc", "a b", "say \"x\"", "*.exe"]`, `process:nc,"a b","say ""x""",*.exe`},
		{`users = ["root", "33"]`, `user:root,33`},
		{`modules = ["*evil*"]`, `module:*evil*`},
		{`addresses = ["10.0.0.1"]`, `1 address or network`},
		{`addresses = ["10.0.0.1", "10.0.0.0/8", "10.0.0.1"]`, `2 addresses and networks`},
		{`hosts = ["WWW.Example.COM.", "*.example.com"]`, `hosts www.example.com,*.example.com`},
		{`belongs = {sshd = "/usr/sbin"}`, `process:sshd exe:* -exe:/usr/sbin/*`},
		{`belongs = {"a.exe" = ['C:\Windows', 'C:\Other\']}`, `process:a.exe exe:* -exe:C:\Windows\*,C:\Other\*`},
		{`belongs."a.exe" = 'C:\Windows'`, `process:a.exe exe:* -exe:C:\Windows\*`},
		{"[rule.belongs]\nsshd = \"/usr/sbin\"\ncron = \"/usr/sbin\"", `process:sshd exe:* -exe:/usr/sbin/* or process:cron exe:* -exe:/usr/sbin/*`},
		{`condition = "widened"`, `widened`},
		{"when = \"port:22 or port:23\"\nprocesses = \"nc\"\ncondition = \"new-listener\"\nports = 80", `(port:22 or port:23) process:nc; new-listener; ports 80`},
	} {
		s := setOf(t, "[[rule]]\nid = \"r\"\n"+c.text, testOptions())
		if got := s.Rules()[0].About; got != c.about {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.about)
		}
	}
}

// TestRuleFacts: what is told of a rule, with what it leaves out.
func TestRuleFacts(t *testing.T) {
	s := setOf(t, `
[[rule]]
id = "all.of-it_1"
title = "Title"
severity = "info"
reason = "Reason"
source = "Somebody, 2026"
ports = 1

[[rule]]
id = "least"
condition = "new-destination"
[[rule]]
id = "named"
hosts = "*.example"
[[rule]]
id = "live"
condition = "world-writable"
`, testOptions())
	want := []Rule{
		{ID: "all.of-it_1", Title: "Title", Severity: activity.SeverityInfo, Reason: "Reason", Source: "Somebody, 2026", File: "interest.toml", Line: 3, About: "ports 1"},
		{ID: "least", Title: "least", Severity: activity.SeverityMedium, Reason: "least", File: "interest.toml", Line: 11, About: "new-destination", Needs: "a baseline"},
		{ID: "named", Title: "named", Severity: activity.SeverityMedium, Reason: "named", File: "interest.toml", Line: 14, About: "hosts *.example", Needs: "names of addresses"},
		{ID: "live", Title: "live", Severity: activity.SeverityMedium, Reason: "live", File: "interest.toml", Line: 17, About: "world-writable", Needs: "the live machine"},
	}
	if d := cmp.Diff(want, s.Rules()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	s.Rules()[0].ID = "changed"
	if s.Rules()[0].ID != "all.of-it_1" {
		t.Error("the caller's rules are the set's own")
	}
}

func TestHosts(t *testing.T) {
	s := setOf(t, "[[rule]]\nid = \"a\"\nhosts = [\"b.example\", \"a.example\"]\n[[rule]]\nid = \"b\"\nhosts = [\"a.example\", \"*.c.example\"]", testOptions())
	if d := cmp.Diff([]string{"*.c.example", "a.example", "b.example"}, s.Hosts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if got := setOf(t, "", testOptions()).Hosts(); len(got) != 0 {
		t.Errorf("no rules: %q", got)
	}
}

// TestLists: lists of thousands are taken, since indicators come so; beyond the
// bounds they are refused, with the place.
func TestLists(t *testing.T) {
	list := func(n int, format string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(format, i/256, i%256))
		}
		return "[" + strings.Join(items, ",\n") + "]"
	}
	s := setOf(t, "[[rule]]\nid = \"r\"\naddresses = "+list(maxValues, `"10.7.%d.%d"`), testOptions())
	m := s.Matcher()
	for remote, want := range map[string]int{"10.7.0.0:1": 1, "10.7.15.255:1": 1, "10.7.16.0:1": 0, "10.6.255.255:1": 0} {
		if got := len(m.Event(event(activity.KindConnect, "192.0.2.1:5", remote, "/x"), nil)); got != want {
			t.Errorf("%s: %d findings", remote, got)
		}
	}
	err := NewBuilder(testOptions()).Add("i.toml", []byte("[[rule]]\nid = \"r\"\naddresses = "+list(maxValues+1, `"10.7.%d.%d"`)))
	if err == nil || !strings.HasPrefix(err.Error(), "i.toml:4099:1: addresses: more than 4096 values") {
		t.Errorf("too many values: %v", err)
	}
	err = NewBuilder(testOptions()).Add("i.toml", []byte("[[rule]]\nid = \"r\"\nprocesses = "+list(maxValues, `"`+strings.Repeat("x", 30)+`%d.%d"`)))
	if err == nil || !strings.Contains(err.Error(), "the expression is longer than 64 KiB") {
		t.Errorf("too long: %v", err)
	}
	var many strings.Builder
	for i := range maxRules + 1 {
		fmt.Fprintf(&many, "[[rule]]\nid = \"r%d\"\nports = 1\n", i)
	}
	if err := NewBuilder(testOptions()).Add("i.toml", []byte(many.String())); err == nil || !strings.Contains(err.Error(), "more than 4096 rules") {
		t.Errorf("too many rules: %v", err)
	}
}

// TestEmpty: a file without rules, and a set without any, find nothing.
func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "# a comment\n", "starter = true\n"} {
		b := NewBuilder(testOptions())
		if err := b.Add("i.toml", []byte(text)); err != nil {
			t.Fatal(err)
		}
		m := built(t, b).Matcher()
		if m.Event(event(activity.KindListen, "0.0.0.0:1", "", "/x"), nil) != nil || m.Socket(&activity.Socket{}, nil) != nil {
			t.Error("nothing finds something")
		}
	}
}
