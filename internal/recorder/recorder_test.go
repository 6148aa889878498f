package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// memory is a journal in memory.
type memory struct {
	mu      sync.Mutex
	events  []activity.Event
	flushed int
	procs   []*activity.Process
	sets    []*activity.ModuleSet
	err     error
}

func (m *memory) Append(e *activity.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Seq = uint64(len(m.events) + 1)
	m.events = append(m.events, *e)
}
func (m *memory) Process(p *activity.Process)   { m.procs = append(m.procs, p) }
func (m *memory) Modules(s *activity.ModuleSet) { m.sets = append(m.sets, s) }
func (m *memory) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushed = len(m.events)
	return m.err
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// told returns the events of the kinds, all when none is named, one line each.
func (m *memory) told(kinds ...activity.Kind) (lines []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.events {
		e := &m.events[i]
		if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
			continue
		}
		name := "nobody"
		if e.Process != nil {
			name = e.Process.Name
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Kind, e.Provenance, e.Local, name))
	}
	return lines
}

// people is a resolver that knows the processes it is given.
type people struct {
	known map[activity.ProcessKey]*activity.Process
	deep  func(*activity.Process) (*activity.Process, *activity.ModuleSet, error)
}

func (p people) Quick(q *activity.Process) *activity.Process { c := *q; c.User = "u"; return &c }
func (p people) Read(k activity.ProcessKey) *activity.Process {
	if q := p.known[k]; q != nil {
		c := *q
		return &c
	}
	return nil
}
func (p people) Deep(_ context.Context, q *activity.Process) (*activity.Process, *activity.ModuleSet, error) {
	if p.deep == nil {
		return q, nil, nil
	}
	return p.deep(q)
}

// live gives a fake source a liveness scan, and remembers that it was woken.
type live struct {
	*testutil.Source
	alive func() []activity.Socket
	asOf  func() uint64
	scans atomic.Int32
}

func (l *live) Live(yield func(*activity.Socket) bool) (uint64, error) {
	l.scans.Add(1)
	for _, k := range l.alive() {
		if !yield(&k) {
			break
		}
	}
	return l.asOf(), nil
}

func key(pid uint32) activity.ProcessKey {
	return activity.ProcessKey{PID: pid, Start: uint64(pid) * 1000}
}

func announce(pid uint32, name string) activity.Observation {
	return activity.Observation{What: activity.WhatProcess, Key: key(pid),
		Process: &activity.Process{ID: activity.ProcessID(pid), Key: key(pid), Name: name, UID: 1000, EUID: 1000}}
}

func happens(k activity.Kind, cookie uint64, pid uint32, local string, change ...func(*activity.Event)) activity.Observation {
	e := activity.Event{Kind: k, Proto: activity.TCP, Socket: cookie, Local: netip.MustParseAddrPort(local), NetNS: 1, Boot: 100 + cookie, Time: int64(1000 + cookie)}
	if pid != 0 {
		e.Owner = key(pid)
	}
	for _, f := range change {
		f(&e)
	}
	return activity.Observation{What: activity.WhatEvent, Event: e, UID: 1000}
}

func udp(e *activity.Event) { e.Proto = activity.UDP }

