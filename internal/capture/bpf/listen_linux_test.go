//go:build amd64 || arm64

package bpf

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestListensAreHeldUntilCertain(t *testing.T) {
	obs := func(k activity.Kind, socket uint64, pid uint32, boot uint64, port uint16) *activity.Observation {
		return &activity.Observation{What: activity.WhatEvent, Event: activity.Event{Kind: k, Socket: socket, Boot: boot,
			Owner: activity.ProcessKey{PID: pid}, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}}
	}
	never := func(*activity.Event) bool { return false }
	found := func(e *activity.Event) bool {
		e.Local = netip.AddrPortFrom(e.Local.Addr(), 4242)
		return true
	}
	const ms = 1_000_000
	for name, c := range map[string]struct {
		held *activity.Observation
		next *activity.Observation
		find func(*activity.Event) bool
		told int // -1: dropped; 0: still held; 1: told
		port uint16
	}{
		"another process's event at once":          {obs(activity.KindListen, 1, 10, 100, 80), obs(activity.KindConnect, 2, 11, 200, 5000), never, 0, 0},
		"the same process goes on":                 {obs(activity.KindListen, 1, 10, 100, 80), obs(activity.KindConnect, 2, 10, 200, 5000), never, 1, 80},
		"somebody connects to it":                  {obs(activity.KindListen, 1, 10, 100, 80), obs(activity.KindAccept, 2, 12, 200, 80), never, 1, 80},
		"an event much later":                      {obs(activity.KindListen, 1, 10, 100, 80), obs(activity.KindConnect, 2, 11, 2*ms, 5000), never, 1, 80},
		"it failed":                                {obs(activity.KindListen, 1, 10, 100, 80), obs(activity.KindBindFailed, 1, 10, 200, 80), never, -1, 0},
		"no port yet, and it lives":                {obs(activity.KindListen, 1, 10, 100, 0), obs(activity.KindConnect, 2, 10, 200, 5000), found, 1, 4242},
		"no port yet, and it is over":              {obs(activity.KindListen, 1, 10, 100, 0), obs(activity.KindConnect, 2, 10, 2*ms, 5000), never, 0, 0},
		"no port yet, but its end knows it":        {obs(activity.KindListen, 1, 10, 100, 0), obs(activity.KindUnlisten, 1, 10, 2*ms, 999), never, 1, 999},
		"a process record is nothing to wait with": {obs(activity.KindListen, 1, 10, 100, 80), &activity.Observation{What: activity.WhatProcess}, never, 0, 0},
	} {
		var l listens
		l.hold(c.held)
		told := l.settle(c.next, c.find)
		switch {
		case c.told == 1 && (len(told) != 1 || len(l) != 0 || told[0].Event.Local.Port() != c.port):
			t.Errorf("%s: told %+v, held %d; want port %d told", name, told, len(l), c.port)
		case c.told == 0 && (len(told) != 0 || len(l) != 1):
			t.Errorf("%s: told %d, held %d; want it held", name, len(told), len(l))
		case c.told == -1 && (len(told) != 0 || len(l) != 0):
			t.Errorf("%s: told %d, held %d; want it dropped", name, len(told), len(l))
		}
	}
	var l listens
	l.hold(obs(activity.KindListen, 1, 10, 100, 80))
	l.hold(obs(activity.KindListen, 2, 10, 100, 0))
	if told := l.expire(200, never); len(told) != 0 {
		t.Errorf("told after 100 ns: %+v", told)
	}
	if told := l.expire(2*ms, never); len(told) != 1 || told[0].Event.Socket != 1 {
		t.Errorf("after 2 ms: %+v, want the one with a port", told)
	}
	if told := l.expire(2000*ms, never); len(told) != 1 || told[0].Event.Unknown != activity.FactLocal || len(l) != 0 {
		t.Errorf("after 2 s: %+v, want the other, its port unknown", told)
	}
}

func TestFlowTableEndsEachFlowOnce(t *testing.T) {
	ft := newFlowTable(0)
	remote := func(n int) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), uint16(n)) }
	begin := func(socket uint64, n int, pid uint32) {
		ft.begin(&activity.Event{Socket: socket, Remote: remote(n), Owner: activity.ProcessKey{PID: pid}, Flags: activity.FlagInbound, Boot: 5})
	}
	begin(1, 1, 10)
	begin(1, 2, 11)
	begin(1, 2, 12) // told again after the kernel forgot it
	begin(2, 1, 13)
	if ft.n != 3 || len(ft.of(1)) != 2 {
		t.Fatalf("%d flows, %d of socket 1; want 3 and 2", ft.n, len(ft.of(1)))
	}
	end := func(socket uint64, n int) (activity.Event, bool) {
		e := activity.Event{Socket: socket, Remote: remote(n)}
		return e, ft.end(&e)
	}
	if e, ok := end(1, 2); !ok || e.Owner.PID != 12 || e.Flags&activity.FlagInbound == 0 {
		t.Errorf("end of a flow: %v %+v", ok, e)
	}
	if _, ok := end(1, 2); ok {
		t.Error("a flow ended twice")
	}
	if _, ok := end(3, 1); ok {
		t.Error("a flow that never began ended")
	}
	end(1, 1)
	end(2, 1)
	if ft.n != 0 || len(ft.open) != 0 {
		t.Errorf("%d flows, %d sockets left", ft.n, len(ft.open))
	}
}
