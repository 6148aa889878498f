package analyse

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// aboutPort is what a filter for a port lets through, and the recorder-starts.
func aboutPort(events []*activity.Event, port uint16) (about []*activity.Event) {
	for _, e := range events {
		if e.Kind == activity.KindRecorderStart || e.Local.Port() == port || e.Remote.Port() == port {
			about = append(about, e)
		}
	}
	return about
}

func story(open []*activity.Socket, from int64, events []*activity.Event) []*Entry {
	t := NewTimeline(open, from)
	for _, e := range events {
		t.Add(e)
	}
	return t.Entries()
}

// holds checks a moment against the truth.
func holds(i Instant, truth int64) error {
	switch {
	case i.IsZero():
		return fmt.Errorf("is not on record; in truth it was %d", truth)
	case i.Exact && i.At != truth:
		return fmt.Errorf("is said to be exactly %d; in truth it was %d", i.At, truth)
	case !i.Exact && (i.After > truth || i.At < truth):
		return fmt.Errorf("is said to be between %d and %d; in truth it was %d", i.After, i.At, truth)
	}
	return nil
}

// TestTimelineTruth: each owner of a port that the recorder ever saw is one
// entry with its true beginning and end, or bounds that hold.
func TestTimelineTruth(t *testing.T) {
	exact := 0
	for seed := range uint64(100) {
		h := newHistory(seed, 500)
		const port = 8001
		byPID := map[uint32]*Entry{}
		for _, e := range story(nil, 0, aboutPort(h.events, port)) {
			if e.HoldsPort() {
				if byPID[e.Owner.PID] != nil {
					t.Errorf("seed %d: two entries for one owner, %d", seed, e.Owner.PID)
				}
				byPID[e.Owner.PID] = e
			}
		}
		for _, n := range h.tenures {
			if n.local.Port() != port || n.kind != activity.KindListen && n.kind != activity.KindBind {
				continue
			}
			e := byPID[n.owner.Key.PID]
			delete(byPID, n.owner.Key.PID)
			if (e != nil) != n.seen {
				t.Fatalf("seed %d: the owner %d was seen: %v; it has an entry: %v", seed, n.owner.Key.PID, n.seen, e != nil)
			}
			if e == nil {
				continue
			}
			if err := holds(e.From, n.from); err != nil {
				t.Errorf("seed %d: the beginning of %d %v", seed, n.owner.Key.PID, err)
			}
			last := h.runs[len(h.runs)-1].to
			switch {
			case n.to == 0 || n.to > last:
				if !e.To.IsZero() {
					t.Errorf("seed %d: %d is open until the end; it is said to end at %+v", seed, n.owner.Key.PID, e.To)
				}
			default:
				if err := holds(e.To, n.to); err != nil {
					t.Errorf("seed %d: the end of %d %v", seed, n.owner.Key.PID, err)
				}
			}
			if e.From.Exact && e.To.Exact {
				exact++
			}
		}
		if len(byPID) > 0 {
			t.Errorf("seed %d: %d entries of owners that never had the port", seed, len(byPID))
		}
	}
	if exact < 100 {
		t.Errorf("only %d intervals are exact", exact)
	}
}

