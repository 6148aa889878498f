package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
	"github.com/portreporter/portreporter/internal/probe"
)

// verdictWord is a verdict as JSON, CSV and files of expectations have it.
func verdictWord(v probe.Verdict) string {
	switch v {
	case probe.Listening:
		return "listening"
	case probe.NotListening:
		return "not-listening"
	case probe.Filtered:
		return "filtered"
	case probe.ListeningOrFiltered:
		return "listening-or-filtered"
	}
	return "unknown"
}

func signWord(s probe.Sign) string {
	switch s {
	case probe.Accepted:
		return "accepted"
	case probe.Reset:
		return "reset"
	case probe.ICMP:
		return "icmp"
	case probe.Reply:
		return "reply"
	case probe.Silence:
		return "silence"
	case probe.LocalFail:
		return "local-fail"
	}
	return ""
}

// icmpWords names an ICMP error of the target's IP version (IANA, ICMP and
// ICMPv6 parameters).
func icmpWords(target netip.Addr, kind, code uint8) string {
	v4 := map[[2]uint8]string{
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 9}: "network prohibited", {3, 10}: "host prohibited", {3, 13}: "administratively prohibited", {11, 0}: "time exceeded",
	}
	v6 := map[[2]uint8]string{
		{1, 0}: "no route", {1, 1}: "administratively prohibited", {1, 2}: "beyond scope", {1, 3}: "address unreachable",
		{1, 4}: "port unreachable", {1, 5}: "source address failed policy", {1, 6}: "reject route", {3, 0}: "time exceeded",
	}
	words := v4
	if target.Is6() {
		words = v6
	}
	if w := words[[2]uint8{kind, code}]; w != "" {
		return w
	}
	return fmt.Sprintf("ICMP type %d code %d", kind, code)
}

// why is what a verdict rests on, in a few words.
func why(r *probe.Result) string {
	e := &r.Evidence
	switch e.Sign {
	case probe.Accepted:
		return "connected"
	case probe.Reset:
		return "refused (RST)"
	case probe.Reply:
		return "answered"
	case probe.ICMP:
		s := icmpWords(r.Target.Addr, e.ICMPType, e.ICMPCode)
		if e.From.IsValid() && e.From != r.Target.Addr {
			s += ", said by " + e.From.String()
		}
		return s
	case probe.Silence:
		s := "no answer"
		if e.Tries > 1 {
			s += fmt.Sprintf(" in %d tries", e.Tries)
		}
		if e.Limited {
			s += ", from a host that limits its refusals"
		}
		return s
	case probe.LocalFail:
		if e.Err != nil {
			return "could not be sent: " + Safe(e.Err.Error())
		}
		return "could not be sent"
	}
	return ""
}

// Explain says what a result usually means, and what to look at next, a
// sentence each.
func Explain(r *probe.Result) (means string, next []string) {
	port := strconv.Itoa(int(r.Target.Port))
	here := "on that host, `portreporter list port:" + port + "` shows who has the port, and on which address"
	fw := "on that host, look at its firewall (nft list ruleset; Get-NetFirewallRule); between, at what routers and security groups let through"
	switch e := &r.Evidence; {
	case r.Verdict == probe.Listening && r.Answer != nil && r.Answer.Protocol != "":
		return "The service is there and speaks " + r.Answer.Protocol + ".", nil
	case r.Verdict == probe.Listening && r.Target.Proto == probe.TCP:
		return "Something accepted the connection: the program itself, or a proxy, load balancer or port forwarder before it.",
			[]string{"nothing that was asked was understood: name the protocol with --as, or ask with the program's own client"}
	case r.Verdict == probe.Listening:
		return "Something answered.", nil
	case e.Sign == probe.Reset:
		return "The host is up, and no program listens there; or a firewall refuses in the host's name, with a RST.",
			[]string{here, "the program may listen on 127.0.0.1 alone, on another port, or not run: `portreporter who " + port + "` tells since when"}
	case r.Verdict == probe.NotListening:
		return "The host is up and says that no program has the UDP port; a firewall can say that too.", []string{here}
	case e.Sign == probe.ICMP && e.From.IsValid() && e.From != r.Target.Addr:
		return fmt.Sprintf("%s, on the way, says: %s. It is a router that has no way to the host, or a firewall that refuses.",
			e.From, icmpWords(r.Target.Addr, e.ICMPType, e.ICMPCode)), []string{"look at the rules and routes of " + e.From.String()}
	case e.Sign == probe.ICMP:
		return "The host's own firewall refuses, and says so: " + icmpWords(r.Target.Addr, e.ICMPType, e.ICMPCode) + ".", []string{fw}
	case e.Sign == probe.Silence && r.Target.Proto == probe.TCP:
		return "Nothing came back: a firewall drops, the host is down or not routed, or the program's accept queue is full.",
			[]string{"if other ports of the host answer, it is a firewall or the queue: `ss -ltn` there shows Recv-Q above Send-Q", fw}
	case r.Verdict == probe.Filtered:
		return "The protocol's own question was not answered, though it always is: a firewall drops it, or the answer.", []string{fw}
	case e.Sign == probe.Silence:
		return "Nothing came back, as from a program that answers only what it knows, and as from a firewall that drops.",
			[]string{here, "ask in the protocol's words: --as NAME"}
	case e.Sign == probe.LocalFail:
		return "The test could not leave this host.", []string{"look at this host's own routes, addresses and firewall"}
	}
	return "", nil
}

