package sockdiag

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// bench drives a table without a kernel: each scan is given the rows that are
// there and who holds which inode.
type bench struct {
	*table
	q     queue
	clock uint64
	left  map[pair]bool // TIME-WAIT stubs in the kernel
	met   map[activity.ProcessKey]bool
}

func newBench(watched bool) *bench {
	b := &bench{left: map[pair]bool{}, met: map[activity.ProcessKey]bool{}}
	b.table = newTable(&b.q)
	b.table.watched = func(uint32) bool { return watched }
	b.table.stubOf = func(r *row) (bool, bool) { return b.left[pair{r.local, r.remote}], true }
	b.table.meet = func(k activity.ProcessKey, _ uint64) *activity.Process {
		if b.met[k] {
			return nil
		}
		b.met[k] = true
		return &activity.Process{Key: k}
	}
	b.table.process = func(k activity.ProcessKey) *activity.Process { return &activity.Process{Key: k} }
	return b
}

func (b *bench) scanned(holders holding, rows ...row) []string {
	b.clock += 100
	b.begin(stamp{boot: b.clock, utc: int64(b.clock)})
	for i := range rows {
		b.see(&rows[i])
	}
	b.miss(func(uint32) bool { return false })
	want := b.want(true, func(uint32) bool { return true })
	for inode := range want {
		want[inode] = holders[inode]
	}
	b.settle(want)
	return b.read()
}

func (b *bench) died(r row) []string {
	b.clock++
	b.dead(&r, stamp{boot: b.clock, utc: int64(b.clock)})
	return b.read()
}

// read empties the queue into one line an observation.
func (b *bench) read() (lines []string) {
	var o activity.Observation
	for b.q.pop(&o) {
		lines = append(lines, line(&o))
	}
	b.forget()
	return lines
}

func line(o *activity.Observation) string {
	v := &o.Event
	switch o.What {
	case activity.WhatProcess:
		return "process " + string('a'+rune(o.Key.PID))
	case activity.WhatExit:
		return "exit " + string('a'+rune(o.Key.PID))
	case activity.WhatHolder:
		return "holder " + string('a'+rune(o.Key.PID)) + " " + v.Local.String()
	}
	s := v.Kind.String() + " " + v.Local.String()
	if v.Remote.IsValid() {
		s += " " + v.Remote.String()
	}
	if !v.Owner.IsZero() {
		s += " by " + string('a'+rune(v.Owner.PID))
	}
	if v.Provenance != activity.Observed {
		s += " " + v.Provenance.String()
	}
	if v.Reason != activity.ReasonNone {
		s += " " + v.Reason.String()
	}
	return s
}

func key1(pid uint32) activity.ProcessKey {
	return activity.ProcessKey{PID: pid, Start: uint64(pid) * 10}
}

var (
	procB = key1(1)
	procC = key1(2)
)

func tcp(state activity.State, cookie, inode uint64, local, remote string) row {
	r := row{proto: activity.TCP, state: state, ns: 1, cookie: cookie, inode: inode, local: netip.MustParseAddrPort(local)}
	if remote != "" {
		r.remote = netip.MustParseAddrPort(remote)
	}
	return r
}

func mini(cookie uint64, local, remote string) row {
	r := tcp(activity.StateTimeWait, cookie, 0, local, remote)
	r.mini = true
	return r
}

func udp(cookie, inode uint64, local, remote string) row {
	r := tcp(activity.StateBound, cookie, inode, local, remote)
	r.proto = activity.UDP
	return r
}

const (
	web    = "192.0.2.1:80"
	client = "192.0.2.9:50000"
)

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestTableListener(t *testing.T) {
	b := newBench(true)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	own := holding{11: {procC, procB}}
	check(t, "base line", b.scanned(nil))
	check(t, "listen", b.scanned(own, l), "process b", "listen 0.0.0.0:80 by b", "process c", "holder c 0.0.0.0:80")
	check(t, "nothing new", b.scanned(own, l))
	check(t, "another holder", b.scanned(holding{11: {procB, procC, key1(3)}}, l), "process d", "holder d 0.0.0.0:80")
	check(t, "destroyed", b.died(l), "unlisten 0.0.0.0:80 by b")
	check(t, "gone", b.scanned(nil))
}

func TestTableBaseLine(t *testing.T) {
	b := newBench(true)
	rows := []row{tcp(activity.StateListen, 1, 11, "0.0.0.0:80", ""), tcp(activity.StateEstablished, 2, 12, web, client),
		udp(3, 13, "0.0.0.0:53", ""), tcp(activity.StateSynSent, 4, 14, client, "192.0.2.7:443"), mini(5, web, "192.0.2.8:1")}
	check(t, "base line", b.scanned(holding{11: {procB}, 12: {procB}}, rows...))
	var got []uint64
	b.sockets(func(s *activity.Socket) bool {
		got = append(got, s.Cookie)
		if (s.Cookie < 3) != (s.Owner == procB) || s.Provenance != activity.Snapshotted || s.Since != 0 {
			t.Errorf("socket %+v", *s)
		}
		return true
	})
	slices.Sort(got)
	if d := cmp.Diff([]uint64{1, 2, 3, 4}, got); d != "" {
		t.Errorf("sockets (-want +got):\n%s", d)
	}
	rows[3].state = activity.StateEstablished
	check(t, "an attempt in the base line succeeds", b.scanned(nil, rows...), "connect 192.0.2.9:50000 192.0.2.7:443")
}

