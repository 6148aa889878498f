package foreign

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// The head that Zeek 6 writes, and rows of its columns.
const zeekHead = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t2026-01-01-00-00-00\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n"

const zeekStart = 1767225600 // 2026-01-01T00:00:00Z

func zeekRow(n int) string {
	return zeekLine(n, "10.0.0.1", 40000+n, "192.0.2.7", 443, "tcp", "SF", "T", "F")
}

func zeekLine(n int, orig string, origPort int, resp string, respPort int, proto, state, localOrig, localResp string) string {
	return fmt.Sprintf("%d.%06d\tC%d\t%s\t%d\t%s\t%d\t%s\tssl\t1.500000\t100\t2000\t%s\t%s\t%s\t0\tShADadFf\t5\t300\t6\t2300\t-\n",
		zeekStart+n, n, n, orig, origPort, resp, respPort, proto, state, localOrig, localResp)
}

// Each state, as the side sees it that the host is on.
func TestZeekStates(t *testing.T) {
	out := func(state string) string {
		return zeekLine(1, "10.0.0.1", 40001, "192.0.2.7", 443, "tcp", state, "T", "F")
	}
	in := func(state string) string {
		return zeekLine(1, "192.0.2.7", 40001, "10.0.0.1", 22, "tcp", state, "F", "T")
	}
	const o, i = "tcp 10.0.0.1:40001 192.0.2.7:443", "tcp 10.0.0.1:22 192.0.2.7:40001"
	const count, back = " rx=2000/6 tx=100/5 for 1500000000", " rx=100/5 tx=2000/6 for 1500000000"
	tests := []struct {
		row  string
		want []string
	}{
		{out("SF"), []string{"00:00:01.000001 connect " + o, "00:00:02.500001 close " + o + count + " closed"}},
		{in("SF"), []string{"00:00:01.000001 accept " + i, "00:00:02.500001 close " + i + back + " closed"}},
		{out("RSTO"), []string{"00:00:01.000001 connect " + o, "00:00:02.500001 close " + o + count + " reset"}},
		{out("RSTR"), []string{"00:00:01.000001 connect " + o, "00:00:02.500001 close " + o + count + " reset"}},
		{out("S1"), []string{"00:00:01.000001 connect " + o, "00:00:02.500001 close " + o + count + " inferred"}},
		{out("S0"), []string{"00:00:01.000001 connect-failed " + o + " timed-out"}},
		{out("REJ"), []string{"00:00:01.000001 connect-failed " + o + " refused"}},
		{out("RSTOS0"), []string{"00:00:01.000001 connect-failed " + o + " aborted"}},
		{in("REJ"), []string{"00:00:01.000001 knock " + i}},
		{in("S0"), []string{"00:00:01.000001 knock " + i}},
		{out("OTH"), []string{"00:00:01.000001 snapshot " + o + " snapshot", "00:00:02.500001 close " + o + count + " inferred"}},
		{zeekLine(1, "10.0.0.1", 5353, "192.0.2.7", 53, "udp", "SF", "T", "F"),
			[]string{"00:00:01.000001 flow udp 10.0.0.1:5353 192.0.2.7:53", "00:00:02.500001 flow-end udp 10.0.0.1:5353 192.0.2.7:53" + count}},
		{zeekLine(1, "10.0.0.1", 8, "192.0.2.7", 0, "icmp", "OTH", "T", "F"), nil},
	}
	for _, tt := range tests {
		var skipped Skipped
		got, errs := read(t, Zeek, zeekHead+tt.row, Options{Skipped: &skipped})
		diff(t, tt.row, tt.want, got)
		diff(t, "errors", nil, errs)
		if (len(got) == 0) != (skipped.Other == 1) {
			t.Errorf("%q: skipped %+v", tt.row, skipped)
		}
	}
}

