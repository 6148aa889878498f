package render

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/portreporter/portreporter/internal/probe"
)

func results() []probe.Result {
	start := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	target := func(proto probe.Proto, port uint16, service string) probe.Target {
		return probe.Target{Host: "web1", Addr: netip.MustParseAddr("192.0.2.1"), Proto: proto, Port: port, Service: service}
	}
	six := probe.Target{Addr: netip.MustParseAddr("2001:db8::1"), Proto: probe.UDP, Port: 53}
	return []probe.Result{
		{Target: target(probe.TCP, 22, "ssh"), Verdict: probe.Listening, Start: start, Took: 30e6, Asked: "ssh",
			Evidence: probe.Evidence{Sign: probe.Accepted, Tries: 1, RTT: 400e3},
			Answer: &probe.Answer{Protocol: "ssh", Summary: "OpenSSH_9.2p1", Fields: []probe.Field{
				{Name: "banner", Values: []string{"SSH-2.0-OpenSSH_9.2p1\r\n"}}, {Name: "host key algorithms", Values: strings.Split("a b c d e f g h i j k l m n", " ")}}}},
		{Target: target(probe.TCP, 80, ""), Verdict: probe.Listening, Start: start, Evidence: probe.Evidence{Sign: probe.Accepted, Tries: 1, RTT: 400e3}},
		{Target: target(probe.TCP, 81, ""), Verdict: probe.NotListening, Start: start, Evidence: probe.Evidence{Sign: probe.Reset, Tries: 1, RTT: 300e3}},
		{Target: target(probe.TCP, 82, ""), Verdict: probe.Filtered, Start: start, Evidence: probe.Evidence{Sign: probe.Silence, Tries: 3}},
		{Target: target(probe.TCP, 83, ""), Verdict: probe.Filtered, Start: start, Evidence: probe.Evidence{Sign: probe.ICMP, ICMPType: 3, ICMPCode: 13, From: netip.MustParseAddr("198.51.100.1"), Tries: 1}},
		{Target: target(probe.TCP, 84, ""), Verdict: probe.Filtered, Start: start, Evidence: probe.Evidence{Sign: probe.ICMP, ICMPType: 3, ICMPCode: 200, From: netip.MustParseAddr("192.0.2.1"), Tries: 1}},
		{Target: target(probe.UDP, 123, "ntp"), Verdict: probe.ListeningOrFiltered, Start: start, Evidence: probe.Evidence{Sign: probe.Silence, Tries: 1, Limited: true}},
		{Target: target(probe.UDP, 124, ""), Verdict: probe.NotListening, Start: start, Evidence: probe.Evidence{Sign: probe.ICMP, ICMPType: 3, ICMPCode: 3, From: netip.MustParseAddr("192.0.2.1"), Tries: 1}},
		{Target: six, Verdict: probe.Filtered, Start: start, Asked: "dns", Evidence: probe.Evidence{Sign: probe.Silence, Tries: 2}},
		{Target: six, Verdict: probe.Listening, Start: start, Evidence: probe.Evidence{Sign: probe.Reply, Tries: 1, RTT: 1e6}},
		{Target: six, Start: start, Evidence: probe.Evidence{Sign: probe.LocalFail, Tries: 1, Err: errors.New("connect: network is unreachable")}},
	}
}

func TestGoldenResults(t *testing.T) {
	all := results()
	plain := Query{Options: Options{Width: 120}, Hosts: true}
	explained := Query{Options: Options{Width: 80}, Hosts: true, Explain: true}
	golden(t, "results.txt", plain.AppendResults(nil, all))
	golden(t, "results.one-host.txt", Query{}.AppendResults(nil, all[:8]))
	golden(t, "results.explained.txt", explained.AppendResults(nil, all))
	var lines []byte
	c := ResultCSV(Options{})
	table := c.AppendHeader(nil)
	for i := range all {
		lines = AppendResultJSON(lines, &all[i])
		table = c.Append(table, &all[i])
	}
	checkLines(t, lines)
	golden(t, "results.jsonl", lines)
	golden(t, "results.csv", table)
}

// A scan of all ports does not scroll what listens off the screen.
func TestManyResults(t *testing.T) {
	few := results()
	var all []probe.Result
	for port := range 2000 {
		r := few[2]
		r.Target.Port = uint16(port + 1000)
		all = append(all, r)
	}
	all = append(all, few[0], few[3])
	out := string(Query{}.AppendResults(nil, all))
	for _, want := range []string{"22/tcp", "and 2000 ports NOT LISTENING\n", "and 1 port FILTERED\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n > 30 {
		t.Errorf("%d lines", n)
	}
}

// Every verdict and sign has an explanation, and none is wider than the screen.
func TestExplain(t *testing.T) {
	for _, r := range results() {
		means, _ := Explain(&r)
		if means == "" {
			t.Errorf("%v %v is not explained", r.Verdict, r.Evidence)
		}
		for line := range strings.Lines(string(Query{Options: Options{Width: 60}, Explain: true}.appendDetail(nil, &r))) {
			if w := displaywidth.String(strings.TrimSuffix(line, "\n")); w > 60 && !strings.HasPrefix(line, "  host key") {
				t.Errorf("%d columns: %q", w, line)
			}
		}
	}
}

// What a peer says reaches neither the terminal nor the document raw.
func FuzzResult(f *testing.F) {
	f.Add("\x1b[2J\r\n<script>", "a,b\"c")
	f.Fuzz(func(t *testing.T, s, name string) {
		r := results()[0]
		r.Answer = &probe.Answer{Protocol: "x", Summary: s, Fields: []probe.Field{{Name: name, Values: []string{s}}}}
		r.Target.Host, r.Target.Service = s, s
		line := AppendResultJSON(nil, &r)
		if !json.Valid(line) || strings.Count(string(line), "\n") != 1 {
			t.Errorf("not a line of JSON: %q", line)
		}
		for _, out := range [][]byte{Query{Hosts: true}.AppendResults(nil, []probe.Result{r}), PortQry{Verbose: true, Community: s}.AppendResult(nil, &r), line} {
			if strings.ContainsAny(string(out), "\x1b\x07\u009b") {
				t.Errorf("control characters reach the terminal: %q", out)
			}
		}
	})
}
