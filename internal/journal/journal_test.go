package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// anchor is a time of these tests.
const anchor = int64(1764016910191786123)

var equate = []cmp.Option{cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty()}

// history makes random, skewed events: the same ones for the same seed.
type history struct {
	*rand.Rand
	procs []*activity.Process
	sets  []*activity.ModuleSet
	zipf  *rand.Zipf
	addrs *rand.Zipf
	now   int64
	boot  uint64
	open  []*activity.Event // connections to close
	sock  uint64
}

func newHistory(seed uint64, procs int) *history {
	h := &history{Rand: rand.New(rand.NewPCG(seed, 1)), now: anchor, boot: 1e12}
	h.zipf = rand.NewZipf(h.Rand, 1.2, 4, uint64(procs-1))
	h.addrs = rand.NewZipf(h.Rand, 1.1, 8, 200_000)
	for i := range procs {
		set := &activity.ModuleSet{ID: activity.ModuleSetID(i + 1)}
		for m := range 60 {
			set.Modules = append(set.Modules, activity.Module{Path: fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%d.so.%d", (i%17)*20+m, m%7),
				Base: 0x7f0000000000 + h.Uint64N(1<<28)<<12 + uint64(m)<<20, BuildID: fmt.Sprintf("%040x", uint64((i%17)*20+m)*0x9e3779b97f4a7c15), Package: fmt.Sprintf("lib%d 1.%d-1", m, m%5)})
		}
		p := &activity.Process{ID: activity.MakeProcessID([]byte("boot"), activity.ProcessKey{PID: uint32(700 + i*3), Start: uint64(i+1) * 1e9}, uint32(i%3)),
			Key: activity.ProcessKey{PID: uint32(700 + i*3), Start: uint64(i+1) * 1e9}, Execs: uint32(i % 3), Start: anchor - 1e12 + int64(i),
			Name: fmt.Sprintf("worker-%d", i%40), Exe: fmt.Sprintf("/usr/lib/app/worker-%d", i%40), Args: []string{"worker", "--shard", fmt.Sprint(i)}, Cwd: "/",
			Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 1, Start: 1}, Name: "systemd"}},
			UID:       uint32(i % 9), EUID: uint32(i % 9), GID: 4, LoginUID: activity.NoID, User: fmt.Sprintf("user%d", i%9), EffectiveUser: fmt.Sprintf("user%d", i%9),
			ExeDev: 2049, ExeInode: uint64(i % 40), ExePackage: "app 1.0", Cgroup: fmt.Sprintf("/system.slice/app-%d.service", i%40), CgroupID: uint64(i % 40),
			Unit: activity.Unit{Name: fmt.Sprintf("app-%d.service", i%40), Description: "a worker"}, Modules: set.ID, NetNS: 4026531833}
		h.sets, h.procs = append(h.sets, set), append(h.procs, p)
	}
	return h
}

func (h *history) addr() netip.Addr {
	n := h.addrs.Uint64()
	if n%6 == 5 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(n >> 16), 0, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)})
	}
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// next makes one event: connect, accept, their closes, and now and then another.
func (h *history) next() *activity.Event {
	h.now += int64(h.ExpFloat64() * 1e6)
	e := &activity.Event{Time: h.now, Boot: uint64(h.now-anchor) + h.boot, Proto: activity.TCP, Tier: activity.TierEBPF, NetNS: 4026531833}
	if len(h.open) > 400 || len(h.open) > 0 && h.IntN(20) < 9 {
		i := h.IntN(len(h.open))
		o := h.open[i]
		h.open[i] = h.open[len(h.open)-1]
		h.open = h.open[:len(h.open)-1]
		e.Kind, e.Role, e.Local, e.Remote, e.Socket, e.Owner, e.Process = activity.KindClose, o.Role, o.Local, o.Remote, o.Socket, o.Owner, o.Process
		e.Rx, e.Tx, e.Duration, e.RTT, e.Closer = uint64(h.ExpFloat64()*2000), uint64(h.ExpFloat64()*20000), h.now-o.Time, uint32(h.IntN(2000)), o.Owner.PID
		e.Reason, e.Flags = activity.ReasonClosed, o.Flags
		if h.IntN(20) == 0 {
			e.Flags |= activity.FlagReset
			e.Unknown = activity.FactRTT
			e.RTT = 0
		}
		return e
	}
	services := []uint16{443, 80, 22, 5432, 6379, 3389, 8080, 53, 25, 9100}
	p := h.procs[h.zipf.Uint64()]
	h.sock += 1 + h.Uint64N(3)
	e.Owner, e.Process, e.Socket = p.Key, p, h.sock
	service, other := services[h.IntN(len(services))/(1+h.IntN(4))], uint16(32768+h.IntN(28232))
	here := netip.AddrFrom4([4]byte{192, 168, 1, 10})
	switch n := h.IntN(100); {
	case n < 55:
		e.Kind, e.Role, e.Flags = activity.KindAccept, activity.RoleAcceptor, activity.FlagInbound
		e.Local, e.Remote = netip.AddrPortFrom(here, service), netip.AddrPortFrom(h.addr(), other)
		h.open = append(h.open, e)
	case n < 96:
		e.Kind, e.Role = activity.KindConnect, activity.RoleCreator
		e.Local, e.Remote = netip.AddrPortFrom(here, other), netip.AddrPortFrom(h.addr(), service)
		h.open = append(h.open, e)
	case n < 97: // two low ports
		e.Kind, e.Proto = activity.KindFlow, activity.UDP
		e.Local, e.Remote = netip.AddrPortFrom(here, service), netip.AddrPortFrom(h.addr(), 123)
	case n < 98:
		e.Kind, e.Reason, e.Errno = activity.KindConnectFailed, activity.ReasonRefused, 111
		e.Remote = netip.AddrPortFrom(h.addr(), service)
		e.Unknown = activity.FactLocal
	case n < 99:
		e.Kind, e.Reason, e.Errno, e.Holder = activity.KindBindFailed, activity.ReasonAddressInUse, 98, h.procs[h.IntN(len(h.procs))]
		e.Local = netip.AddrPortFrom(netip.IPv6Unspecified(), service)
		e.Holders = []*activity.Process{h.procs[0], h.procs[1]}
	default:
		e.Kind, e.Owner, e.Process, e.Proto, e.Socket = activity.KindKnock, activity.ProcessKey{}, nil, activity.UDP, 0
		e.Local, e.Remote, e.Provenance, e.Boot = netip.AddrPortFrom(here, service), netip.AddrPortFrom(h.addr(), other), activity.Inferred, 0
	}
	return e
}

