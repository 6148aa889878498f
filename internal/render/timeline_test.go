package render

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
)

// clock is a moment of 2026-01-02, UTC.
func clock(s string) int64 {
	t, err := time.Parse(time.DateTime, "2026-01-02 "+s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func seen(s string) analyse.Instant { return analyse.Instant{At: clock(s), Exact: true} }

func tale() []*analyse.Entry {
	nginx := &activity.Process{Key: activity.ProcessKey{PID: 811}, Name: "nginx", Exe: "/usr/sbin/nginx", Args: []string{"nginx", "-g", "daemon off;"}, User: "www-data",
		LoginUID: activity.NoID, Unit: activity.Unit{Name: "nginx.service"}}
	py := &activity.Process{Key: activity.ProcessKey{PID: 870}, Name: "py\x1b[2J", User: "eve", LoginUID: activity.NoID}
	port := netip.MustParseAddrPort("0.0.0.0:80")
	return []*analyse.Entry{
		{Kind: activity.KindListen, From: analyse.Instant{At: clock("07:00:00")}, To: seen("08:00:00"), Proto: activity.TCP, Local: port, Owner: nginx.Key, Process: nginx, Processes: 1,
			Others: []*activity.Process{py, nil},
			Tally:  analyse.Tally{Count: 4, Open: 1, Rx: 1000, Tx: 2000, First: clock("07:10:00"), Last: clock("07:50:00")},
			Peers: []analyse.Peer{
				{Addr: netip.MustParseAddr("198.51.100.7"), Tally: analyse.Tally{Count: 2, Rx: 900, Tx: 1000, First: clock("07:10:00"), Last: clock("07:50:00")}},
				{Addr: netip.MustParseAddr("2001:db8::1"), Tally: analyse.Tally{Count: 1, Open: 1, First: clock("07:20:00"), Last: clock("07:20:00")}},
				{Tally: analyse.Tally{Count: 1, Rx: 100, Tx: 1000, First: clock("07:30:00"), Last: clock("07:30:00")}},
			}},
		{Kind: activity.KindBindFailed, From: seen("07:30:00"), To: seen("07:31:00"), Proto: activity.TCP, Local: port, Owner: py.Key, Process: py, Processes: 2, Reason: activity.ReasonAddressInUse,
			Holder: nginx, Tally: analyse.Tally{Count: 2, First: clock("07:30:00"), Last: clock("07:31:00")}},
		{Kind: activity.KindKnock, From: seen("07:40:00"), To: seen("07:40:00"), Proto: activity.TCP, Local: netip.MustParseAddrPort("192.0.2.1:81"),
			Remote: netip.MustParseAddrPort("203.0.113.9:0"), Tally: analyse.Tally{Count: 1, First: clock("07:40:00"), Last: clock("07:40:00")}},
		{Kind: activity.KindConnect, From: seen("07:45:00"), Proto: activity.TCP, Remote: netip.MustParseAddrPort("203.0.113.5:443"), Owner: py.Key, Process: py,
			Processes: 1, Tally: analyse.Tally{Count: 2, Open: 1, Rx: 5, First: clock("07:45:00"), Last: clock("07:46:00")}},
		{Kind: activity.KindGap, From: seen("08:00:00"), To: seen("09:00:00"), Why: "the recorder was\nnot running"},
		{Kind: activity.KindListen, From: analyse.Instant{At: clock("09:00:01"), After: clock("08:00:00")}, To: analyse.Instant{At: clock("10:00:00"), After: clock("09:30:00")},
			Proto: activity.TCP, Local: port, Owner: py.Key, Process: py, Processes: 1},
		{Kind: activity.KindBind, From: seen("10:00:00"), Proto: activity.UDP, Local: netip.MustParseAddrPort("[::]:53"), Owner: activity.ProcessKey{PID: 5}, Processes: 1},
		{Kind: activity.KindAccept, Rest: true, Tally: analyse.Tally{Count: 12, First: clock("11:00:00"), Last: clock("11:00:00")}, From: seen("11:00:00"), To: seen("11:00:00")},
	}
}

func TestTimelineText(t *testing.T) {
	got := string(Timeline{Options: Options{Now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}}.Append(nil, tale()))
	want := `2026-01-02 07:00:00.000  listen          tcp  0.0.0.0:80  nginx[811] www-data nginx.service  already there, until 08:00:00, for 1h00m
    /usr/sbin/nginx  nginx -g daemon off;
    also held by py\x1b[2J[870], unknown
    4 connections, in 1.0 kB, out 2.0 kB, 1 not ended
      198.51.100.7     2 connections, in 900 B, out 1.0 kB, 07:10:00 to 07:50:00
      2001:db8::1      1 connection, 1 not ended, 07:20:00
      and 1 more:  1 connection, in 100 B, out 1.0 kB
2026-01-02 07:30:00.000  bind-failed     tcp  0.0.0.0:80  py\x1b[2J[870] eve  address-in-use, held by nginx[811] www-data, 2 times, by 2 processes, until 07:31:00
2026-01-02 07:40:00.000  knock           tcp  192.0.2.1:81 <- 203.0.113.9:*
2026-01-02 07:45:00.000  connect         tcp  -> 203.0.113.5:443  py\x1b[2J[870] eve  2 connections, in 5 B, out 0 B, 1 not ended
2026-01-02 08:00:00.000  gap             until 09:00:00: the recorder was\nnot running
2026-01-02 09:00:01.000  listen          tcp  0.0.0.0:80  py\x1b[2J[870] eve  begun unseen after 08:00:00, ended unseen by 10:00:00, after 09:30:00
2026-01-02 10:00:00.000  bind            udp  *:53  ?[5]  still open, for 2h00m
2026-01-02 11:00:00.000  accept          others: 12 in all
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestTimelineTop: what is shown is the newest of the ports and the most
// frequent of the rest; the gaps stay.
func TestTimelineTop(t *testing.T) {
	var es []*analyse.Entry
	for i := range 15 {
		at := analyse.Instant{At: clock("07:00:00") + int64(i)*1e9, Exact: true}
		es = append(es, &analyse.Entry{Kind: activity.KindListen, From: at, To: at, Proto: activity.TCP, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i+1))},
			&analyse.Entry{Kind: activity.KindConnect, From: at, To: at, Proto: activity.TCP, Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)), Tally: analyse.Tally{Count: uint64(i + 1)}})
	}
	es = append(es, &analyse.Entry{Kind: activity.KindGap, From: seen("09:00:00"), To: seen("10:00:00"), Why: "x"})
	got := string(Timeline{Top: 1}.Append(nil, es))
	for _, want := range []string{"... and 5 earlier port intervals, with --top 0\n", "... and 5 less frequent entries, with --top 0\n", " 0.0.0.0:6 ", "192.0.2.1:15 ", "gap  "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, not := range []string{" 0.0.0.0:5 ", "192.0.2.1:5 "} {
		if strings.Contains(got, not) {
			t.Errorf("%q is in\n%s", not, got)
		}
	}
	if all := string(Timeline{}.Append(nil, es)); strings.Count(all, "\n") != 31 || strings.Contains(all, "...") {
		t.Errorf("all of it is\n%s", all)
	}
}

// TestEntryJSON: every entry is one line that parses, with what is not known as
// null and what does not apply left out.
func TestEntryJSON(t *testing.T) {
	for i, want := range []string{
		`{"kind":"listen","from":"2026-01-02T07:00:00Z","from_after":null,"to":"2026-01-02T08:00:00Z","count":4,"open":1,"rx":1000,"tx":2000,"local":{"ip":"0.0.0.0","port":80}}`,
		`{"kind":"bind-failed","processes":2,"reason":"address-in-use","count":2}`,
		`{"kind":"knock","remote":{"ip":"203.0.113.9","port":null},"count":1}`,
		`{"kind":"connect","to":null,"remote":{"ip":"203.0.113.5","port":443}}`,
		`{"kind":"gap","from":"2026-01-02T08:00:00Z","to":"2026-01-02T09:00:00Z","reason":"the recorder was\nnot running"}`,
		`{"from_after":"2026-01-02T08:00:00Z","to_after":"2026-01-02T09:30:00Z"}`,
		`{"kind":"bind","to":null,"process":{"pid":5,"name":null,"exe":null}}`,
		`{"kind":"accept","rest":true,"count":12}`,
	} {
		line := AppendEntryJSON(nil, tale()[i], Options{Host: "web1"})
		var got, wanted map[string]any
		if err := json.Unmarshal(line, &got); err != nil || line[len(line)-1] != '\n' || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%d: %v: %s", i, err, line)
		}
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if got["v"] != 1.0 || got["host"] != "web1" {
			t.Errorf("%d: no version or host: %s", i, line)
		}
		for k, v := range wanted {
			if d := cmp.Diff(v, got[k]); d != "" {
				t.Errorf("%d: %s: -want +got\n%s", i, k, d)
			}
		}
		if _, has := got["process"]; has && (i == 2 || i == 4 || i == 7) {
			t.Errorf("%d: a process does not apply: %s", i, line)
		}
	}
	var first struct {
		Peers []struct {
			IP *string `json:"ip"`
		} `json:"peers"`
		Holders []any `json:"holders"`
	}
	if err := json.Unmarshal(AppendEntryJSON(nil, tale()[0], Options{}), &first); err != nil || len(first.Peers) != 3 || first.Peers[2].IP != nil || len(first.Holders) != 2 {
		t.Errorf("peers and holders: %+v, %v", first, err)
	}
}

func TestDiffText(t *testing.T) {
	sock := func(addr, name string) *activity.Socket {
		return &activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort(addr), Since: clock("09:00:00"), Owner: activity.ProcessKey{PID: 7},
			Process: &activity.Process{Key: activity.ProcessKey{PID: 7}, Name: name, Exe: "/bin/" + name, User: "eve"}}
	}
	long := strings.Repeat("ä", 300)
	changes := []analyse.Change{
		{Before: sock("127.0.0.1:1", "a\nb")},
		{After: &activity.Socket{Proto: activity.UDP, State: activity.StateBound, Local: netip.MustParseAddrPort("0.0.0.0:2")}},
		{Before: sock("127.0.0.1:3", "c"), After: sock("0.0.0.0:3", "c"), Fields: []analyse.FieldChange{
			{Field: "scope", Before: "127.0.0.1", After: "0.0.0.0", Wider: true}, {Field: "unit", After: "c\x1b.service"}, {Field: "args", Before: "c", After: long}}},
	}
	want := `- tcp  127.0.0.1:1  a\nb[7] eve  /bin/a\nb, since 2026-01-02 09:00:00
+ udp  0.0.0.0:2  owner unknown
~ tcp  0.0.0.0:3  c[7] eve  since 2026-01-02 09:00:00
    scope      127.0.0.1 -> 0.0.0.0  more can reach it now
    unit       none -> c\x1b.service
    args       c -> ` + strings.Repeat("ä", 100) + " ...\n"
	if d := cmp.Diff(want, string(AppendDiff(nil, changes, Options{}))); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for i, want := range []string{
		`{"v":1,"change":"gone","before":{"proto":"tcp","state":"LISTEN","local":{"ip":"127.0.0.1","port":1},`,
		`{"v":1,"change":"new","after":{"proto":"udp","state":"BOUND","local":{"ip":"0.0.0.0","port":2},`,
		`{"v":1,"change":"changed","fields":[{"field":"scope","before":"127.0.0.1","after":"0.0.0.0","wider":true},{"field":"unit","before":null,"after":"c\u001b.service"},{"field":"args",`,
	} {
		line := AppendChangeJSON(nil, &changes[i], Options{})
		if !json.Valid(line) || !strings.HasPrefix(string(line), want) {
			t.Errorf("%s\nis not valid, or does not begin with\n%s", line, want)
		}
	}
}

func TestDestinationsText(t *testing.T) {
	curl, wget := &activity.Process{Key: activity.ProcessKey{PID: 8}, Name: "curl", Exe: "/bin/curl", User: "eve"}, &activity.Process{Key: activity.ProcessKey{PID: 9}, Name: "wget", Exe: "/bin/wget", User: "eve"}
	to := func(p *activity.Process, remote string, n uint64) analyse.Destination {
		return analyse.Destination{Process: p, Proto: activity.TCP, Remote: netip.MustParseAddrPort(remote), Count: n, First: clock("09:00:00"), Last: clock("09:30:00")}
	}
	all := []analyse.Destination{to(curl, "192.0.2.1:443", 1), to(curl, "192.0.2.2:443", 3), to(curl, "192.0.2.3:443", 1), to(wget, "[2001:db8::1]:80", 1), to(nil, "192.0.2.4:1", 1)}
	want := `+ new for  curl[8] eve
    tcp -> 192.0.2.1:443  at 2026-01-02 09:00:00
    tcp -> 192.0.2.2:443  3 times, from 2026-01-02 09:00:00 to 2026-01-02 09:30:00
    and 1 more, with --top 0
+ new for  wget[9] eve
    tcp -> [2001:db8::1]:80  at 2026-01-02 09:00:00
+ new for  unknown
    tcp -> 192.0.2.4:1  at 2026-01-02 09:00:00
`
	if d := cmp.Diff(want, string(AppendDestinations(nil, all, 2, Options{}))); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if all := string(AppendDestinations(nil, all, 0, Options{})); strings.Contains(all, "more") || !strings.Contains(all, "192.0.2.3") {
		t.Errorf("all of them are\n%s", all)
	}
	line := AppendDestinationJSON(nil, &all[1], Options{Host: "web1"})
	if want := `{"v":1,"change":"destination","host":"web1","proto":"tcp","remote":{"ip":"192.0.2.2","port":443},"process":{"pid":8,`; !json.Valid(line) || !strings.HasPrefix(string(line), want) {
		t.Errorf("%s\nis not valid, or does not begin with\n%s", line, want)
	}
}