func TestTableConnection(t *testing.T) {
	for _, test := range []struct {
		name    string
		watched bool
	}{{"watched", true}, {"not watched", false}} {
		b := newBench(test.watched)
		l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
		in := tcp(activity.StateEstablished, 2, 12, web, client)
		out := tcp(activity.StateEstablished, 3, 13, client, web)
		own := holding{11: {procB}, 12: {procB}, 13: {procC}}
		b.scanned(own, l)
		check(t, test.name, b.scanned(own, l, in, out), "process b", "accept 192.0.2.1:80 192.0.2.9:50000 by b",
			"process c", "connect 192.0.2.9:50000 192.0.2.1:80 by c")
		if test.watched {
			check(t, "missing once", b.scanned(own, l))
		}
		got := b.scanned(own, l)
		slices.Sort(got)
		check(t, "missing", got, "close 192.0.2.1:80 192.0.2.9:50000 by b inferred", "close 192.0.2.9:50000 192.0.2.1:80 by c inferred")
		if test.watched {
			check(t, "late notification", b.died(in))
		}
	}
}

func TestTableAcceptQueue(t *testing.T) {
	b := newBench(true)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	own := holding{11: {procB}, 12: {procC}}
	waiting := tcp(activity.StateEstablished, 2, 0, web, client)
	accepted := waiting
	accepted.inode = 12
	b.scanned(own, l)
	check(t, "in the queue", b.scanned(own, l, waiting))
	check(t, "accepted", b.scanned(own, l, accepted), "process c", "accept 192.0.2.1:80 192.0.2.9:50000 by c")
	never := tcp(activity.StateEstablished, 3, 0, web, "192.0.2.9:50001")
	check(t, "in the queue", b.scanned(own, l, accepted, never))
	b.clock++
	b.dead(&never, stamp{boot: b.clock})
	var o activity.Observation
	for _, want := range []activity.Kind{activity.KindAccept, activity.KindClose} {
		for b.q.pop(&o) && o.What != activity.WhatEvent {
			continue
		}
		if o.Event.Kind != want || o.Event.Owner != procB {
			t.Errorf("%v by %v, want %v by the listener's owner", o.Event.Kind, o.Event.Owner, want)
		}
		if o.Event.Flags&activity.FlagNotAccepted != 0 || o.Event.Role != activity.RoleListener {
			t.Errorf("%+v, want the role of a listener, for it may have been accepted since", o.Event)
		}
	}
}

func TestTableTimeWait(t *testing.T) {
	stub := mini(9, client, web)
	for _, test := range []struct {
		name    string
		watched bool
		want    []string
	}{
		{"not watched", false, []string{"connect 192.0.2.9:50000 192.0.2.1:80 inferred", "close 192.0.2.9:50000 192.0.2.1:80 inferred"}},
		{"watched", true, nil},
	} {
		b := newBench(test.watched)
		b.scanned(nil)
		check(t, test.name, b.scanned(nil, stub), test.want...)
		if test.watched {
			check(t, "no notification", b.scanned(nil, stub), "connect 192.0.2.9:50000 192.0.2.1:80 inferred", "close 192.0.2.9:50000 192.0.2.1:80 inferred")
		}
		check(t, "told once", b.scanned(nil, stub))
	}
	b := newBench(true)
	b.scanned(nil)
	b.scanned(nil, stub)
	check(t, "notification after the stub", b.died(tcp(activity.StateClosed, 4, 0, client, web)),
		"connect 192.0.2.9:50000 192.0.2.1:80 inferred", "close 192.0.2.9:50000 192.0.2.1:80")
	check(t, "told once", b.scanned(nil, stub))
	check(t, "stub ended", b.scanned(nil))
	check(t, "another with the same addresses", b.scanned(nil, tcp(activity.StateEstablished, 10, 0, client, web)),
		"connect 192.0.2.9:50000 192.0.2.1:80")
}

func TestTableFailure(t *testing.T) {
	b := newBench(true)
	b.scanned(nil)
	own := holding{12: {procB}}
	syn := tcp(activity.StateSynSent, 2, 12, client, web)
	check(t, "attempt", b.scanned(own, syn))
	syn.info = tcpInfo{known: true, sent: true, segsIn: 1}
	check(t, "refused", b.died(syn), "connect-failed 192.0.2.9:50000 192.0.2.1:80 by b refused")
	syn.cookie, syn.info = 3, tcpInfo{}
	b.scanned(own, syn)
	b.scanned(own)
	check(t, "missing", b.scanned(own), "connect-failed 192.0.2.9:50000 192.0.2.1:80 by b inferred")
	syn.cookie, syn.info = 4, tcpInfo{known: true, sent: true, segsIn: 1}
	check(t, "between two scans", b.died(syn), "connect-failed 192.0.2.9:50000 192.0.2.1:80 refused")
	syn.cookie = 5
	b.scanned(own, syn)
	syn.info.bytesAcked = 2
	check(t, "established after all", b.died(syn), "process b", "connect 192.0.2.9:50000 192.0.2.1:80 by b", "close 192.0.2.9:50000 192.0.2.1:80 by b closed")
}