// Query is how results of `portreporter query` are written.
type Query struct {
	Options
	Explain bool
	Hosts   bool // several hosts were asked: each row names its own
}

// detailLines is how many values of an answer stand below the table.
const detailLines = 12

// AppendResults appends results as a table, and below it what each service
// said. Refused and silent ports beyond a few are counted instead of shown.
func (q Query) AppendResults(b []byte, results []probe.Result) []byte {
	shown, quiet := q.worth(results)
	if len(shown) > 0 {
		t := resultTable(shown, q.Hosts)
		opt := q.Options
		g := newGrid(t, &opt, newPalette(q.Color))
		b = g.append(b)
	}
	for _, v := range []probe.Verdict{probe.NotListening, probe.Filtered, probe.ListeningOrFiltered} {
		if n := quiet[v]; n > 0 {
			b = fmt.Appendf(b, "and %s %s\n", things(n, "port"), v)
		}
	}
	for i := range shown {
		b = q.appendDetail(b, &shown[i])
	}
	return b
}

// manyPorts is from how many results of one host's kind the ports that do not
// listen are counted, not listed.
const manyPorts = 40

func (q Query) worth(results []probe.Result) (shown []probe.Result, quiet map[probe.Verdict]int) {
	quiet = map[probe.Verdict]int{}
	if len(results) <= manyPorts {
		return results, quiet
	}
	for _, r := range results {
		if r.Verdict == probe.Listening || r.Verdict == probe.NoVerdict {
			shown = append(shown, r)
		} else {
			quiet[r.Verdict]++
		}
	}
	return shown, quiet
}

func resultTable(results []probe.Result, hosts bool) *analyse.Table {
	t := &analyse.Table{Columns: []analyse.Column{
		{Name: "host", Title: "HOST", Type: analyse.Text},
		{Name: "port", Title: "PORT", Type: analyse.Text},
		{Name: "service", Title: "SERVICE", Type: analyse.Text, Rank: 2},
		{Name: "verdict", Title: "VERDICT", Type: analyse.Text},
		{Name: "rtt", Title: "RTT", Type: analyse.Nanos, Rank: 3},
		{Name: "why", Title: "WHY", Type: analyse.Text, Rank: 1},
		{Name: "answer", Title: "ANSWER", Type: analyse.Prose, Rank: 1},
	}}
	var rows [][]analyse.Cell
	for i := range results {
		r := &results[i]
		row := []analyse.Cell{{Text: hostCell(r)}, {Text: strconv.Itoa(int(r.Target.Port)) + "/" + r.Target.Proto.String()}, {Text: r.Target.Service},
			{Text: r.Verdict.String()}, {N: int64(r.Evidence.RTT), Unknown: r.Evidence.RTT == 0}, {Text: why(r)}, {Text: answerCell(r.Answer)}}
		rows = append(rows, row)
	}
	if !hosts {
		t.Columns = t.Columns[1:]
		for i := range rows {
			rows[i] = rows[i][1:]
		}
	}
	t.Len, t.Rows = len(rows), slices.Values(rows)
	return t
}