// record runs a recorder for as long as during takes, in the fake time of its
// caller.
func record(t *testing.T, cfg Config, m *memory, during func(r *Recorder)) {
	t.Helper()
	if cfg.Resolver == nil {
		cfg.Resolver = people{}
	}
	cfg.Journal = m
	r := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	synctest.Wait()
	during(r)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestEventsGetTheirOwners(t *testing.T) { synctest.Test(t, testEventsGetTheirOwners) }

func testEventsGetTheirOwners(t *testing.T) {
	src := testutil.NewSource(
		announce(10, "nginx"),
		happens(activity.KindListen, 1, 10, "0.0.0.0:80"),
		happens(activity.KindAccept, 2, 10, "10.0.0.1:80"),
		happens(activity.KindClose, 2, 10, "10.0.0.1:80"),
		happens(activity.KindClose, 3, 0, "10.0.0.1:80", func(e *activity.Event) { e.Unknown = activity.FactOwner }),
		happens(activity.KindUnlisten, 1, 0, "0.0.0.0:80"), // ended by the kernel: the owner is who opened it
		happens(activity.KindKnock, 0, 0, "10.0.0.1:23"),
		happens(activity.KindConnect, 4, 11, "10.0.0.1:40000"), // its process record was lost
	)
	m := &memory{}
	var published []string
	var seen int
	record(t, Config{Source: src, Publish: func(e *activity.Event) {
		seen++
		if e.Seq == 0 || int(e.Seq) > m.flushed {
			published = append(published, e.Kind.String())
		}
	}}, m, func(*Recorder) { time.Sleep(time.Second) })
	want := []string{
		"recorder-start observed invalid AddrPort nobody",
		"listen observed 0.0.0.0:80 nginx", "accept observed 10.0.0.1:80 nginx", "close observed 10.0.0.1:80 nginx",
		"close observed 10.0.0.1:80 nobody", "unlisten observed 0.0.0.0:80 nginx", "knock observed 10.0.0.1:23 nobody",
		"connect observed 10.0.0.1:40000 ", "recorder-stop observed invalid AddrPort nobody",
	}
	if d := cmp.Diff(want, m.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if len(published) > 0 {
		t.Errorf("published before the journal had them: %v", published)
	}
	if seen != len(want) {
		t.Errorf("%d published, want %d", seen, len(want))
	}
	if u := m.events[1].Process.User; u != "u" {
		t.Errorf("the resolver was not asked: user %q", u)
	}
	if p := m.events[7].Process; p.UID != 1000 || p.Key != key(11) {
		t.Errorf("stub of a lost process: %+v", p)
	}
}

func TestSnapshotAtStart(t *testing.T) { synctest.Test(t, testSnapshotAtStart) }

func testSnapshotAtStart(t *testing.T) {
	owner, other := key(7), key(8)
	src := testutil.NewSource(
		// Happened between the hooks and the scan: told once, as observed.
		announce(9, "new"), happens(activity.KindListen, 5, 9, "0.0.0.0:5000"),
		// Ended after the scan had seen it: no snapshot of it.
		happens(activity.KindClose, 6, 0, "10.0.0.1:6000"),
	)
	src.AsOf = 1000
	sock := func(cookie uint64, port uint16, st activity.State, hs ...activity.ProcessKey) activity.Socket {
		k := activity.Socket{Cookie: cookie, Proto: activity.TCP, State: st, NetNS: 1, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Holders: hs, Tier: activity.TierEBPF}
		if len(hs) > 0 {
			k.Owner = hs[0]
		}
		return k
	}
	src.Open = []activity.Socket{
		sock(4, 4000, activity.StateListen, owner, other), sock(5, 5000, activity.StateListen, key(9)), sock(6, 6000, activity.StateEstablished, owner),
		sock(7, 7000, activity.StateSynSent, owner), sock(8, 8000, activity.StateTimeWait), sock(9, 9000, activity.StateEstablished),
	}
	m := &memory{}
	var table []activity.Socket
	known := map[activity.ProcessKey]*activity.Process{owner: {ID: 7, Key: owner, Name: "old"}, other: {ID: 8, Key: other, Name: "twin"}}
	record(t, Config{Source: src, Resolver: people{known: known}, Start: func(s []activity.Socket) { table = s }}, m, func(*Recorder) {})
	want := []string{"listen observed 0.0.0.0:5000 new", "snapshot snapshot 0.0.0.0:4000 old", "snapshot snapshot 0.0.0.0:9000 nobody"}
	if d := cmp.Diff(want, m.told(activity.KindListen, activity.KindSnapshot)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if len(table) != 3 {
		t.Errorf("the first table has %d sockets, want 3: %+v", len(table), table)
	}
	for i := range m.events {
		switch e := &m.events[i]; e.Socket {
		case 4:
			if len(e.Holders) != 1 || e.Holders[0].Name != "twin" {
				t.Errorf("holders of the inherited listener: %+v", e.Holders)
			}
		case 9:
			if e.Unknown&activity.FactOwner == 0 {
				t.Error("a socket that nobody holds must say that its owner is unknown")
			}
		}
	}
}

func TestReconciliation(t *testing.T) { synctest.Test(t, testReconciliation) }

func testReconciliation(t *testing.T) {
	src := &live{Source: testutil.NewSource(
		announce(1, "a"),
		happens(activity.KindListen, 1, 1, "0.0.0.0:1"),
		happens(activity.KindConnect, 2, 1, "10.0.0.1:2"),                                               // its close will be missed
		happens(activity.KindBind, 3, 1, "0.0.0.0:3", udp),                                              // its unbind will be missed
		happens(activity.KindConnect, 9, 1, "10.0.0.1:9", func(e *activity.Event) { e.Boot = 1 << 40 }), // opened after the scan
	)}
	src.asOf = func() uint64 { return 1 << 30 }
	src.alive = func() []activity.Socket {
		return []activity.Socket{
			{Cookie: 1, Proto: activity.TCP, State: activity.StateListen},
			{Cookie: 10, Proto: activity.TCP, State: activity.StateListen, Owner: key(1), Local: netip.MustParseAddrPort("0.0.0.0:10")}, // missed
			{Cookie: 11, Proto: activity.TCP, State: activity.StateEstablished, Role: activity.RoleListener},                            // waits in the accept queue
		}
	}
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) {
		time.Sleep(5500 * time.Millisecond)
		if got := m.told(activity.KindClose, activity.KindUnbind, activity.KindSnapshot); len(got) > 0 {
			t.Errorf("told before a second pass has confirmed it: %q", got)
		}
		time.Sleep(4 * time.Second)
		if n := src.scans.Load(); n != 2 {
			t.Errorf("%d scans, want one after five seconds and another soon after", n)
		}
	})
	want := []string{"close inferred 10.0.0.1:2 a", "unbind inferred 0.0.0.0:3 a", "snapshot inferred 0.0.0.0:10 a"}
	got := m.told(activity.KindClose, activity.KindUnbind, activity.KindSnapshot)
	if len(got) == 3 && got[0] > got[1] { // the table has no order
		got[0], got[1] = got[1], got[0]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for i := range m.events {
		if e := &m.events[i]; e.Kind == activity.KindClose && e.Unknown&(activity.FactBytes|activity.FactDuration|activity.FactReason) != activity.FactBytes|activity.FactDuration|activity.FactReason {
			t.Errorf("an inferred close claims to know more than it can: %v", e.Unknown)
		}
	}
}

func TestLossIsDeclared(t *testing.T) { synctest.Test(t, testLossIsDeclared) }

func testLossIsDeclared(t *testing.T) {
	src := testutil.NewSource()
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) {
		src.Lose(activity.KindAccept, 312)
		src.Lose(activity.KindClose, 2)
		time.Sleep(1500 * time.Millisecond)
		src.Lose(activity.KindClose, 5) // in the last second: the stop must still say it
	})
	var gaps []*activity.Coverage
	for i := range m.events {
		if m.events[i].Kind == activity.KindGap {
			gaps = append(gaps, m.events[i].Coverage)
		}
	}
	if len(gaps) != 2 || gaps[0].Lost[activity.KindAccept] != 312 || gaps[0].Lost[activity.KindClose] != 2 || gaps[1].Lost[activity.KindClose] != 5 {
		t.Fatalf("gaps: %+v", gaps)
	}
	if gaps[0].From >= gaps[0].To || gaps[0].To > gaps[1].From {
		t.Errorf("intervals %d-%d, %d-%d", gaps[0].From, gaps[0].To, gaps[1].From, gaps[1].To)
	}
	stop := m.events[len(m.events)-1]
	if stop.Kind != activity.KindRecorderStop || stop.Coverage.LostTotal() != 319 {
		t.Errorf("recorder-stop sums %d lost, want 319", stop.Coverage.LostTotal())
	}
}

