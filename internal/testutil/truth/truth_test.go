package truth

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
)

var (
	client = netip.MustParseAddrPort("127.0.0.1:40000")
	server = netip.MustParseAddrPort("127.0.0.1:7000")
	addrs  = cmpopts.EquateComparable(netip.AddrPort{})
)

// sample has one process on each end of three connections and one listener.
func sample() *Log {
	return &Log{
		NetNS:      []uint32{4026531840},
		WallOffset: 1e18,
		From:       7e9,
		To:         8e9,
		Procs: []Proc{
			{N: 1, PID: 100, StartMin: 5e9, StartMax: 5e9 + 9, Exe: "/bin/c", Args: []string{"c", "-x"}, UID: 7},
			{N: 2, PID: 200, StartMin: 6e9, StartMax: 6e9 + 9},
		},
		Expects: []Expect{
			{Case: "tcp", Kind: activity.KindListen, Proto: activity.TCP, Local: server, Proc: 2},
			{Case: "tcp", Kind: activity.KindConnectFailed, Proto: activity.TCP, Remote: server, Proc: 1, Errno: 111, Reason: activity.ReasonRefused},
		},
		Exchanges: []Exchange{{Case: "tcp", Proto: activity.TCP, Client: 1, Server: 2, From: client, To: server,
			Pairs: []Pair{{40000, 7000}, {40001, 7000}, {40002, 7001}}, Bytes: true, Up: 64, Down: 32, ServerAlt: []int{1}, ClientCloser: 1}},
		Stats: []Stats{{Case: "tcp", N: 3, WallNS: 5}},
		Skips: []Skip{{"mptcp", "protocol not supported"}},
	}
}

// perfect returns the events that a recorder without fault tells of l.
func perfect(l *Log) []activity.Event {
	procs := map[int]activity.ProcessKey{}
	for _, p := range l.Procs {
		procs[p.N] = activity.ProcessKey{PID: p.PID, Start: p.StartMin + 3}
	}
	var out []activity.Event
	add := func(x Expect) {
		out = append(out, activity.Event{Kind: x.Kind, Proto: x.Proto, Local: x.Local, Remote: x.Remote, NetNS: l.NetNS[0], Boot: l.From,
			Owner: procs[x.Proc], Rx: x.Rx, Tx: x.Tx, Errno: x.Errno, Reason: x.Reason, Flags: x.Flags})
	}
	for _, x := range l.Expects {
		add(x)
	}
	for i := range l.Exchanges {
		for x := range l.Exchanges[i].Expand() {
			add(x)
		}
	}
	return out
}

func verify(l *Log, events []activity.Event) *Report {
	v := NewVerifier(l)
	for i := range events {
		v.Add(&events[i])
	}
	return v.Report()
}

func TestLogRoundTrip(t *testing.T) {
	want := sample()
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
}

