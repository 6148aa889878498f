package sockdiag

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// TestClosing checks the counters of closes against what the kernel's mean.
func TestClosing(t *testing.T) {
	all := activity.FactBytes | activity.FactPackets | activity.FactRTT | activity.FactRetransmits | activity.FactReason
	accepted, opened := activity.KindAccept, activity.KindConnect
	for _, test := range []struct {
		name    string
		kind    activity.Kind
		state   activity.State // in the last scan
		half    bool
		stub    bool
		last    tcpInfo
		rqueue  uint32
		rx, tx  uint64
		reason  activity.Reason
		unknown activity.Facts
		peer    bool // closed first
	}{
		{name: "server, client closed first", kind: accepted, state: activity.StateEstablished,
			last: tcpInfo{bytesReceived: 1001, dataSegsIn: 1, bytesSent: 50, bytesAcked: 51}, rx: 1000, tx: 50, reason: activity.ReasonClosed, peer: true},
		{name: "the same, seen in CLOSE-WAIT", kind: accepted, state: activity.StateCloseWait, stub: true,
			last: tcpInfo{bytesReceived: 1001, dataSegsIn: 1, bytesSent: 50, bytesAcked: 51}, rx: 1000, tx: 50, reason: activity.ReasonClosed, peer: true},
		{name: "client closed first", kind: opened, state: activity.StateEstablished, stub: true,
			last: tcpInfo{bytesReceived: 50, dataSegsIn: 1, bytesSent: 1000, bytesAcked: 1002}, rx: 50, tx: 1000, reason: activity.ReasonClosed},
		{name: "client closed first, FIN with the acknowledgement", kind: opened, state: activity.StateEstablished, stub: true, rqueue: 1,
			last: tcpInfo{bytesReceived: 51, dataSegsIn: 1, bytesSent: 1000, bytesAcked: 1002}, rx: 50, tx: 1000, reason: activity.ReasonClosed},
		{name: "client shut down first", kind: opened, state: activity.StateFinWait2, half: true, stub: true,
			last: tcpInfo{bytesReceived: 51, dataSegsIn: 1, bytesSent: 1000, bytesAcked: 1002}, rx: 50, tx: 1000, reason: activity.ReasonClosed},
		{name: "no data", kind: accepted, state: activity.StateEstablished,
			last: tcpInfo{bytesReceived: 1, bytesAcked: 1}, reason: activity.ReasonClosed, peer: true},
		{name: "no data, this end first", kind: accepted, state: activity.StateEstablished, stub: true,
			last: tcpInfo{bytesAcked: 1}, reason: activity.ReasonClosed},
		{name: "sent again", kind: opened, state: activity.StateEstablished, stub: true,
			last: tcpInfo{bytesSent: 1500, bytesRetrans: 500, bytesAcked: 1002}, tx: 1000, reason: activity.ReasonClosed},
		{name: "reset", kind: opened, state: activity.StateEstablished,
			last: tcpInfo{bytesReceived: 50, dataSegsIn: 1, bytesSent: 10, bytesAcked: 11}, rx: 50, tx: 10, reason: activity.ReasonReset},
		{name: "reset with data in flight", kind: opened, state: activity.StateEstablished,
			last: tcpInfo{bytesSent: 10, bytesAcked: 1}, tx: 10, reason: activity.ReasonReset},
		{name: "timed out or reset", kind: opened, state: activity.StateEstablished,
			last: tcpInfo{bytesSent: 10, bytesAcked: 1, timeouts: 15}, tx: 10, unknown: activity.FactReason},
	} {
		b := newBench(true)
		e := &entry{row: tcp(test.state, 1, 0, web, client), kind: test.kind, half: test.half, began: stamp{boot: 1}}
		b.left[pair{e.row.local, e.row.remote}] = test.stub
		last := e.row
		last.info, last.rqueue = test.last, test.rqueue
		last.info.known, last.info.sent = true, true
		b.tellEnd(e, stamp{boot: 51}, &last)
		var o activity.Observation
		b.q.pop(&o)
		v := o.Event
		unknown := v.Unknown &^ (activity.FactOwner | activity.FactCloser)
		if v.Rx != test.rx || v.Tx != test.tx || v.Reason != test.reason || unknown != test.unknown || v.Duration != 50 ||
			(v.Flags&activity.FlagReset != 0) != (test.reason == activity.ReasonReset) ||
			(v.Flags&activity.FlagPeerFirst != 0) != test.peer {
			t.Errorf("%s: rx %d tx %d reason %v unknown %b flags %b, want rx %d tx %d reason %v unknown %b", test.name,
				v.Rx, v.Tx, v.Reason, unknown, v.Flags, test.rx, test.tx, test.reason, test.unknown)
		}
	}
	b := newBench(false)
	e := &entry{row: tcp(activity.StateEstablished, 1, 0, web, client), kind: opened}
	e.row.info = tcpInfo{known: true, sent: true, bytesReceived: 7, bytesSent: 8}
	b.tellEnd(e, stamp{boot: 51}, nil)
	var o activity.Observation
	b.q.pop(&o)
	if v := o.Event; v.Rx != 7 || v.Tx != 8 || v.Provenance != activity.Inferred ||
		v.Unknown != all|activity.FactOwner|activity.FactCloser|activity.FactDuration {
		t.Errorf("missing: %+v, want the last counters, named unknown", v)
	}
}

// TestListenerFits checks which listener a connection is charged to.
func TestListenerFits(t *testing.T) {
	six := func(r row, mapped bool) row { r.v6, r.mapped = true, mapped; return r }
	for _, test := range []struct {
		name   string
		listen row
		conn   row
		want   bool
	}{
		{"wildcard", tcp(activity.StateListen, 1, 0, "0.0.0.0:80", ""), tcp(activity.StateEstablished, 2, 0, web, client), true},
		{"same address", tcp(activity.StateListen, 1, 0, web, ""), tcp(activity.StateEstablished, 2, 0, web, client), true},
		{"other address", tcp(activity.StateListen, 1, 0, "127.0.0.1:80", ""), tcp(activity.StateEstablished, 2, 0, web, client), false},
		{"other port", tcp(activity.StateListen, 1, 0, "0.0.0.0:81", ""), tcp(activity.StateEstablished, 2, 0, web, client), false},
		{"mapped", six(tcp(activity.StateListen, 1, 0, "[::]:80", ""), false), six(tcp(activity.StateEstablished, 2, 0, web, client), true), true},
		{"other family", six(tcp(activity.StateListen, 1, 0, "[::]:80", ""), false), tcp(activity.StateEstablished, 2, 0, web, client), false},
	} {
		b := newBench(true)
		b.scanned(nil, test.listen)
		if got := b.listener(&test.conn) != nil; got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		other := test.conn
		other.ns = 2
		if b.listener(&other) != nil {
			t.Errorf("%s: fits in another namespace", test.name)
		}
	}
}

func TestProcfsKeys(t *testing.T) {
	a := row{proto: activity.UDP, ns: 1, inode: 5, local: netip.MustParseAddrPort("0.0.0.0:5353")}
	b := a
	b.inode = 6
	if keyOf(&a) == keyOf(&b) {
		t.Error("two sockets at one port are one")
	}
	a.remote = netip.MustParseAddrPort("192.0.2.1:53")
	b.remote = a.remote
	if keyOf(&a) != keyOf(&b) {
		t.Error("a connection changes with its inode")
	}
	b.cookie = 9
	c := b
	c.local = netip.MustParseAddrPort("192.0.2.9:1")
	if keyOf(&b) != keyOf(&c) {
		t.Error("a socket with a cookie changes with its address")
	}
}