// fewAddrs is one of a few addresses, the 0th of which is none.
func (h *history) fewAddrs(n int) netip.AddrPort {
	if n == 0 {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), uint16(n))
}

func (h *history) modules(w *Writer) {
	for _, s := range h.sets {
		w.Modules(s)
	}
}

func open(t testing.TB, cfg Config) *Writer {
	t.Helper()
	if cfg.HostName == "" {
		cfg.HostName, cfg.BootID = "web1", "boot-1"
	}
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// unlessShort is how often a test is to be done: less with -short.
func unlessShort(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// collect reads everything that q asks for, and fails on any error.
func collect(t testing.TB, dir string, q Query) (es []*activity.Event) {
	t.Helper()
	r, err := OpenReader(dir)
	check(t, err)
	for e, err := range r.Events(context.Background(), q) {
		check(t, err)
		es = append(es, e)
	}
	return es
}

// sealAll seals what is sealable.
func sealAll(t testing.TB, w *Writer) {
	t.Helper()
	for w.Sealable() {
		check(t, w.Seal(context.Background()))
	}
}

func same(t testing.TB, what string, want, got []*activity.Event) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d events, want %d", what, len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if d := cmp.Diff(want[i], got[i], equate...); d != "" {
			t.Fatalf("%s: event %d: -want +got\n%s", what, i, d)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	h := newHistory(1, 30)
	w := open(t, Config{Dir: dir, SegmentRows: 1000})
	h.modules(w)
	start := &activity.Event{Time: anchor, Kind: activity.KindRecorderStart, Coverage: &activity.Coverage{From: anchor, Missing: []activity.Kind{activity.KindKnock}, Detail: "6.1 \xff<x>"}}
	w.Append(start)
	want := []*activity.Event{start}
	for range 3500 {
		e := h.next()
		w.Append(e)
		want = append(want, e)
	}
	check(t, w.Flush(), w.Sync())
	same(t, "live logs", want, collect(t, dir, Query{}))
	sealAll(t, w)
	same(t, "segments and a live log", want, collect(t, dir, Query{}))
	check(t, w.Close())
	w = open(t, Config{Dir: dir})
	if w.Epoch() != 2 {
		t.Errorf("epoch is %d after the second Open, want 2", w.Epoch())
	}
	sealAll(t, w)
	e := h.next()
	w.Append(e)
	if e.Seq != 1 {
		t.Errorf("first event of an epoch has seq %d", e.Seq)
	}
	check(t, w.Close())
	same(t, "after reopening", append(want, e), collect(t, dir, Query{}))
	r, err := OpenReader(dir)
	check(t, err)
	for _, s := range h.sets[:2] {
		got, err := r.Modules(s.ID)
		check(t, err)
		if d := cmp.Diff(s, got); d != "" {
			t.Errorf("modules: -want +got\n%s", d)
		}
	}
	got, err := r.Tail(context.Background(), Query{Hints: filter.Hints{Kinds: 1 << activity.KindClose}}, 700)
	check(t, err)
	var closes []*activity.Event
	for _, e := range append(want, e) {
		if e.Kind == activity.KindClose {
			closes = append(closes, e)
		}
	}
	same(t, "tail", closes[len(closes)-700:], got)
}
