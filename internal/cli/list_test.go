package cli

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestSortSockets(t *testing.T) {
	sock := func(cookie uint64, proto activity.Proto, state activity.State, local, remote string) *activity.Socket {
		s := &activity.Socket{Cookie: cookie, Proto: proto, State: state, Local: netip.MustParseAddrPort(local)}
		if remote != "" {
			s.Remote = netip.MustParseAddrPort(remote)
		}
		return s
	}
	socks := []*activity.Socket{
		sock(6, activity.TCP, activity.StateEstablished, "10.0.0.1:22", "10.0.0.9:50000"),
		sock(4, activity.UDP, activity.StateBound, "0.0.0.0:53", ""),
		sock(5, activity.TCP, activity.StateEstablished, "10.0.0.1:22", "10.0.0.9:40000"),
		sock(3, activity.TCP, activity.StateListen, "127.0.0.1:8080", ""),
		sock(2, activity.TCP, activity.StateListen, "[::]:22", ""),
		sock(1, activity.TCP, activity.StateListen, "0.0.0.0:22", ""),
	}
	sortSockets(socks)
	var got []uint64
	for _, s := range socks {
		got = append(got, s.Cookie)
	}
	if d := cmp.Diff([]uint64{1, 2, 3, 4, 5, 6}, got); d != "" {
		t.Errorf("listeners and UDP by port, then connections: -want +got\n%s", d)
	}
}

// TestSortKeys: the keys agree with the comparison that they stand for.
func TestSortKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ends := []netip.AddrPort{{}}
	for _, ip := range []string{"0.0.0.0", "127.0.0.1", "10.0.0.1", "10.0.0.2", "255.255.255.255", "::", "::1", "2001:db8::1", "2001:db8::2", "ffff::"} {
		for _, port := range []uint16{0, 1, 22, 8080, 65535} {
			ends = append(ends, netip.AddrPortFrom(netip.MustParseAddr(ip), port))
		}
	}
	var socks []*activity.Socket
	for i := range 3000 {
		socks = append(socks, &activity.Socket{Cookie: uint64(i), Proto: []activity.Proto{activity.TCP, activity.UDP}[r.IntN(2)],
			State: activity.State(1 + r.IntN(12)), Local: ends[r.IntN(len(ends))], Remote: ends[r.IntN(len(ends))]})
	}
	sortSockets(socks)
	for i := range len(socks) - 1 {
		if a, b := socks[i], socks[i+1]; compareSockets(a, b) >= 0 {
			t.Fatalf("%v %v %v %v comes before %v %v %v %v", a.Proto, a.State, a.Local, a.Remote, b.Proto, b.State, b.Local, b.Remote)
		}
	}
}

func TestDistinct(t *testing.T) {
	key := func(pid uint32) activity.ProcessKey { return activity.ProcessKey{PID: pid, Start: 1} }
	got := distinct([]activity.ProcessKey{key(2), key(1), key(2), key(1), {PID: 1, Start: 2}})
	want := []activity.ProcessKey{key(2), key(1), {PID: 1, Start: 2}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if distinct(nil) != nil {
		t.Error("none is not none")
	}
}