func TestReadRejects(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"head":{"v":9}}`, "version 9"},
		{"\n{}", "line 2: no known record"},
		{`{"expect":{"kind":"lisen","proto":"tcp"}}`, `"lisen"`},
		{`{"exchange":{"proto":"tcp","pairs":"AAA="}}`, "pairs of 2 bytes"},
		{`nonsense`, "invalid character"},
	} {
		if _, err := Read(strings.NewReader(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Read(%q): %v, want %q in it", tt.in, err, tt.want)
		}
	}
}

func TestExpand(t *testing.T) {
	type ev struct {
		Kind activity.Kind
		End  string
		Port uint16
		Rx   uint64
		May  bool
	}
	for _, tt := range []struct {
		name string
		x    Exchange
		want []ev
	}{
		{"tcp", Exchange{Proto: activity.TCP, Client: 1, Server: 2, From: client, To: server, Bytes: true, Up: 5, Down: 6}, []ev{
			{activity.KindConnect, "client", 40000, 0, false}, {activity.KindClose, "client", 40000, 6, false},
			{activity.KindAccept, "server", 7000, 0, false}, {activity.KindClose, "server", 7000, 5, false}}},
		{"tcp without a server", Exchange{Proto: activity.TCP, Client: 1, From: client, To: server}, []ev{
			{activity.KindConnect, "client", 40000, 0, false}, {activity.KindClose, "client", 40000, 0, false}}},
		{"udp, the port comes back", Exchange{Proto: activity.UDP, Server: 2, From: client, To: server, Pairs: []Pair{{1, 9}, {1, 9}}}, []ev{
			{activity.KindFlow, "server", 9, 0, false}, {activity.KindFlowEnd, "server", 9, 0, false},
			{activity.KindFlow, "server", 9, 0, true}, {activity.KindFlowEnd, "server", 9, 0, true}}},
		{"udp client", Exchange{Proto: activity.UDP, Client: 1, From: client, To: server, Bytes: true, Down: 3}, []ev{
			{activity.KindBind, "client", 40000, 0, false}, {activity.KindUnbind, "client", 40000, 0, false},
			{activity.KindFlow, "client", 40000, 0, false}, {activity.KindFlowEnd, "client", 40000, 3, false}}},
	} {
		var got []ev
		for x := range tt.x.Expand() {
			got = append(got, ev{x.Kind, x.End, x.Local.Port(), x.Rx, x.May})
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

func TestVerifyPerfect(t *testing.T) {
	r := verify(sample(), perfect(sample()))
	if err := r.Err(); err != nil {
		t.Errorf("%v\n%s", err, r)
	}
	if c := r.Kind(activity.KindClose); c.Made != 6 || c.Observed != 6 {
		t.Errorf("closes: %+v", c)
	}
}

// Each case breaks one thing, and exactly the right counter must say so.
func TestVerifyFaults(t *testing.T) {
	find := func(es []activity.Event, k activity.Kind) *activity.Event {
		for i := range es {
			if es[i].Kind == k {
				return &es[i]
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name   string
		break_ func([]activity.Event) []activity.Event
		kind   activity.Kind
		want   Count
		err    string
	}{
		{"missing", func(es []activity.Event) []activity.Event { return es[1:] }, activity.KindListen, Count{Made: 1, Missing: 1}, "listen: 1 missing without a word"},
		{"declared", func(es []activity.Event) []activity.Event {
			g := activity.Event{Kind: activity.KindGap, Coverage: &activity.Coverage{}}
			g.Coverage.Lost[activity.KindListen] = 1
			return append(es[1:], g)
		}, activity.KindListen, Count{Made: 1, Missing: 1}, ""},
		{"told by the stop only", func(es []activity.Event) []activity.Event {
			g := activity.Event{Kind: activity.KindRecorderStop, Coverage: &activity.Coverage{}}
			g.Coverage.Lost[activity.KindListen] = 1
			return append(es[1:], g)
		}, activity.KindListen, Count{Made: 1, Missing: 1}, "listen: 1 missing without a word"},
		{"made up", func(es []activity.Event) []activity.Event { return append(es, *find(es, activity.KindAccept)) }, activity.KindAccept,
			Count{Made: 3, Observed: 3, Extra: 1}, "accept: 1 made up"},
		{"inferred", func(es []activity.Event) []activity.Event {
			find(es, activity.KindClose).Provenance = activity.Inferred
			return es
		}, activity.KindClose, Count{Made: 6, Observed: 5, Inferred: 1}, ""},
		{"wrong pid", func(es []activity.Event) []activity.Event { find(es, activity.KindConnect).Owner.PID = 200; return es }, activity.KindConnect,
			Count{Made: 3, Observed: 3, WrongOwner: 1}, "connect: 1 with a wrong owner"},
		{"reused pid", func(es []activity.Event) []activity.Event {
			find(es, activity.KindConnect).Owner.Start = 9e9
			return es
		}, activity.KindConnect,
			Count{Made: 3, Observed: 3, WrongOwner: 1}, "connect: 1 with a wrong owner"},
		{"no owner", func(es []activity.Event) []activity.Event {
			find(es, activity.KindAccept).Owner = activity.ProcessKey{}
			return es
		}, activity.KindAccept, Count{Made: 3, Observed: 3, NoOwner: 1}, "accept: 1 without an owner"},
		{"bytes", func(es []activity.Event) []activity.Event { find(es, activity.KindClose).Rx++; return es }, activity.KindClose,
			Count{Made: 6, Observed: 6, WrongFact: 1}, "close: 1 with a wrong fact"},
		{"bytes said to be unknown", func(es []activity.Event) []activity.Event {
			e := find(es, activity.KindClose)
			e.Rx, e.Unknown = 0, activity.FactBytes
			return es
		}, activity.KindClose, Count{Made: 6, Observed: 6}, ""},
		{"reason", func(es []activity.Event) []activity.Event {
			find(es, activity.KindConnectFailed).Reason = activity.ReasonTimedOut
			return es
		}, activity.KindConnectFailed, Count{Made: 1, Observed: 1, WrongFact: 1}, "connect-failed: 1 with a wrong fact"},
		{"argv", func(es []activity.Event) []activity.Event {
			e := find(es, activity.KindConnect)
			e.Process = &activity.Process{Key: e.Owner, Exe: "/bin/c", Args: []string{"c", "-y"}, UID: 7}
			return es
		}, activity.KindConnect, Count{Made: 3, Observed: 3, WrongFact: 1}, "connect: 1 with a wrong fact"},
		{"redacted", func(es []activity.Event) []activity.Event {
			e := find(es, activity.KindConnect)
			e.Process = &activity.Process{Key: e.Owner, Exe: "/bin/c", Args: []string{"c", "[redacted]"}, UID: 7}
			return es
		}, activity.KindConnect, Count{Made: 3, Observed: 3}, ""},
		{"before the run", func(es []activity.Event) []activity.Event { find(es, activity.KindListen).Boot = 1e9; return es }, activity.KindListen,
			Count{Made: 1, Missing: 1}, "listen: 1 missing"},
		{"after the run, another's", func(es []activity.Event) []activity.Event {
			e := *find(es, activity.KindAccept)
			e.Boot, e.Time = 0, 1e18+9e9
			return append(es, e)
		}, activity.KindAccept, Count{Made: 3, Observed: 3}, ""},
		{"after the run, its own", func(es []activity.Event) []activity.Event { find(es, activity.KindClose).Boot = 9e9; return es }, activity.KindClose,
			Count{Made: 6, Observed: 6}, ""},
		{"other namespace", func(es []activity.Event) []activity.Event { find(es, activity.KindListen).NetNS = 1; return es }, activity.KindListen,
			Count{Made: 1, Missing: 1}, "listen: 1 missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := verify(sample(), tt.break_(perfect(sample())))
			if d := cmp.Diff(tt.want, r.Kind(tt.kind)); d != "" {
				t.Errorf("%s\n%s", d, r)
			}
			if err := r.Err(); (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Err() = %v, want %q", err, tt.err)
			}
		})
	}
}

// Two processes used the same pair one after the other: order must not matter.
func TestVerifySamePairTwice(t *testing.T) {
	l := &Log{Procs: []Proc{{N: 1, PID: 1, StartMax: 9}, {N: 2, PID: 2, StartMax: 9}}}
	for n := 1; n <= 2; n++ {
		l.Expects = append(l.Expects, Expect{Kind: activity.KindConnect, Proto: activity.TCP, Local: client, Remote: server, Proc: n})
	}
	for _, pids := range [][2]uint32{{1, 2}, {2, 1}} {
		var es []activity.Event
		for _, pid := range pids {
			es = append(es, activity.Event{Kind: activity.KindConnect, Proto: activity.TCP, Local: client, Remote: server, Owner: activity.ProcessKey{PID: pid, Start: 5}})
		}
		if err := verify(l, es).Err(); err != nil {
			t.Errorf("%v: %v", pids, err)
		}
	}
}

func TestVerifyLooseAddresses(t *testing.T) {
	bind := func(s string) activity.Event {
		return activity.Event{Kind: activity.KindBind, Proto: activity.UDP, Local: netip.MustParseAddrPort(s)}
	}
	for _, tt := range []struct {
		told string
		ok   bool
	}{{"127.0.0.1:53", true}, {"0.0.0.0:53", true}, {"[::ffff:127.0.0.1]:53", true}, {"10.0.0.1:53", false}, {"127.0.0.1:54", false}} {
		l := &Log{Expects: []Expect{{Kind: activity.KindBind, Proto: activity.UDP, Local: netip.MustParseAddrPort("127.0.0.1:53")}}}
		if err := verify(l, []activity.Event{bind(tt.told)}).Err(); (err == nil) != tt.ok {
			t.Errorf("told %s: %v", tt.told, err)
		}
	}
}

func TestVerifyVagueReason(t *testing.T) {
	for _, tt := range []struct {
		want, told activity.Reason
		errno      uint16
		ok         bool
	}{
		{activity.ReasonDenied, activity.ReasonDenied, 13, true},
		{activity.ReasonDenied, activity.ReasonNotSent, 0, true},
		{activity.ReasonDenied, activity.ReasonNotSent, 13, false},
		{activity.ReasonRefused, activity.ReasonNotSent, 0, false},
		{activity.ReasonDenied, activity.ReasonTimedOut, 0, false},
	} {
		l := &Log{Expects: []Expect{{Kind: activity.KindConnectFailed, Proto: activity.TCP, Remote: server, Reason: tt.want}}}
		e := activity.Event{Kind: activity.KindConnectFailed, Proto: activity.TCP, Remote: server, Reason: tt.told, Errno: tt.errno}
		if err := verify(l, []activity.Event{e}).Err(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestEvents(t *testing.T) {
	const in = `{"v":1,"time":"2026-11-24T20:41:50.191786123Z","seq":7,"host":"h","kind":"close","proto":"tcp","mapped":true,"local":{"ip":"127.0.0.1","port":5001},"remote":{"ip":"127.0.0.1","port":49188},"netns":4026531833,"socket":87,"tier":"ebpf","provenance":"inferred","role":"acceptor","process":{"pid":23155,"start":"2026-11-24T20:41:49.1Z","name":"p","exe":"/usr/bin/p","args":["p"],"ppid":2,"uid":0},"rx":1000,"tx":0,"duration_ns":5,"closer":23155,"reset":true,"reason":"closed"}
{"v":1,"time":"2026-11-24T20:41:50Z","kind":"connect-failed","proto":"tcp","reason":null}