func TestUnreadableObservationIsALoss(t *testing.T) {
	synctest.Test(t, testUnreadableObservationIsALoss)
}

func testUnreadableObservationIsALoss(t *testing.T) {
	src := testutil.NewSource()
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) {
		src.Fail(errors.New("torn"))
		time.Sleep(2 * time.Second)
	})
	if n := m.events[len(m.events)-1].Coverage.Lost[activity.KindNone]; n != 1 {
		t.Errorf("%d of unknown kind lost, want 1", n)
	}
}

func TestClockStep(t *testing.T) {
	var c coverage
	began := time.Now()
	c.begin(began)
	if e := c.clock(began.Add(time.Second)); e != nil {
		t.Errorf("no step, but %+v", e.Coverage)
	}
	c.wall -= int64(time.Hour) // as if the wall clock had been an hour behind
	e := c.clock(began.Add(2 * time.Second))
	if e == nil || !strings.Contains(e.Coverage.Reason, "+3600.000 s") || e.Coverage.LostTotal() != 0 {
		t.Fatalf("a step of an hour: %+v", e)
	}
}

func TestBindConflict(t *testing.T) { synctest.Test(t, testBindConflict) }

func testBindConflict(t *testing.T) {
	failed := func(cookie uint64, local string, change ...func(*activity.Event)) activity.Observation {
		return happens(activity.KindBindFailed, cookie, 2, local, change...)
	}
	noErrno := func(e *activity.Event) { e.Unknown = activity.FactReason }
	inUse := func(e *activity.Event) { e.Reason, e.Errno = activity.ReasonAddressInUse, 98 }
	src := testutil.NewSource(
		announce(1, "holder"), announce(2, "late"),
		happens(activity.KindListen, 1, 1, "0.0.0.0:80"),
		happens(activity.KindListen, 2, 1, "10.0.0.1:81"),
		happens(activity.KindBind, 3, 1, "[::]:53", udp),
		failed(20, "127.0.0.1:80", inUse), failed(21, "127.0.0.1:80", noErrno),
		failed(22, "10.0.0.2:81", noErrno),       // another address: no conflict; privileged port, ordinary user
		failed(23, "0.0.0.0:8081", noErrno),      // nothing explains it
		failed(24, "127.0.0.1:53", udp, noErrno), // the IPv6 wildcard holds IPv4 too
		failed(25, "127.0.0.1:8080", inUse),      // by someone that is not in the table
		failed(26, "127.0.0.1:80", func(e *activity.Event) { e.NetNS = 2; noErrno(e); e.Local = netip.MustParseAddrPort("127.0.0.1:8000") }),
	)
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) { time.Sleep(time.Second) })
	var got []string
	for i := range m.events {
		if e := &m.events[i]; e.Kind == activity.KindBindFailed {
			holder := "-"
			if e.Holder != nil {
				holder = e.Holder.Name
			}
			got = append(got, fmt.Sprintf("%d %s holder=%s concluded=%v unknown=%v", e.Socket, e.Reason, holder, e.Flags&activity.FlagConcluded != 0, e.Unknown&(activity.FactReason|activity.FactHolder)))
		}
	}
	want := []string{
		"20 address-in-use holder=holder concluded=false unknown=0", "21 address-in-use holder=holder concluded=true unknown=0",
		"22 denied holder=- concluded=true unknown=0", fmt.Sprintf("23  holder=- concluded=false unknown=%v", activity.FactReason),
		"24 address-in-use holder=holder concluded=true unknown=0", fmt.Sprintf("25 address-in-use holder=- concluded=false unknown=%v", activity.FactHolder),
		fmt.Sprintf("26  holder=- concluded=false unknown=%v", activity.FactReason),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestOwnerExitsAndItsSocketLivesOn(t *testing.T) {
	synctest.Test(t, testOwnerExitsAndItsSocketLivesOn)
}

func testOwnerExitsAndItsSocketLivesOn(t *testing.T) {
	heir := key(2)
	src := testutil.NewSource(announce(1, "parent"), happens(activity.KindListen, 1, 1, "0.0.0.0:80"))
	m := &memory{}
	known := map[activity.ProcessKey]*activity.Process{heir: {ID: 2, Key: heir, Name: "child"}}
	record(t, Config{Source: src, Resolver: people{known: known}}, m, func(r *Recorder) {
		time.Sleep(time.Second)
		src.Open = []activity.Socket{{Cookie: 1, Proto: activity.TCP, State: activity.StateListen, Holders: []activity.ProcessKey{heir}}}
		src.Feed(activity.Observation{What: activity.WhatExit, Key: key(1)})
		time.Sleep(3 * time.Second)
		socks, err := tableOf(r)
		if err != nil || len(socks) != 1 || socks[0].Process == nil || socks[0].Process.Name != "child" {
			t.Errorf("table after the parent's exit: %+v, %v", socks, err)
		}
		src.Feed(happens(activity.KindUnlisten, 1, 2, "0.0.0.0:80"))
		time.Sleep(time.Second)
	})
	want := []string{"listen observed 0.0.0.0:80 parent", "unlisten observed 0.0.0.0:80 child", "snapshot inferred 0.0.0.0:80 child"}
	got := m.told(activity.KindListen, activity.KindSnapshot, activity.KindUnlisten)
	if d := cmp.Diff([]string{want[0], want[2], want[1]}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestHolders(t *testing.T) { synctest.Test(t, testHolders) }

func testHolders(t *testing.T) {
	src := testutil.NewSource(announce(1, "a"), happens(activity.KindAccept, 1, 1, "10.0.0.1:80"), announce(2, "b"),
		activity.Observation{What: activity.WhatHolder, Key: key(2), Event: activity.Event{Socket: 1}},
		activity.Observation{What: activity.WhatHolder, Key: key(2), Event: activity.Event{Socket: 1}},
		activity.Observation{What: activity.WhatHolder, Key: key(2), Event: activity.Event{Socket: 99}},
		happens(activity.KindClose, 1, 1, "10.0.0.1:80"))
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) { time.Sleep(time.Second) })
	e := m.events[len(m.events)-2]
	if e.Kind != activity.KindClose || len(e.Holders) != 1 || e.Holders[0].Name != "b" {
		t.Errorf("close with holders %+v", e.Holders)
	}
}

func TestSlowFacts(t *testing.T) { synctest.Test(t, testSlowFacts) }

func testSlowFacts(t *testing.T) {
	src := testutil.NewSource(announce(1, "stays"), announce(2, "goes"), happens(activity.KindListen, 1, 1, "0.0.0.0:80"),
		activity.Observation{What: activity.WhatExit, Key: key(2)})
	m := &memory{}
	set := &activity.ModuleSet{ID: 5}
	var asked []string
	deep := func(p *activity.Process) (*activity.Process, *activity.ModuleSet, error) {
		asked = append(asked, p.Name)
		c := *p
		c.Rev++
		c.ExeSHA256, c.Modules = "abc", set.ID
		return &c, set, nil
	}
	record(t, Config{Source: src, Resolver: people{deep: deep}}, m, func(r *Recorder) {
		time.Sleep(4 * time.Second)
		socks, err := tableOf(r)
		if err != nil || len(socks) != 1 || socks[0].Process.ExeSHA256 != "abc" {
			t.Errorf("the table does not tell what was found out: %+v, %v", socks, err)
		}
	})
	if d := cmp.Diff([]string{"stays"}, asked); d != "" {
		t.Errorf("asked about (-want +got)\n%s", d)
	}
	if len(m.procs) != 1 || m.procs[0].Rev != 1 || len(m.sets) != 1 {
		t.Errorf("the journal was given %d processes and %d module sets, want 1 and 1", len(m.procs), len(m.sets))
	}
}

func TestQuestionsEndWithTheRecorder(t *testing.T) { synctest.Test(t, testQuestionsEndWithTheRecorder) }

func testQuestionsEndWithTheRecorder(t *testing.T) {
	src := testutil.NewSource()
	m := &memory{}
	var rec *Recorder
	record(t, Config{Source: src}, m, func(r *Recorder) {
		rec = r
		st, err := r.Status(t.Context())
		if err != nil || st.Events["recorder-start"] != 1 {
			t.Errorf("status %+v, %v", st, err)
		}
	})
	if _, err := tableOf(rec); !errors.Is(err, errStopped) {
		t.Errorf("a question after the end: %v", err)
	}
}

func TestJournalErrorIsSaidOnce(t *testing.T) { synctest.Test(t, testJournalErrorIsSaidOnce) }

func testJournalErrorIsSaidOnce(t *testing.T) {
	src := testutil.NewSource()
	m := &memory{err: errors.New("disk full")}
	var log strings.Builder
	record(t, Config{Source: src, Log: slog.New(slog.NewTextHandler(&log, nil))}, m, func(*Recorder) {
		time.Sleep(3 * time.Second)
		m.fail(nil)
		time.Sleep(time.Second)
	})
	if n := strings.Count(log.String(), "disk full"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "can be written again") {
		t.Errorf("recovery not said:\n%s", log.String())
	}
}

func TestSourceEnds(t *testing.T) {
	src := testutil.NewSource()
	src.Done = true
	m := &memory{}
	r := New(Config{Source: src, Resolver: people{}, Journal: m})
	if err := r.Run(t.Context()); err == nil {
		t.Error("Run goes on without a source")
	}
	if last := m.events[len(m.events)-1]; last.Kind != activity.KindRecorderStop || !strings.Contains(last.Coverage.Reason, "capture failed") {
		t.Errorf("last event %v %+v", last.Kind, last.Coverage)
	}
}

// A connection whose close is missed in the last moment is ended before
// coverage is.
func TestReconciliationAtTheEnd(t *testing.T) { synctest.Test(t, testReconciliationAtTheEnd) }

func testReconciliationAtTheEnd(t *testing.T) {
	src := &live{Source: testutil.NewSource(announce(1, "a"), happens(activity.KindConnect, 2, 1, "10.0.0.1:2"))}
	src.asOf = func() uint64 { return 1 << 30 }
	src.alive = func() []activity.Socket { return nil }
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) { time.Sleep(time.Second) })
	want := []string{"close inferred 10.0.0.1:2 a", "recorder-stop observed invalid AddrPort nobody"}
	if d := cmp.Diff(want, m.told(activity.KindClose, activity.KindRecorderStop)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// An ending that is told late, after a pass has missed the socket, is told once.
func TestLateEndingIsToldOnce(t *testing.T) { synctest.Test(t, testLateEndingIsToldOnce) }

func testLateEndingIsToldOnce(t *testing.T) {
	src := &live{Source: testutil.NewSource(announce(1, "a"), happens(activity.KindConnect, 2, 1, "10.0.0.1:2"))}
	src.asOf = func() uint64 { return 1 << 30 }
	src.alive = func() []activity.Socket { return nil }
	m := &memory{}
	record(t, Config{Source: src}, m, func(*Recorder) {
		time.Sleep(5500 * time.Millisecond)
		src.Feed(happens(activity.KindClose, 2, 1, "10.0.0.1:2"))
		time.Sleep(5 * time.Second)
	})
	if d := cmp.Diff([]string{"close observed 10.0.0.1:2 a"}, m.told(activity.KindClose)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestLargeTable(t *testing.T) { synctest.Test(t, testLargeTable) }

// The table comes in parts, and what closes between them is left out.
func testLargeTable(t *testing.T) {
	const sockets = 2*socketsAtOnce + 7
	src := testutil.NewSource(announce(1, "busy"))
	for i := range uint64(sockets) {
		src.Feed(happens(activity.KindAccept, i+1, 1, "10.0.0.1:80"))
	}
	record(t, Config{Source: src}, &memory{}, func(r *Recorder) {
		time.Sleep(3 * time.Second)
		if n := r.Open(); n != sockets {
			t.Errorf("%d open, want %d", n, sockets)
		}
		seen := map[uint64]bool{}
		for s, err := range r.Sockets(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) == 0 { // all but the first part
				for i := range uint64(sockets) {
					src.Feed(happens(activity.KindClose, i+1, 1, "10.0.0.1:80"))
				}
				time.Sleep(time.Second)
			}
			if seen[s.Cookie] {
				t.Errorf("socket %d twice", s.Cookie)
			}
			seen[s.Cookie] = true
		}
		if len(seen) != socketsAtOnce {
			t.Errorf("%d sockets told of, want those of the first part, %d", len(seen), socketsAtOnce)
		}
		for range r.Sockets(t.Context()) {
			t.Error("a socket in an empty table")
		}
	})
}

// tableOf collects the table of a recorder that runs.
func tableOf(r *Recorder) (socks []activity.Socket, err error) {
	for s, err := range r.Sockets(context.Background()) {
		if err != nil {
			return socks, err
		}
		socks = append(socks, *s)
	}
	return socks, nil
}
