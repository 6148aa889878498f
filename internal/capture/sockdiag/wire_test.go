package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func compareRows() cmp.Option {
	return cmp.Options{cmp.AllowUnexported(row{}, tcpInfo{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
}

// appendSocket encodes a row as the kernel does, for the tests.
func appendSocket(b []byte, r *row, state uint8) []byte {
	start := len(b)
	b = append(b, make([]byte, messageLen)...)
	m := b[start:]
	m[0], m[1] = familyV4, state
	if r.v6 {
		m[0] = familyV6
	}
	putAddr(m[8:24], m[4:6], r.local, m[0])
	if r.remote.IsValid() {
		putAddr(m[24:40], m[6:8], r.remote, m[0])
	}
	binary.NativeEndian.PutUint64(m[44:], r.cookie)
	binary.NativeEndian.PutUint32(m[56:], r.rqueue)
	binary.NativeEndian.PutUint32(m[64:], r.uid)
	binary.NativeEndian.PutUint32(m[68:], uint32(r.inode))
	if r.info.known {
		b = appendAttribute(b, attrInfo, encodeInfo(&r.info))
	}
	b = appendAttribute(b, attrProtocol, []byte{byte(r.proto)})
	if r.mptcp {
		b = appendAttribute(b, attrULP|0x8000, appendAttribute(nil, attrULPName, []byte("mptcp\x00")))
	}
	return b
}

func appendAttribute(b []byte, kind uint16, v []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func encodeInfo(i *tcpInfo) []byte {
	b := make([]byte, 160)
	if i.sent {
		b = make([]byte, 232)
		binary.NativeEndian.PutUint64(b[200:], i.bytesSent)
		binary.NativeEndian.PutUint64(b[208:], i.bytesRetrans)
	}
	b[2] = i.timeouts
	for at, v := range map[int]uint32{24: i.unacked, 68: i.rtt, 100: i.retransmits, 136: i.segsOut, 140: i.segsIn, 144: i.notSent, 152: i.dataSegsIn} {
		binary.NativeEndian.PutUint32(b[at:], v)
	}
	binary.NativeEndian.PutUint64(b[120:], i.bytesAcked)
	binary.NativeEndian.PutUint64(b[128:], i.bytesReceived)
	return b
}

func sampleRows() []struct {
	row
	state uint8
} {
	type sample = struct {
		row
		state uint8
	}
	return []sample{
		{row{proto: activity.TCP, state: activity.StateListen, local: netip.MustParseAddrPort("0.0.0.0:22"), cookie: 7, inode: 99, rqueue: 3}, 10},
		{row{proto: activity.TCP, state: activity.StateListen, v6: true, mptcp: true, local: netip.MustParseAddrPort("[::]:80"), cookie: 1 << 40, inode: 100, uid: 33}, 10},
		{row{proto: activity.TCP, state: activity.StateEstablished, v6: true, mapped: true, local: netip.MustParseAddrPort("192.0.2.1:80"),
			remote: netip.MustParseAddrPort("192.0.2.9:50000"), cookie: 8, inode: 101, uid: 33,
			info: tcpInfo{known: true, sent: true, timeouts: 2, rtt: 1234, unacked: 1, notSent: 5, retransmits: 4, segsIn: 10, segsOut: 11,
				dataSegsIn: 6, bytesAcked: 1001, bytesReceived: 2000, bytesSent: 1010, bytesRetrans: 10}}, 1},
		{row{proto: activity.TCP, state: activity.StateCloseWait, local: netip.MustParseAddrPort("192.0.2.1:22"),
			remote: netip.MustParseAddrPort("192.0.2.9:50001"), info: tcpInfo{known: true, bytesAcked: 5}}, 8},
		{row{proto: activity.UDP, state: activity.StateBound, v6: true, local: netip.MustParseAddrPort("[2001:db8::1]:53"),
			remote: netip.MustParseAddrPort("[2001:db8::2]:4000"), cookie: 9, inode: 102, uid: activity.NoID}, 1},
		{row{proto: activity.UDP, state: activity.StateBound, local: netip.MustParseAddrPort("127.0.0.53:53"), cookie: 10}, 7},
	}
}

func TestParseSocket(t *testing.T) {
	for _, s := range sampleRows() {
		asked := activity.TCP // a notification's own attribute says otherwise
		var got row
		if err := parseSocket(appendSocket(nil, &s.row, s.state), asked, &got); err != nil {
			t.Errorf("%v: %v", s.local, err)
			continue
		}
		if d := cmp.Diff(s.row, got, compareRows()); d != "" {
			t.Errorf("%v (-want +got):\n%s", s.local, d)
		}
	}
}

func TestParseSocketBad(t *testing.T) {
	whole := appendSocket(nil, &sampleRows()[2].row, 1)
	for name, b := range map[string][]byte{
		"empty":                   nil,
		"cut":                     whole[:messageLen-1],
		"attribute beyond end":    append(whole[:messageLen:messageLen], 200, 0, 2, 0),
		"attribute without bytes": append(whole[:messageLen:messageLen], 0, 0, 2, 0),
	} {
		var r row
		if err := parseSocket(b, activity.TCP, &r); !errors.Is(err, errShort) {
			t.Errorf("%s: %v, want %v", name, err, errShort)
		}
	}
	whole[0] = 16
	var r row
	if err := parseSocket(whole, activity.TCP, &r); err == nil {
		t.Error("no error for a packet socket")
	}
}

func TestNextMessage(t *testing.T) {
	b := appendQuery(nil, query{family: familyV4, protocol: 6, seq: 5})
	b = append(b, 20, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff) // error ENOENT, on any byte order a number
	m, rest, err := nextMessage(b)
	if err != nil || m.kind != typeSocket || m.seq != 5 || len(m.payload) != requestLen {
		t.Fatalf("first message = %+v, %v", m, err)
	}
	m, rest, err = nextMessage(rest)
	if err != nil || m.kind != typeError || len(rest) != 0 {
		t.Fatalf("second message = %+v, %d left, %v", m, len(rest), err)
	}
	if m.errno() != 2 {
		t.Errorf("errno = %d, want 2", m.errno())
	}
	for _, bad := range [][]byte{{1}, make([]byte, headerLen), b[:headerLen]} {
		if _, _, err := nextMessage(bad); !errors.Is(err, errShort) {
			t.Errorf("%v: %v, want %v", bad, err, errShort)
		}
	}
}

func TestAppendQuery(t *testing.T) {
	b := appendQuery(nil, query{family: familyV6, protocol: protoMPTCP, seq: 9})
	if len(b) != headerLen+requestLen+8 || binary.NativeEndian.Uint32(b) != uint32(len(b)) {
		t.Fatalf("%d bytes, header says %d", len(b), binary.NativeEndian.Uint32(b))
	}
	if p := binary.NativeEndian.Uint32(b[headerLen+requestLen+4:]); p != protoMPTCP {
		t.Errorf("protocol attribute %d, want %d", p, protoMPTCP)
	}
	one := &row{local: netip.MustParseAddrPort("192.0.2.1:80"), remote: netip.MustParseAddrPort("192.0.2.2:81")}
	b = appendQuery(nil, query{family: familyV4, protocol: 6, one: one})
	if f := binary.NativeEndian.Uint16(b[6:]); f != flagRequest {
		t.Errorf("flags %#x of a look-up, want %#x", f, flagRequest)
	}
	id := b[headerLen+8:]
	want := []byte{0, 80, 0, 81, 192, 0, 2, 1}
	if d := cmp.Diff(want, id[:8]); d != "" {
		t.Errorf("socket id (-want +got):\n%s", d)
	}
}

// FuzzWire checks that no input breaks the decoder, and that what it accepts
// survives being encoded and decoded again.
func FuzzWire(f *testing.F) {
	for _, s := range sampleRows() {
		m := appendSocket(make([]byte, headerLen), &s.row, s.state)
		binary.NativeEndian.PutUint32(m, uint32(len(m)))
		binary.NativeEndian.PutUint16(m[4:], typeSocket)
		f.Add(m)
	}
	f.Add(appendQuery(nil, query{family: familyV6, protocol: protoMPTCP}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := nextMessage(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			b = rest
			_ = m.errno()
			var r, again row
			if parseSocket(m.payload, activity.TCP, &r) != nil {
				continue
			}
			if r.local.Addr().Is4In6() || r.remote.Addr().Is4In6() {
				t.Fatalf("mapped address left: %v %v", r.local, r.remote)
			}
			if r.v6 && r.mapped && r.remote.IsValid() && r.local.Addr().Is4() != r.remote.Addr().Is4() {
				continue // half mapped: not a socket that exists
			}
			if r.proto != activity.TCP && r.info.known {
				continue // the attributes came in an order that the kernel does not use
			}
			if err := parseSocket(appendSocket(nil, &r, m.payload[1]), activity.TCP, &again); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r, again, compareRows()); d != "" {
				t.Fatalf("changed (-first +again):\n%s", d)
			}
		}
	})
}

func TestOpened(t *testing.T) {
	for _, test := range []struct {
		name  string
		state activity.State
		info  tcpInfo
		want  side
	}{
		{"client", activity.StateEstablished, tcpInfo{known: true, sent: true, bytesAcked: 101, bytesSent: 100}, sideOpened},
		{"server", activity.StateEstablished, tcpInfo{known: true, sent: true, bytesAcked: 100, bytesSent: 130, bytesRetrans: 30}, sideAccepted},
		{"in flight", activity.StateEstablished, tcpInfo{known: true, sent: true, bytesAcked: 1, bytesSent: 100, unacked: 1}, sideUnknown},
		{"not sent", activity.StateEstablished, tcpInfo{known: true, sent: true, bytesAcked: 1, notSent: 9}, sideUnknown},
		{"old kernel", activity.StateEstablished, tcpInfo{known: true, bytesAcked: 1}, sideUnknown},
		{"closing", activity.StateFinWait2, tcpInfo{known: true, sent: true, bytesAcked: 1}, sideUnknown},
		{"no counters", activity.StateEstablished, tcpInfo{}, sideUnknown},
		{"odd", activity.StateEstablished, tcpInfo{known: true, sent: true, bytesAcked: 7}, sideUnknown},
	} {
		r := row{state: test.state, info: test.info}
		if got := r.opened(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