// TestTimelineCounts: every connection that was seen is counted once, wherever
// it is counted, and so is every byte that is on record.
func TestTimelineCounts(t *testing.T) {
	for seed := range uint64(100) {
		h := newHistory(seed, 500)
		const port = 8002
		var got, want Tally
		for _, e := range story(nil, 0, aboutPort(h.events, port)) {
			switch e.Kind {
			case activity.KindAccept, activity.KindConnect, activity.KindSnapshot, activity.KindListen:
				got.Count, got.Rx, got.Tx = got.Count+e.Count, got.Rx+e.Rx, got.Tx+e.Tx
				var peers Tally
				for _, p := range e.Peers {
					peers.Count, peers.Open, peers.Rx, peers.Tx = peers.Count+p.Count, peers.Open+p.Open, peers.Rx+p.Rx, peers.Tx+p.Tx
				}
				peers.First, peers.Last = e.First, e.Last
				if e.HoldsPort() && peers != e.Tally {
					t.Errorf("seed %d: the peers add up to %+v, not %+v", seed, peers, e.Tally)
				}
			}
		}
		sockets := map[string]bool{}
		for _, n := range h.tenures {
			if n.local.Port() != port && n.remote.Port() != port || n.kind != activity.KindAccept && n.kind != activity.KindConnect || !n.seen {
				continue
			}
			name := fmt.Sprint(n.boot, n.key, n.opened)
			if !sockets[name] || n.heir && n.silently {
				want.Count++ // an heir that got it unseen cannot be told from another connection
			}
			sockets[name] = true
			if n.told {
				want.Rx, want.Tx = want.Rx+n.rx, want.Tx+n.tx
			}
		}
		if got != want {
			t.Errorf("seed %d: counted %+v, not %+v", seed, got, want)
		}
	}
}

// TestTimelineWindow: with what was open when a time begins, the story of that
// time has every owner that the whole story has in it.
func TestTimelineWindow(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(seed, 400)
		const port = 8003
		r := h.runs[h.rnd.IntN(len(h.runs))]
		from := r.from + (r.to-r.from)/2
		state, err := OpenAt(h.stream(), from-1)
		if err != nil {
			t.Fatal(err)
		}
		open := slices.DeleteFunc(state.Sockets, func(s *activity.Socket) bool { return s.Local.Port() != port && s.Remote.Port() != port })
		var later []*activity.Event
		for _, e := range aboutPort(h.events, port) {
			if e.Time >= from {
				later = append(later, e)
			}
		}
		owners := func(es []*Entry) (all []string) {
			for _, e := range es {
				if e.HoldsPort() && (e.To.IsZero() || e.To.At >= from) {
					all = append(all, fmt.Sprint(e.Owner.PID, " until ", e.To.At, e.To.Exact))
				}
			}
			slices.Sort(all)
			return all
		}
		if d := cmp.Diff(owners(story(nil, 0, aboutPort(h.events, port))), owners(story(open, from, later))); d != "" {
			t.Errorf("seed %d: -whole story +story of the time\n%s", seed, d)
		}
	}
}

// TestTimelineMend: what the story of one process leaves out of its ports'
// ends, because they are another's, is found.
func TestTimelineMend(t *testing.T) {
	mended := 0
	for seed := range uint64(60) {
		h := newHistory(seed, 500)
		for _, n := range h.tenures {
			if n.kind != activity.KindListen || !n.seen {
				continue
			}
			tl := NewTimeline(nil, 0)
			for _, e := range h.events {
				if e.Kind == activity.KindRecorderStart || e.Owner.PID == n.owner.Key.PID {
					tl.Add(e)
				}
			}
			unended, cookies := tl.Unended()
			for _, e := range h.events {
				about := unended != nil && unended(e)
				if about && cookies != nil && !cookies[e.Socket] {
					t.Fatalf("seed %d: %d is not among the cookies", seed, e.Socket)
				}
				if e.Kind == activity.KindRecorderStart || about && e.Owner.PID != n.owner.Key.PID {
					tl.Mend(e)
				}
			}
			var got []*Entry
			for _, e := range tl.Entries() {
				if e.HoldsPort() {
					got = append(got, e)
				}
			}
			if len(got) != 1 {
				t.Fatalf("seed %d: %d entries of %d", seed, len(got), n.owner.Key.PID)
			}
			if n.to != 0 && n.to <= h.runs[len(h.runs)-1].to {
				if err := holds(got[0].To, n.to); err != nil {
					t.Errorf("seed %d: the end of %d %v", seed, n.owner.Key.PID, err)
				}
				if !n.told && got[0].To.After == n.from {
					mended++
				}
			}
		}
	}
	if mended == 0 {
		t.Error("there was nothing to mend")
	}
}

