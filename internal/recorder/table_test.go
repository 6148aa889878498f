package recorder

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// The table against a naive one, over a long random history: the same sockets,
// the same owners, the same holders of ports.
func TestTableAgreesWithNaiveModel(t *testing.T) {
	tab := newTable()
	type entry struct {
		local netip.AddrPort
		state activity.State
		owner *process
	}
	naive := map[uint64]entry{}
	owners := make([]*process, 20)
	for i := range owners {
		owners[i] = &process{key: key(uint32(i + 1))}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	states := []activity.State{activity.StateListen, activity.StateBound, activity.StateEstablished}
	for step := range 50_000 {
		cookie := rnd.Uint64N(500) + 1
		switch rnd.IntN(3) {
		case 0, 1:
			st := states[rnd.IntN(3)]
			local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rnd.IntN(3))}), uint16(rnd.IntN(40)+1))
			if rnd.IntN(4) == 0 {
				local = netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())
			}
			owner := owners[rnd.IntN(len(owners))]
			tab.open(&activity.Event{Socket: cookie, Local: local, NetNS: 1, Proto: activity.TCP}, st, owner)
			naive[cookie] = entry{local, st, owner}
		case 2:
			if s := tab.byCookie[cookie]; s != nil {
				tab.close(s)
			}
			delete(naive, cookie)
		}
		if step%500 != 0 {
			continue
		}
		open := map[*process]int{}
		for c, e := range naive {
			s := tab.byCookie[c]
			if s == nil || s.local != e.local || s.owner != e.owner || s.state != e.state {
				t.Fatalf("step %d: socket %d is %+v, want %+v", step, c, s, e)
			}
			open[e.owner]++
		}
		if len(tab.byCookie) != len(naive) {
			t.Fatalf("step %d: %d sockets, want %d", step, len(tab.byCookie), len(naive))
		}
		for _, o := range owners {
			n := 0
			for s := o.sockets; s != nil; s = s.next {
				n++
			}
			if n != open[o] || o.open != n {
				t.Fatalf("step %d: owner %v has %d in its list, counts %d, want %d", step, o.key, n, o.open, open[o])
			}
		}
		for port := range uint16(41) {
			want := false
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), port)
			for _, e := range naive {
				if e.state != activity.StateEstablished && e.local.Port() == port && (e.local.Addr() == at.Addr() || e.local.Addr().IsUnspecified()) {
					want = true
				}
			}
			if got := tab.holder(1, activity.TCP, at, 0) != nil; got != want {
				t.Fatalf("step %d: port %d held: %v, want %v", step, port, got, want)
			}
		}
	}
}

func TestProcessesAreForgotten(t *testing.T) {
	ps := newProcesses()
	h := testutil.NewHistory(1)
	for range 1000 {
		h.Next()
	}
	for _, p := range h.Processes() {
		ps.announce(p)
		ps.exit(p.Key)
	}
	n := len(ps.byKey)
	ps.expire(ps.now.Add(keepExited / 2))
	if len(ps.byKey) != n {
		t.Errorf("%d of %d left while late events may still name them", len(ps.byKey), n)
	}
	ps.expire(ps.now.Add(3 * keepExited))
	if len(ps.byKey) != 0 {
		t.Errorf("%d exited processes kept for ever", len(ps.byKey))
	}
}

// nothing is a journal that keeps nothing: the benchmark is of the pipeline.
type nothing struct{ n int }

func (j *nothing) Append(e *activity.Event)    { j.n++; e.Seq = uint64(j.n) }
func (j *nothing) Process(*activity.Process)   {}
func (j *nothing) Modules(*activity.ModuleSet) {}
func (j *nothing) Flush() error                { return nil }

// One connection seen from both ends: connect, accept, close, close.
func BenchmarkObserve(b *testing.B) {
	r := New(Config{Source: testutil.NewSource(), Resolver: people{}, Journal: &nothing{}, Publish: func(*activity.Event) {}})
	a1, a2 := announce(1, "client"), announce(2, "server")
	r.observe(&a1)
	r.observe(&a2)
	script := []activity.Observation{
		happens(activity.KindConnect, 1, 1, "127.0.0.1:40000"), happens(activity.KindAccept, 2, 2, "127.0.0.1:80"),
		happens(activity.KindClose, 1, 1, "127.0.0.1:40000"), happens(activity.KindClose, 2, 2, "127.0.0.1:80"),
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.obs = script[i%4]
		r.obs.Event.Socket += uint64(i/4) * 2
		r.observe(&r.obs)
		if len(r.pending) >= batch {
			r.flush()
		}
	}
}