func hostCell(r *probe.Result) string {
	if r.Target.Host == "" || r.Target.Host == r.Target.Addr.String() {
		return r.Target.Addr.String()
	}
	return r.Target.Host + " (" + r.Target.Addr.String() + ")"
}

func answerCell(a *probe.Answer) string {
	switch {
	case a == nil:
		return ""
	case a.Protocol == "": // nobody's that is known
		return a.Summary
	case a.Summary == "":
		return a.Protocol
	}
	return a.Protocol + ": " + a.Summary
}

func (q Query) appendDetail(b []byte, r *probe.Result) []byte {
	fields := 0
	if r.Answer != nil {
		fields = len(r.Answer.Fields)
	}
	if fields == 0 && !q.Explain {
		return b
	}
	pal := newPalette(q.Color)
	b = append(append(b, '\n'), pal.head.on...)
	if q.Hosts {
		b = append(appendSafe(b, hostCell(r)), ' ')
	}
	b = fmt.Appendf(b, "%d/%s %s", r.Target.Port, r.Target.Proto, r.Verdict)
	b = append(append(b, pal.head.off...), '\n')
	if r.Answer != nil {
		b = appendFields(b, r.Answer.Fields)
	}
	if q.Explain {
		means, next := Explain(r)
		b = q.appendParagraph(b, "  ", "  ", means)
		for _, n := range next {
			b = q.appendParagraph(b, "  - ", "    ", n)
		}
	}
	return b
}

// appendParagraph appends text, wrapped to the terminal, what is before its
// first line and before the others in front.
func (q Query) appendParagraph(b []byte, first, others, text string) []byte {
	before := first
	for _, line := range wrapped(text, max(q.Width-len(others), 0)) {
		b = append(append(append(b, before...), line...), '\n')
		before = others
	}
	return b
}

// shortValue is the length up to which an answer's values stand side by side.
const shortValue = 32

// appendFields appends an answer's facts: a line a value, short ones on one
// line; long lists are cut.
func appendFields(b []byte, fields []probe.Field) []byte {
	for _, f := range fields {
		many := slices.ContainsFunc(f.Values, func(v string) bool { return len(v) > shortValue })
		for i, v := range f.Values {
			more := len(f.Values) - i
			v = strings.TrimRight(v, "\r\n")
			switch {
			case i == detailLines && many:
				b = fmt.Appendf(b, "  %s: and %d more\n", Safe(f.Name), more)
			case i == detailLines:
				b = fmt.Appendf(b, ", and %d more", more)
			case i > detailLines:
			case i == 0 || many:
				b = appendSafe(append(appendSafe(append(b, "  "...), f.Name), ": "...), v)
			default:
				b = appendSafe(append(b, ", "...), v)
			}
			if i < detailLines && many || more == 1 && !many {
				b = append(b, '\n')
			}
		}
	}
	return b
}

// AppendResultJSON appends a result as one line of JSON, version 1.
func AppendResultJSON(b []byte, r *probe.Result) []byte {
	b = append(b, '{')
	b = appendUintField(b, "v", SchemaVersion)
	b = appendStringField(b, "time", r.Start.UTC().Format(time.RFC3339Nano))
	b = appendIf(b, "host", r.Target.Host)
	b = appendStringField(b, "ip", r.Target.Addr.String())
	b = appendWord(b, "proto", r.Target.Proto.String())
	b = appendUintField(b, "port", uint64(r.Target.Port))
	b = appendIf(b, "service", r.Target.Service)
	b = appendWord(b, "verdict", verdictWord(r.Verdict))
	b = appendEvidence(b, r)
	b = appendUintField(b, "took_ns", uint64(max(r.Took, 0)))
	b = appendIf(b, "asked", r.Asked)
	if a := r.Answer; a != nil {
		b = append(appendKey(b, "answer"), '{')
		b = appendKnown(b, "protocol", a.Protocol)
		b = appendIf(b, "summary", a.Summary)
		if len(a.Fields) > 0 {
			b = appendFieldsJSON(b, a.Fields)
		}
		b = append(b, '}')
	}
	return append(b, '}', '\n')
}