// summary writes entries in short, for tables.
func summary(es []*Entry) (lines []string) {
	short := func(i Instant) string {
		switch {
		case i.IsZero():
			return "-"
		case i.Exact:
			return time.Unix(0, i.At).UTC().Format(time.TimeOnly)
		}
		return "<=" + time.Unix(0, i.At).UTC().Format(time.TimeOnly)
	}
	for _, e := range es {
		line := fmt.Sprintf("%s %s..%s x%d", e.Kind, short(e.From), short(e.To), e.Count)
		for _, p := range e.Peers {
			line += fmt.Sprintf(" %s:%d", p.Addr, p.Count)
		}
		if e.Why != "" {
			line += " " + e.Why
		}
		lines = append(lines, line)
	}
	return lines
}

func TestTimelineEntries(t *testing.T) {
	server := &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 10}, Exe: "/usr/sbin/nginx", UID: 33}
	other := &activity.Process{ID: 2, Key: activity.ProcessKey{PID: 11}, Exe: "/usr/bin/python3"}
	by := func(p *activity.Process, e *activity.Event) *activity.Event {
		e.Process, e.Owner = p, p.Key
		return e
	}
	with := func(remote string, cookie uint64, e *activity.Event) *activity.Event {
		e.Remote, e.Socket = netip.MustParseAddrPort(remote), cookie
		e.Local = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), e.Local.Port())
		return e
	}
	udp := func(e *activity.Event) *activity.Event { e.Proto = activity.UDP; return e }
	auto := func(e *activity.Event) *activity.Event { e.Flags |= activity.FlagAutoBind; return e }
	const listen, unlisten, accept, closes = activity.KindListen, activity.KindUnlisten, activity.KindAccept, activity.KindClose
	const bind, unbind, flow, flowEnd = activity.KindBind, activity.KindUnbind, activity.KindFlow, activity.KindFlowEnd
	lasting := func(d time.Duration, e *activity.Event) *activity.Event { e.Duration = int64(d); return e }
	for _, tt := range []struct {
		name   string
		events []*activity.Event
		want   []string
	}{
		{"one port and who talked to it", []*activity.Event{
			by(server, ev("08:00:00", listen, 80)),
			with("198.51.100.1:1000", 1000, by(server, ev("08:00:01", accept, 80))),
			with("198.51.100.1:1001", 1001, by(server, ev("08:00:02", accept, 80))),
			with("198.51.100.2:1002", 1002, by(server, ev("08:00:03", accept, 80))),
			with("198.51.100.1:1000", 1000, by(server, ev("08:00:04", closes, 80))),
			by(server, ev("09:00:00", unlisten, 80)),
		}, []string{"listen 08:00:00..09:00:00 x3 198.51.100.1:2 198.51.100.2:1"}},
		{"connections without a port of their own", []*activity.Event{
			with("198.51.100.1:1000", 1000, by(server, ev("08:00:01", accept, 80))),
			with("198.51.100.1:1001", 1001, by(server, ev("08:00:02", accept, 80))),
		}, []string{"accept 08:00:01..- x2"}},
		{"an ending tells of its beginning", []*activity.Event{lasting(time.Hour, by(server, ev("09:00:00", unlisten, 80)))}, []string{"listen 08:00:00..09:00:00 x0"}},
		{"attempts that fail alike", []*activity.Event{
			by(other, ev("08:00:00", activity.KindBindFailed, 80)), by(other, ev("08:10:00", activity.KindBindFailed, 80)),
			by(other, ev("10:00:00", activity.KindBindFailed, 80)), by(server, ev("10:01:00", activity.KindBindFailed, 80)),
		}, []string{"bind-failed 08:00:00..08:10:00 x2", "bind-failed 10:00:00..10:00:00 x1", "bind-failed 10:01:00..10:01:00 x1"}},
		{"knocks", []*activity.Event{
			with("198.51.100.1:1000", 0, ev("08:00:00", activity.KindKnock, 80)), with("198.51.100.1:1001", 0, ev("08:00:01", activity.KindKnock, 80)),
			with("198.51.100.2:1000", 0, ev("08:00:02", activity.KindKnock, 80)),
		}, []string{"knock 08:00:00..08:00:01 x2", "knock 08:00:02..08:00:02 x1"}},
		{"exchanges on a bound port", []*activity.Event{
			udp(by(server, ev("08:00:00", bind, 53))), udp(with("198.51.100.1:1000", 53, by(server, ev("08:00:01", flow, 53)))),
			udp(with("198.51.100.1:1000", 53, by(server, ev("08:00:02", flowEnd, 53)))), udp(by(server, ev("08:01:00", unbind, 53))),
		}, []string{"bind 08:00:00..08:01:00 x1 198.51.100.1:1"}},
		{"ports that the kernel chose", []*activity.Event{
			udp(auto(by(other, ev("08:00:00", bind, 40000)))), udp(with("198.51.100.1:53", 40000, by(other, ev("08:00:00", flow, 40000)))),
			udp(auto(by(other, ev("08:00:01", bind, 40001)))), udp(with("198.51.100.1:53", 40001, by(other, ev("08:00:01", flow, 40001)))),
			udp(by(other, ev("08:00:02", unbind, 40000))),
		}, []string{"bind 08:00:00..- x2", "flow 08:00:00..- x2"}},
		{"a restart ends exchanges, and ports that are not found again", []*activity.Event{
			ev("07:00:00", activity.KindRecorderStart, 0), udp(by(server, ev("08:00:00", bind, 53))), udp(with("198.51.100.1:1000", 53, by(server, ev("08:00:01", flow, 53)))),
			ev("09:00:00", activity.KindRecorderStart, 0),
		}, []string{"bind 08:00:00..<=09:00:00 x1 198.51.100.1:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, summary(story(nil, 0, tt.events))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// TestTimelineBounds: what goes beyond the bounds is counted all the same.
func TestTimelineBounds(t *testing.T) {
	tl := NewTimeline(nil, 0)
	p := &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 10}, Exe: "/bin/scan"}
	const n = maxEntries + 1000
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		tl.Add(&activity.Event{Kind: activity.KindConnectFailed, Time: int64(i + 1), Proto: activity.TCP, Remote: netip.AddrPortFrom(a, 80), Owner: p.Key, Process: p})
	}
	var sum, rest uint64
	es := tl.Entries()
	for _, e := range es {
		sum += e.Count
		if e.Rest {
			rest += e.Count
		}
	}
	if len(es) != maxEntries+1 || sum != n || rest != 1000 {
		t.Errorf("%d entries count %d attempts, %d of them as the rest; want %d, %d, 1000", len(es), sum, rest, maxEntries+1, n)
	}
}

func TestProgram(t *testing.T) {
	session := func(n string) *activity.Process {
		return &activity.Process{Exe: "/bin/nc", UID: activity.NoID, Unit: activity.Unit{Name: "session-" + n + ".scope"}}
	}
	if programOf(session("3")) != programOf(session("14")) {
		t.Error("a program is another in each login session")
	}
	a := activity.Process{Exe: "/bin/nc", User: "root", Container: activity.Container{ID: strings.Repeat("a", 64), Name: "web"}}
	b := a
	b.Container.ID, b.Key.PID, b.Args = strings.Repeat("b", 64), 77, []string{"x"}
	if programOf(&a) != programOf(&b) {
		t.Error("a program is another in each life of its container")
	}
	for _, change := range []func(*activity.Process){
		func(p *activity.Process) { p.Exe = "/tmp/nc" },
		func(p *activity.Process) { p.User = "eve" },
		func(p *activity.Process) { p.Unit.Name = "nc.service" },
		func(p *activity.Process) { p.Container.Name = "db" },
	} {
		b := a
		if change(&b); programOf(&a) == programOf(&b) {
			t.Errorf("%+v is not told from %+v", b, a)
		}
	}
}
