package interest

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// sigmaRuleText wraps a detection in the shape that published rules have.
func sigmaRuleText(detection string) string {
	return `title: A rule of our own
id: 11111111-2222-3333-4444-555555555555
status: test
description: Detects something
references:
    - https://example.com/
author: Somebody
date: 2026-11-24
tags:
    - attack.execution
logsource:
    category: network_connection
    product: windows
detection:
` + indent(detection) + `
falsepositives:
    - Unknown
level: high
`
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

func sigmaSet(t testing.TB, detection string, opt Options) *Set {
	t.Helper()
	b := NewBuilder(opt)
	if err := b.AddSigma("rule.yml", []byte(sigmaRuleText(detection))); err != nil {
		t.Fatalf("%s\n%v", detection, err)
	}
	return built(t, b)
}

func TestSigma(t *testing.T) {
	win := event(activity.KindConnect, "10.0.0.1:50000", "203.0.113.7:443", `C:\Windows\System32\rundll32.exe`)
	win.Process.Args = []string{"rundll32.exe", "/i", "evil.dll"}
	win.Process.User = `CORP\alice`
	win.Process.Ancestors = []activity.ProcessRef{{Key: activity.ProcessKey{PID: 44}, Name: "Explorer.EXE"}}
	lnx := event(activity.KindConnect, "10.0.0.1:50000", "[2001:db8::1]:4444", "/usr/bin/bash")
	in := event(activity.KindAccept, "10.0.0.1:3389", "203.0.113.7:50000", `C:\Windows\System32\svchost.exe`)
	udp := event(activity.KindFlow, "10.0.0.1:53", "203.0.113.7:50000", `C:\Windows\System32\dns.exe`)
	udp.Proto, udp.Flags = activity.UDP, activity.FlagInbound
	bare := event(activity.KindConnect, "10.0.0.1:50000", "203.0.113.7:443", "")
	opt := testOptions()
	opt.Names = func(a netip.Addr) []string {
		if a == netip.MustParseAddr("203.0.113.7") {
			return []string{"cdn.pastebin.example"}
		}
		return nil
	}
	for _, c := range []struct {
		detection string
		e         *activity.Event
		want      bool
	}{
		{"sel:\n  Image|endswith: '\\rundll32.exe'\n  Initiated: 'true'\ncondition: sel", win, true},
		{"sel:\n  Image|endswith: '\\RUNDLL32.EXE'\ncondition: sel", win, true}, // case does not count
		{"sel:\n  Image|endswith|cased: '\\RUNDLL32.EXE'\ncondition: sel", win, false},
		{"sel:\n  Image|endswith: '\\rundll32.exe'\n  Initiated: 'false'\ncondition: sel", win, false},
		{"sel:\n  DestinationPort: 443\ncondition: sel", win, true},
		{"sel:\n  DestinationPort: [80, 8443]\ncondition: sel", win, false},
		{"sel:\n  DestinationPort|gt: 400\n  DestinationPort|lte: 443\ncondition: sel", win, true},
		{"sel:\n  DestinationPort|startswith: '44'\ncondition: sel", win, true},
		{"sel:\n  SourcePort: 443\ncondition: sel", win, false},
		{"sel:\n  DestinationPort: 3389\n  Initiated: 'false'\ncondition: sel", in, true}, // of what is accepted the peer is the source
		{"sel:\n  SourceIp|cidr: 203.0.113.0/24\ncondition: sel", in, true},
		{"sel:\n  Protocol: udp\n  DestinationPort: 53\ncondition: sel", udp, true},
		{"sel:\n  DestinationIsIpv6: 'true'\ncondition: sel", lnx, true},
		{"sel:\n  DestinationIp: '2001:db8::1'\ncondition: sel", lnx, true},
		{"sel:\n  DestinationIp|startswith: ['10.', '2001:']\ncondition: sel", lnx, true},
		{"sel:\n  Image|endswith: '/bash'\nfilter:\n  DestinationIp|cidr: ['10.0.0.0/8', '2001:db8::/32']\ncondition: sel and not filter", lnx, false},
		{"sel:\n  CommandLine|contains|all: ['/i', 'EVIL']\ncondition: sel", win, true},
		{"sel:\n  CommandLine|contains|all: ['/i', 'good']\ncondition: sel", win, false},
		{"sel:\n  CommandLine|contains|windash: ' -i '\ncondition: sel", win, true},
		{"sel:\n  CommandLine|re: 'evil\\.d.l$'\ncondition: sel", win, true},
		{"sel:\n  CommandLine|re: 'EVIL'\ncondition: sel", win, false},
		{"sel:\n  CommandLine|re|i: 'EVIL'\ncondition: sel", win, true},
		{"sel:\n  CommandLine: null\ncondition: sel", bare, true},
		{"sel:\n  Image: ''\ncondition: sel", bare, true},
		{"sel:\n  Image|exists: false\ncondition: sel", bare, true},
		{"sel:\n  Image|exists: true\ncondition: sel", win, true},
		{"sel:\n  CommandLine: null\ncondition: sel", win, false},
		{"sel:\n  ParentImage|endswith: '\\explorer.exe'\ncondition: sel", win, true},
		{"sel:\n  ParentProcessId: 44\ncondition: sel", win, true},
		{"sel:\n  User|contains: 'alice'\ncondition: sel", win, true},
		{"sel:\n  DestinationHostname|endswith: '.pastebin.example'\ncondition: sel", win, true},
		{"sel:\n  DestinationHostname|endswith: '.other.example'\ncondition: sel", win, false},
		{"sel:\n  - 'evil.dll'\n  - 'nothing'\ncondition: sel", win, true}, // words without a field
		{"sel:\n  - Image|endswith: '\\x.exe'\n  - DestinationPort: 443\ncondition: sel", win, true},
		{"sel_a:\n  DestinationPort: 443\nsel_b:\n  DestinationPort: 444\ncondition: 1 of sel_*", win, true},
		{"sel_a:\n  DestinationPort: 443\nsel_b:\n  DestinationPort: 444\ncondition: all of sel_*", win, false},
		{"sel_a:\n  DestinationPort: 443\n_b:\n  DestinationPort: 444\ncondition: all of them", win, true},
		{"sel_a:\n  DestinationPort: 443\nsel_b:\n  DestinationPort: 444\ncondition: any of them", win, true},
		{"a:\n  DestinationPort: 443\nb:\n  DestinationPort: 444\nc:\n  Protocol: tcp\ncondition: (b or a) AND NOT (b and c)", win, true},
		{"a:\n  DestinationPort: 443\nb:\n  DestinationPort: 444\ncondition:\n  - b\n  - a", win, true},
		{"sel:\n  Image: 'C:\\Windows\\\\*\\rundll32.exe'\ncondition: sel", win, true},
		{"sel:\n  Image: 'C:\\Windows\\System32\\rundll??.exe'\ncondition: sel", win, true},
		{"sel:\n  Image|contains: '\\*'\ncondition: sel", win, false},          // a star that is meant
		{"sel:\n  Image|startswith: C:\\Windows\\\ncondition: sel", win, true}, // the last backslash is one
		{"sel:\n  Image|contains: ':\\Windows\\'\ncondition: sel", win, true},
		{"sel:\n  Image|contains: ':\\Windows\\*'\ncondition: sel", win, false},
		{"sel:\n  - ':\\Windows\\'\ncondition: sel", win, true},
		{"sel:\n  Image|endswith: '\\rundll*.exe'\ncondition: sel", win, true},
		{"sel:\n  DestinationPort|contains: '44'\n  DestinationPort|re: '^4[0-9]{2}$'\ncondition: sel", win, true},
		{"sel:\n  DestinationIp|startswith: ['172.16.', '203.0.']\ncondition: sel", win, true},
		{"sel:\n  EventID: 3\ncondition: sel", win, true},
		{"sel:\n  DestinationPort: 443\ncondition: sel", event(activity.KindClose, "10.0.0.1:50000", "203.0.113.7:443", ""), false}, // Sysmon tells no end
		{"sel:\n  DestinationPort: 22\ncondition: not sel", event(activity.KindListen, "10.0.0.1:50000", "", ""), false},
	} {
		m := sigmaSet(t, c.detection, opt).Matcher()
		for range 2 {
			if got := len(m.Event(c.e, nil)) == 1; got != c.want {
				t.Errorf("%s\nof %v %v %v: %v", c.detection, c.e.Kind, c.e.Local, c.e.Remote, got)
			}
		}
	}
}

// TestSigmaRule: what is told of a rule, and that a file may have several.
func TestSigmaRule(t *testing.T) {
	b := NewBuilder(testOptions())
	one := sigmaRuleText("sel:\n  DestinationHostname: x\ncondition: sel")
	two := strings.Replace(one, "id: 1111", "id: 9999", 1)
	if err := b.AddSigma("dir/A rule.yml", []byte(one+"---\n"+two)); err != nil {
		t.Fatal(err)
	}
	if err := b.AddSigma("other.yml", []byte(one)); err == nil || !strings.Contains(err.Error(), "is taken, by dir/A rule.yml:") {
		t.Errorf("the same id twice: %v", err)
	}
	noID := strings.Replace(one, "id: ", "x: ", 1)
	if err := b.AddSigma("dir/A Rule.yml", []byte(noID)); err != nil {
		t.Fatal(err)
	}
	rules := built(t, b).Rules()
	if len(rules) != 3 {
		t.Fatalf("%+v", rules)
	}
	want := Rule{ID: "11111111-2222-3333-4444-555555555555", Title: "A rule of our own", Reason: "A rule of our own", Severity: activity.SeverityHigh,
		Source: "Sigma, by Somebody", File: "dir/A rule.yml", Line: 1, About: `Sigma: DestinationHostname: "x"`, Needs: "names of addresses"}
	if d := cmp.Diff(want, rules[0]); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if rules[2].ID != "a-rule" {
		t.Errorf("the id of a rule without one: %q", rules[2].ID)
	}
}

func TestSigmaErrors(t *testing.T) {
	rule := sigmaRuleText
	for _, c := range []struct{ text, want string }{
		{rule("sel:\n  Imgae: x\ncondition: sel"), `r.yml:16:7: the field "Imgae" is not on record; did you mean "Image"?`},
		{rule("sel:\n  Hashes: x\ncondition: sel"), `r.yml:16:7: the field "Hashes" is not on record`},
		{rule("sel:\n  Image|endwith: x\ncondition: sel"), `r.yml:16:7: unknown modifier "endwith" of Image; did you mean "endswith"?`},
		{rule("sel:\n  Image|base64: x\ncondition: sel"), `r.yml:16:7: unknown modifier "base64" of Image`},
		{rule("sel:\n  DestinationIp|expand: '%dc%'\ncondition: sel"), `r.yml:16:29: DestinationIp|expand: the placeholder in "%dc%" has no value here`},
		{rule("sel:\n  DestinationIp|cidr: 'x'\ncondition: sel"), `r.yml:16:27: DestinationIp|cidr: "x" is no network`},
		{rule("sel:\n  Image|re: '('\ncondition: sel"), `r.yml:16:17: Image|re: `},
		{rule("sel:\n  Image|gt: 5\ncondition: sel"), `r.yml:16:17: Image|gt: only ports`},
		{rule("sel:\n  Image: []\ncondition: sel"), `r.yml:16:14: Image: the list is empty`},
		{rule("sel:\n  Image: {a: b}\ncondition: sel"), `r.yml:16:14: Image: want a text or a list of texts`},
		{rule("sel:\n  Image: x\ncondition: sle"), `r.yml:17:16: condition: there is no "sle" in the detection: it has sel; did you mean "sel"?`},
		{rule("sel:\n  Image: x\ncondition: 1 of filter*"), `r.yml:17:16: condition: nothing in the detection is called filter*: it has sel`},
		{rule("sel:\n  Image: x\ncondition: 2 of sel"), `r.yml:17:16: condition: "2" of: want 1, any or all`},
		{rule("sel:\n  Image: x\ncondition: sel and"), `r.yml:17:16: condition: something is missing at its end`},
		{rule("sel:\n  Image: x\ncondition: (sel"), `r.yml:17:16: condition: a parenthesis is not closed`},
		{rule("sel:\n  Image: x\ncondition: sel sel"), `r.yml:17:16: condition: unexpected "sel"`},
		{rule("sel:\n  Image: x\ncondition: sel | count() by Image > 3"), `r.yml:17:16: condition: an aggregation`},
		{rule("sel:\n  Image: x\ntimeframe: 5m\ncondition: sel"), `r.yml:17:5: a time frame`},
		{rule("sel:\n  Image: x"), `r.yml:15:5: detection has no condition`},
		{rule("sel:\n  Image: x\ncondition: " + strings.Repeat("(", 40) + "sel"), `r.yml:17:16: condition: nested more than`},
		{"title: x\nlogsource:\n  category: process_creation\n  product: windows\ndetection: {}", `r.yml:1:1: its log source is category process_creation, product windows, not category network_connection`},
		{"title: x\nlogsource:\n  category: network_connection\n", `r.yml:1:1: it has no detection`},
		{"title: x\ncorrelation:\n  type: event_count\n", `r.yml:1:1: a correlation of other rules`},
		{"action: global\ntitle: x", `r.yml:1:1: action "global"`},
		{strings.Replace(rule("sel:\n  Image: x\ncondition: sel"), "level: high", "level: hihg", 1), `r.yml:1:1: level: unknown severity "hihg"`},
		{"", `r.yml: the file is empty`},
		{"a: [", `r.yml: line 1: `},
		{"- 1\n- 2", `r.yml:1: no Sigma rule: `},
		{"a: &a [1]\nb: *a", `r.yml:1:1: nested more than`},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), `r.yml:1:1: nested more than`},
		{strings.Repeat("#", maxFile+1), `r.yml: larger than`},
		{rule("sel:\n  Image: [" + strings.Repeat("x,", maxSigmaValues+1) + "]\ncondition: sel"), `r.yml:16:`},
	} {
		err := NewBuilder(testOptions()).AddSigma("r.yml", []byte(c.text))
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%.200s: %v is no *Error", c.text, err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%.200s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestSigmaPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`a*c`, "abbc", true}, {`a*c`, "abb", false}, {`a?c`, "abc", true}, {`a?c`, "ac", false}, {`*`, "", true}, {`**a**`, "bab", true},
		{`\*`, "*", true}, {`\*`, "x", false}, {`a\b`, `a\b`, true}, {`a\\b`, `a\\b`, true}, {`a\\*`, `a\bcd`, true}, {`a\\\*`, `a\*`, true},
		{`\`, `\`, true}, {`*\x`, `C:\x`, true}, {"ÄÖ*", "äöü", true}, {`a?`, "aü", true}, {"a*b*c", "abxbxc", true}, {"x", "", false}, {"", "", true},
	} {
		p := newSigmaPattern(c.pattern, false)
		if got := p.match(strings.ToLower(c.value), true); got != c.want {
			t.Errorf("%s of %s: %v", c.pattern, c.value, got)
		}
	}
}

// TestSigmaHints: a rule about ports costs nothing to events on others.
func TestSigmaHints(t *testing.T) {
	for _, c := range []struct {
		condition string
		want      []filter.PortRange
	}{
		{"ports", []filter.PortRange{{Lo: 22, Hi: 22}, {Lo: 23, Hi: 23}}},
		{"ports and image", []filter.PortRange{{Lo: 22, Hi: 22}, {Lo: 23, Hi: 23}}},
		{"ports or image", nil},
		{"not ports", nil},
		{"image and not other", nil},
		{"not (not ports or image)", []filter.PortRange{{Lo: 22, Hi: 22}, {Lo: 23, Hi: 23}}},
		{"ports or other", []filter.PortRange{{Lo: 22, Hi: 22}, {Lo: 23, Hi: 23}, {Lo: 80, Hi: 80}}},
		{"ports and other", []filter.PortRange{{Lo: 80, Hi: 80}}},
	} {
		s := sigmaSet(t, "ports:\n  DestinationPort: [22, 23]\nother:\n  SourcePort: 80\nimage:\n  Image: x\ncondition: "+c.condition, testOptions())
		if d := cmp.Diff(c.want, s.rules[0].hints.Ports); d != "" {
			t.Errorf("%s: -want +got\n%s", c.condition, d)
		}
	}
}

// FuzzSigma: no file crashes the reader, an error is one line and leaves the
// builder as it was but for whole rules, and what loads can be asked.
func FuzzSigma(f *testing.F) {
	f.Add([]byte(sigmaRuleText("sel:\n  Image|endswith: '\\x.exe'\n  DestinationPort: [1, 2]\nfilter_a:\n  - word\n  - DestinationIp|cidr: 10.0.0.0/8\ncondition: sel and not 1 of filter_*")))
	f.Add([]byte(sigmaRuleText("sel:\n  CommandLine|contains|all|windash: [' -a', '*?\\*']\n  Image: null\ncondition: all of them")))
	f.Add([]byte("title: x\n---\n- a\n"))
	events := []*activity.Event{event(activity.KindConnect, "10.0.0.1:50000", "203.0.113.7:443", "/usr/bin/bash"), event(activity.KindFlow, "10.0.0.1:5", "[::1]:4", "")}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewBuilder(testOptions())
		err := b.AddSigma("f.yml", data)
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("an error of several lines: %q", err)
		}
		s := built(t, b)
		m := s.Matcher()
		for _, e := range events {
			found := m.Event(e, nil)
			var want []activity.Finding
			for i := range s.rules {
				if r := &s.rules[i]; r.match(e, nil, &s.opt, false) {
					want = append(want, r.finding(e, &s.opt, change{}))
				}
			}
			if d := cmp.Diff(want, found); d != "" {
				t.Errorf("the index disagrees: %s", d)
			}
		}
		_ = fmt.Sprint(s.Rules())
	})
}

// FuzzAdd does the same for rule files.
func FuzzAdd(f *testing.F) {
	f.Add([]byte("[[rule]]\nid = \"a\"\nports = [22, \"tcp/5-6\"]\nwhen = \"kind:listen -user:root\"\n[rule.belongs]\nsshd = \"/usr/sbin\"\n"))
	f.Add([]byte("starter = false\ndisable = \"x\"\n[[rule]]\nid = \"b\"\naddresses = [\"::/0\", \"1.2.3.4\"]\nhosts = \"*.a.b\"\ncondition = \"widened\"\n"))
	f.Add(starterRules)
	events := []*activity.Event{event(activity.KindListen, "0.0.0.0:22", "", "/usr/bin/bash"), event(activity.KindConnect, "10.0.0.1:50000", "1.2.3.4:443", "/x/sshd")}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewBuilder(testOptions())
		if err := b.Add("f.toml", data); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("an error of several lines: %q", err)
			}
			if len(b.rules) != 0 {
				t.Errorf("%d rules after an error", len(b.rules))
			}
			return
		}
		s, err := b.Set()
		if err != nil {
			return
		}
		m := s.Matcher()
		for _, e := range events {
			for _, found := range m.Event(e, nil) {
				if found.Rule == "" || found.Severity == activity.SeverityNone {
					t.Errorf("a finding that says nothing: %+v", found)
				}
			}
		}
	})
}