func appendEvidence(b []byte, r *probe.Result) []byte {
	e := &r.Evidence
	b = appendIf(b, "sign", signWord(e.Sign))
	if e.Sign == probe.ICMP {
		b = append(appendKey(b, "icmp"), '{')
		b = appendUintField(b, "type", uint64(e.ICMPType))
		b = appendUintField(b, "code", uint64(e.ICMPCode))
		b = appendStringField(b, "words", icmpWords(r.Target.Addr, e.ICMPType, e.ICMPCode))
		if e.From.IsValid() {
			b = appendStringField(b, "from", e.From.String())
		}
		b = append(b, '}')
	}
	b = appendUintField(b, "tries", uint64(e.Tries))
	if e.Limited {
		b = appendBool(b, "limited", true)
	}
	if e.RTT > 0 {
		b = appendUintField(b, "rtt_ns", uint64(e.RTT))
	}
	if e.Err != nil {
		b = appendStringField(b, "error", e.Err.Error())
	}
	return b
}

// appendFieldsJSON keeps the fields' order, and fields of the same name apart:
// an array of names and values.
func appendFieldsJSON(b []byte, fields []probe.Field) []byte {
	b = append(appendKey(b, "fields"), '[')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendStringField(b, "name", f.Name)
		b = append(appendKey(b, "values"), '[')
		for j, v := range f.Values {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendString(b, v)
		}
		b = append(b, ']', '}')
	}
	return append(b, ']')
}

// ResultCSV returns a writer of results, with the names of the JSON.
func ResultCSV(opt Options) *CSV[*probe.Result] {
	type r = *probe.Result
	text := func(name string, f func(r) string) cell[r] {
		return cell[r]{name, func(b []byte, v r, _ *Options) []byte { return append(b, f(v)...) }}
	}
	number := func(name string, f func(r) int64) cell[r] {
		return cell[r]{name, func(b []byte, v r, _ *Options) []byte {
			if n := f(v); n > 0 {
				b = strconv.AppendInt(b, n, 10)
			}
			return b
		}}
	}
	return &CSV[r]{opt: opt, cells: []cell[r]{
		{"v", func(b []byte, _ r, _ *Options) []byte { return strconv.AppendInt(b, SchemaVersion, 10) }},
		text("time", func(v r) string { return v.Start.UTC().Format(time.RFC3339Nano) }),
		text("host", func(v r) string { return v.Target.Host }),
		text("ip", func(v r) string { return v.Target.Addr.String() }),
		text("proto", func(v r) string { return v.Target.Proto.String() }),
		number("port", func(v r) int64 { return int64(v.Target.Port) }),
		text("service", func(v r) string { return v.Target.Service }),
		text("verdict", func(v r) string { return verdictWord(v.Verdict) }),
		text("sign", func(v r) string { return signWord(v.Evidence.Sign) }),
		text("why", func(v r) string { return why(v) }),
		number("tries", func(v r) int64 { return int64(v.Evidence.Tries) }),
		number("rtt_ns", func(v r) int64 { return int64(v.Evidence.RTT) }),
		number("took_ns", func(v r) int64 { return int64(v.Took) }),
		text("asked", func(v r) string { return v.Asked }),
		text("answer", func(v r) string { return answerCell(v.Answer) }),
	}}
}

// AppendGroups appends a list of groups: names, and what each is.
func AppendGroups(b []byte, groups [][2]string) []byte {
	for _, g := range groups {
		b = fmt.Appendf(b, "%-20s %s\n", Safe(g[0]), Safe(g[1]))
	}
	return b
}