// Which end the host is: by --local, by Zeek's own word, else the one that began.
func TestZeekEnds(t *testing.T) {
	row := func(lo, lr string) string {
		return zeekLine(1, "10.0.0.1", 40001, "10.0.0.2", 22, "tcp", "REJ", lo, lr)
	}
	prefix := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	const began, met, nobody = "connect-failed", "knock", ""
	tests := []struct {
		lo, lr, want string
		local        []netip.Prefix
		guessed      bool
	}{
		{"T", "F", began, nil, false}, {"F", "T", met, nil, false}, {"T", "T", began, nil, false}, {"-", "-", began, nil, true}, {"F", "F", began, nil, true},
		{"-", "T", met, nil, false}, {"T", "F", met, prefix("10.0.0.2/32"), false}, {"-", "-", began, prefix("10.0.0.0/24"), false}, {"T", "T", nobody, prefix("10.1.0.0/16"), false},
	}
	for _, tt := range tests {
		var skipped Skipped
		kind, guessed := "", false
		for e, err := range Events(Zeek, open(t, strings.NewReader(zeekHead+row(tt.lo, tt.lr))), Options{Local: tt.local, Skipped: &skipped}) {
			must(t, err)
			kind, guessed = e.Kind.String(), e.Flags&activity.FlagConcluded != 0
		}
		if kind != tt.want || guessed != tt.guessed || (kind == nobody) != (skipped.Foreign == 1) {
			t.Errorf("%+v: %q, guessed %v, skipped %+v", tt, kind, guessed, skipped)
		}
	}
}

// JSON as Zeek writes it, and as shippers change it.
func TestZeekJSON(t *testing.T) {
	want := []string{"00:00:01.000001 connect tcp 10.0.0.1:40001 [2001:db8::7]:443", "00:00:02.500001 close tcp 10.0.0.1:40001 [2001:db8::7]:443 rx=2000/6 tx=100/5 for 1500000000 closed"}
	for name, text := range map[string]string{
		"epoch":  `{"ts":1767225601.000001,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":40001,"id.resp_h":"2001:db8::7","id.resp_p":443,"proto":"tcp","duration":1.5,"orig_bytes":100,"resp_bytes":2000,"conn_state":"SF","orig_pkts":5,"resp_pkts":6,"local_orig":true}`,
		"iso":    `{"ts":"2026-01-01T00:00:01.000001Z","id.orig_h":"10.0.0.1","id.orig_p":40001,"id.resp_h":"2001:db8::7","id.resp_p":443,"proto":"tcp","duration":1.500000,"orig_bytes":100,"resp_bytes":2000,"conn_state":"SF","orig_pkts":5,"resp_pkts":6}`,
		"nested": `{"ts":1767225601.000001,"id":{"orig_h":"10.0.0.1","orig_p":40001,"resp_h":"2001:db8::7","resp_p":443},"proto":"tcp","service":null,"duration":"1.5","orig_bytes":100,"resp_bytes":2000,"conn_state":"SF","orig_pkts":5,"resp_pkts":6}`,
	} {
		got, errs := read(t, Zeek, text+"\n", Options{})
		diff(t, name, want, got)
		diff(t, name+" errors", nil, errs)
	}
}