{"v":1,"time":"2026-11-24T20:41:50Z","kind":"gap","lost":{"accept":312,"new-kind":1},"reason":"ring overflow"}
`
	var got []activity.Event
	for e, err := range Events(strings.NewReader(in)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, *e)
	}
	key := activity.ProcessKey{PID: 23155}
	cov := &activity.Coverage{}
	cov.Lost[activity.KindAccept], cov.Lost[activity.KindNone] = 312, 1
	want := []activity.Event{
		{Time: 1795552910191786123, Seq: 7, Kind: activity.KindClose, Proto: activity.TCP, Tier: activity.TierEBPF, Provenance: activity.Inferred,
			Role: activity.RoleAcceptor, Reason: activity.ReasonClosed, Flags: activity.FlagMapped | activity.FlagReset,
			Local: netip.MustParseAddrPort("127.0.0.1:5001"), Remote: netip.MustParseAddrPort("127.0.0.1:49188"), NetNS: 4026531833, Socket: 87, Owner: key,
			Process: &activity.Process{Key: key, Name: "p", Exe: "/usr/bin/p", Args: []string{"p"}, Start: 1795552909100000000, UID: 0,
				Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 2}}}},
			Rx: 1000, Duration: 5, Closer: 23155},
		{Time: 1795552910000000000, Kind: activity.KindConnectFailed, Proto: activity.TCP, Unknown: activity.FactReason},
		{Time: 1795552910000000000, Kind: activity.KindGap, Coverage: cov},
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{`{"v":2}`, `{"v":1,"kind":"none-such"}`, `x`} {
		for _, err := range Events(strings.NewReader(bad)) {
			if err == nil {
				t.Errorf("no error for %s", bad)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample().Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := Read(bytes.NewReader(in))
		if err != nil {
			if l != nil {
				t.Error("a log with an error")
			}
			return
		}
		verify(l, perfect(sample())) // must not panic on numbers that name no process
		var out bytes.Buffer
		if err := l.Write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(l, again, addrs, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"v":1,"time":"2026-11-24T20:41:50Z","kind":"accept","proto":"tcp","local":{"ip":"::1","port":1},"process":{"pid":1}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		v := NewVerifier(sample())
		for e, err := range Events(bytes.NewReader(in)) {
			if err == nil {
				v.Add(e)
			}
		}
	})
}