// AppendChange appends one line: a result, and what it was before; nil is the
// first of its target.
func (q Query) AppendChange(b []byte, r, before *probe.Result) []byte {
	pal := newPalette(q.Color)
	at := r.Start
	if q.Location != nil {
		at = at.In(q.Location)
	}
	b = append(append(at.AppendFormat(append(b, pal.dim.on...), time.DateTime), pal.dim.off...), ' ', ' ')
	if q.Hosts {
		b = append(appendSafe(b, hostCell(r)), ' ')
	}
	b = fmt.Appendf(b, "%d/%s  ", r.Target.Port, r.Target.Proto)
	if before != nil && before.Verdict != r.Verdict {
		b = fmt.Appendf(b, "%s -> ", before.Verdict)
	}
	b = fmt.Appendf(b, "%s  %s", r.Verdict, why(r))
	if s := answerCell(r.Answer); s != "" {
		b = appendSafe(append(b, "  "...), s)
	}
	return append(b, '\n')
}

// AppendDifference appends one line: a result that is not what was expected at a
// place in a file.
func (q Query) AppendDifference(b []byte, r *probe.Result, want probe.Verdict, place string) []byte {
	b = fmt.Appendf(b, "%s: ", Safe(place))
	b = appendSafe(b, hostCell(r))
	return fmt.Appendf(b, " %d/%s is %s (%s), expected %s\n", r.Target.Port, r.Target.Proto, r.Verdict, why(r), want)
}

// LocalResult is the test of a port of this machine, and who has it open.
type LocalResult struct {
	probe.Result
	Socket *activity.Socket // nil: nobody is known to
	Note   string           // what does not fit together; "" nothing
}

// AppendLocal appends the machine's own ports as a table: what does not fit comes
// first.
func (q Query) AppendLocal(b []byte, found []LocalResult) []byte {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(x, y LocalResult) int {
		switch {
		case x.Note != "" && y.Note == "":
			return -1
		case y.Note != "" && x.Note == "":
			return 1
		}
		return 0
	})
	t := &analyse.Table{Columns: []analyse.Column{
		{Name: "address", Title: "ADDRESS", Type: analyse.Text},
		{Name: "port", Title: "PORT", Type: analyse.Text},
		{Name: "process", Title: "PROCESS", Type: analyse.Text},
		{Name: "verdict", Title: "VERDICT", Type: analyse.Text},
		{Name: "why", Title: "WHY", Type: analyse.Text, Rank: 2},
		{Name: "answer", Title: "ANSWER", Type: analyse.Text, Rank: 1},
		{Name: "note", Title: "NOTE", Type: analyse.Prose, Rank: 1},
	}}
	odd := 0
	var rows [][]analyse.Cell
	for i := range found {
		l := &found[i]
		who := ""
		if l.Socket != nil {
			who = string(appendProcessCell(nil, l.Socket, known(l.Socket.Process)))
		}
		if l.Note != "" {
			odd++
		}
		rows = append(rows, []analyse.Cell{{Text: l.Target.Addr.String()}, {Text: strconv.Itoa(int(l.Target.Port)) + "/" + l.Target.Proto.String()},
			{Text: who}, {Text: l.Verdict.String()}, {Text: why(&l.Result)}, {Text: answerCell(l.Answer)}, {Text: l.Note}})
	}
	if len(found) == 0 {
		return append(b, "nothing is open here\n"...)
	}
	opt := q.Options
	t.Len, t.Rows = len(rows), slices.Values(rows)
	b = newGrid(t, &opt, newPalette(q.Color)).append(b)
	if odd == 0 {
		return append(b, "\neverything answers as it is on record\n"...)
	}
	verb := "does"
	if odd > 1 {
		verb = "do"
	}
	return fmt.Appendf(b, "\n%s of %d %s not fit\n", things(odd, "test"), len(found), verb)
}

// AppendLocalJSON appends a result with "on_record", the process that has the
// port open, and what does not fit.
func AppendLocalJSON(b []byte, l *LocalResult) []byte {
	b = AppendResultJSON(b, &l.Result)
	b = b[:len(b)-2] // "}\n"
	b = appendBool(b, "on_record", l.Socket != nil)
	if l.Socket != nil && l.Socket.Process != nil {
		p := l.Socket.Process
		b = append(appendKey(b, "process"), '{')
		b = appendUintField(b, "pid", uint64(p.Key.PID))
		b = appendIf(b, "name", p.Name)
		b = appendIf(b, "exe", p.Exe)
		b = append(b, '}')
	}
	b = appendIf(b, "mismatch", l.Note)
	return append(b, '}', '\n')
}