// Columns may be in any order, other separators are honoured, a second head may
// follow, and what is wrong is told with its line.
func TestZeekLines(t *testing.T) {
	tests := []struct {
		name, text   string
		events, errs []string
	}{
		{"other columns", "#fields\tproto\tid.resp_p\tid.resp_h\tid.orig_p\tid.orig_h\tts\ntcp\t22\t10.0.0.2\t99\t10.0.0.1\t1767225601.5\n",
			[]string{"00:00:01.5 connect tcp 10.0.0.1:99 10.0.0.2:22"}, nil},
		{"other separator", "#separator ,\n#unset_field,?\n#fields,ts,id.orig_h,id.orig_p,id.resp_h,id.resp_p,proto,duration\n1767225601,10.0.0.1,9,10.0.0.2,22,tcp,?\r\n",
			[]string{"00:00:01 connect tcp 10.0.0.1:9 10.0.0.2:22"}, nil},
		{"two heads", "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n1767225601\t10.0.0.1\t9\t10.0.0.2\t22\ttcp\n#close\n#separator \\x7c\n#fields|proto|ts|id.orig_h|id.orig_p|id.resp_h|id.resp_p\nudp|1767225602|10.0.0.1|9|10.0.0.2|53\n",
			[]string{"00:00:01 connect tcp 10.0.0.1:9 10.0.0.2:22", "00:00:02 flow udp 10.0.0.1:9 10.0.0.2:53"}, nil},
		{"no head", "1767225601\tC1\n", nil, []string{`line 1: no #fields line before: "1767225601\tC1"`}},
		{"another log", "#path\tdns\n#fields\tts\n1\n", nil, []string{"this is Zeek's dns.log, not its conn.log"}},
		{"bad fields", zeekHead + strings.Replace(zeekRow(1), "443", "70000", 1) + strings.Replace(zeekRow(2), "10.0.0.1", "10.0.0", 1) + "short\tline\n" + strings.Replace(zeekRow(3), "1.500000", "long", 1) +
			strings.Replace(zeekRow(4), "1767225604", "then", 1) + zeekRow(5),
			[]string{"00:00:05.000005 connect tcp 10.0.0.1:40005 192.0.2.7:443", "00:00:06.500005 close tcp 10.0.0.1:40005 192.0.2.7:443 rx=2000/6 tx=100/5 for 1500000000 closed"},
			[]string{"line 8: id.resp_p: bad address or port", "line 9: id.orig_h: bad address or port", "line 10: ts: bad ts", "line 11: duration: bad duration", "line 12: ts: bad ts"}},
		{"bad JSON", "{\"ts\":1,\n{}\n", nil, []string{"line 1: bad JSON", "line 2: bad ts"}},
	}
	for _, tt := range tests {
		events, errs := read(t, Zeek, tt.text, Options{})
		diff(t, tt.name, tt.events, events)
		if len(errs) != len(tt.errs) {
			t.Errorf("%s: errors %q", tt.name, errs)
			continue
		}
		for i, e := range tt.errs {
			if !strings.HasPrefix(errs[i], e) {
				t.Errorf("%s: error %q, want %q", tt.name, errs[i], e)
			}
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1.5": 15e8, "1767225601.000001": 1767225601000001000, "-0.25": -25e7, "0.1234567891": 123456789, "1e-3": 1e6, ".5": -1, "": -1,
		"1.2.3": -1, "99999999999": -1, "1e300": -1, "nan": -1, "0x1": -1} {
		got, ok := seconds([]byte(text))
		if ok != (want != -1) || ok && got != want {
			t.Errorf("%q is %d, %v", text, got, ok)
		}
	}
}

// Whatever a log holds, its events are whole, and no line is lost in silence.
func FuzzZeek(f *testing.F) {
	f.Add(zeekHead + zeekRow(1) + zeekLine(2, "::1", 1, "::2", 2, "udp", "SF", "-", "-"))
	f.Add(`{"ts":"2026-01-01T00:00:01Z","id":{"orig_h":"10.0.0.1","orig_p":1,"resp_h":"10.0.0.2","resp_p":2},"proto":"tcp","conn_state":"S0"}` + "\n#path\tconn\n")
	f.Fuzz(func(t *testing.T, text string) {
		for e, err := range Events(Zeek, open(t, strings.NewReader(text)), Options{}) {
			if err == nil {
				checkWhole(t, e)
			}
		}
	})
}

func checkWhole(t *testing.T, e *activity.Event) {
	t.Helper()
	switch {
	case e.Kind == activity.KindNone || e.Kind.Coverage() || e.Tier != activity.TierImport || e.Proto != activity.TCP && e.Proto != activity.UDP:
		t.Fatalf("not whole: %+v", e)
	case !e.Local.Addr().IsValid() || e.Local.Addr() != e.Local.Addr().Unmap() || e.Remote.Addr() != e.Remote.Addr().Unmap():
		t.Fatalf("addresses %v and %v", e.Local, e.Remote)
	case e.Duration < 0 || e.When().Year() < 1600 || e.When().After(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)):
		t.Fatalf("time %v, duration %d", e.When(), e.Duration)
	case e.Kind != activity.KindKnock && (e.Process == nil) != (e.Unknown&activity.FactOwner != 0):
		t.Fatalf("owner %v, unknown %v", e.Process, e.Unknown)
	}
	var back activity.Event
	if err := activity.DecodeEvent(activity.AppendEvent(nil, e), &back, nil); err != nil {
		t.Fatalf("cannot be stored: %v", err)
	}
}

func BenchmarkZeek(b *testing.B) {
	text := zeekHead + strings.Repeat(zeekRow(1), 20000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range Events(Zeek, open(b, strings.NewReader(text)), Options{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 40000 {
			b.Fatal(n)
		}
	}
}