func TestTableUDP(t *testing.T) {
	b := newBench(true)
	own := holding{11: {procB}}
	b.scanned(nil)
	u := udp(1, 11, "0.0.0.0:5353", "")
	check(t, "bind", b.scanned(own, u), "process b", "bind 0.0.0.0:5353 by b")
	u.local, u.remote = netip.MustParseAddrPort("192.0.2.9:5353"), netip.MustParseAddrPort("192.0.2.1:53")
	check(t, "connected", b.scanned(own, u), "flow 192.0.2.9:5353 192.0.2.1:53 by b inferred")
	check(t, "the same", b.scanned(own, u))
	u.local = netip.MustParseAddrPort("192.0.2.9:5354")
	check(t, "another port", b.scanned(own, u), "unbind 192.0.2.9:5353 192.0.2.1:53 by b inferred",
		"bind 192.0.2.9:5354 192.0.2.1:53 by b", "flow 192.0.2.9:5354 192.0.2.1:53 by b inferred")
	check(t, "destroyed", b.died(u), "unbind 192.0.2.9:5354 192.0.2.1:53 by b")
	check(t, "between two scans", b.died(udp(2, 0, client, "192.0.2.1:53")), "bind 192.0.2.9:50000 192.0.2.1:53 inferred",
		"flow 192.0.2.9:50000 192.0.2.1:53 inferred", "unbind 192.0.2.9:50000 192.0.2.1:53")
	check(t, "never bound", b.died(udp(3, 0, "0.0.0.0:0", "")))
}

func TestTableOwnerExits(t *testing.T) {
	b := newBench(true)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	b.scanned(nil)
	b.scanned(holding{11: {procB}}, l)
	b.depart(procB, stamp{boot: b.clock})
	check(t, "exit", b.read(), "exit b")
	check(t, "the other holder", b.scanned(holding{11: {procC}}, l), "process c", "holder c 0.0.0.0:80")
}

func TestTableOwnerLate(t *testing.T) {
	b := newBench(true)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	b.scanned(nil)
	check(t, "not found yet", b.scanned(nil, l))
	check(t, "found", b.scanned(holding{11: {procB}}, l), "process b", "listen 0.0.0.0:80 by b")
	l.cookie, l.inode, l.local = 2, 12, netip.MustParseAddrPort("0.0.0.0:81")
	check(t, "destroyed before", append(b.scanned(nil, l), b.died(l)...), "listen 0.0.0.0:81", "unlisten 0.0.0.0:81")
	l.cookie = 3
	b.scanned(nil, l)
	check(t, "never found", b.scanned(nil, l), "listen 0.0.0.0:81")
}

func TestTableUnreadNamespace(t *testing.T) {
	b := newBench(false)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	b.scanned(nil, l)
	b.begin(stamp{boot: 1000})
	b.miss(func(ns uint32) bool { return ns == 1 })
	check(t, "not read now", b.read())
	check(t, "read again", b.scanned(nil, l))
}

// TestTableSockets checks that Sockets agrees with what has been read.
func TestTableSockets(t *testing.T) {
	b := newBench(true)
	count := func() (n int) {
		b.sockets(func(*activity.Socket) bool { n++; return true })
		return n
	}
	b.scanned(nil)
	l := tcp(activity.StateListen, 1, 11, "0.0.0.0:80", "")
	b.begin(stamp{boot: 500})
	b.see(&l)
	b.settle(holding{})
	if n := count(); n != 0 {
		t.Errorf("%d sockets before its listen is read", n)
	}
	b.read()
	if n := count(); n != 1 {
		t.Errorf("%d sockets after its listen is read", n)
	}
	b.dead(&l, stamp{boot: 600})
	if n := count(); n != 1 {
		t.Errorf("%d sockets before its unlisten is read", n)
	}
	b.read()
	if n := count(); n != 0 {
		t.Errorf("%d sockets after its unlisten is read", n)
	}
}

func TestNextInterval(t *testing.T) {
	c := Config{MinInterval: 100, MaxInterval: 2000}
	for _, test := range []struct {
		last, cost time.Duration
		changed    bool
		want       time.Duration
	}{
		{2000, 1, true, 100}, {100, 1, false, 150}, {1900, 1, false, 2000}, {100, 10, true, 300}, {100, 90, true, 2000}, {100, 200, false, 4000},
	} {
		if got := nextInterval(c, test.last, test.cost, test.changed); got != test.want {
			t.Errorf("after %d at cost %d, changed %v: %d, want %d", test.last, test.cost, test.changed, got, test.want)
		}
	}
}
