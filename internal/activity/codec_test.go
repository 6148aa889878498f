package activity

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var addrs = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

func fullEvent() (*Event, *Process) {
	p := &Process{ID: 0xfeedfacecafe, Rev: 3, Key: ProcessKey{PID: 811, Start: 12345678901}, Execs: 2, Start: 1764016910191786123,
		Name: "nginx", Exe: "/usr/sbin/nginx", Args: []string{"nginx", "-g", "daemon off;\x1b[31m"}, ArgsTruncated: true, Cwd: "/",
		Ancestors: []ProcessRef{{Key: ProcessKey{PID: 1, Start: 1}, Name: "systemd"}}, Deleted: true,
		UID: 33, EUID: 33, GID: 33, LoginUID: NoID, User: "www-data", EffectiveUser: "www-data",
		ExeDev: 2049, ExeInode: 99, ExeSHA256: "aa", ExePackage: "nginx 1.22", Cgroup: "/system.slice/nginx.service", CgroupID: 7,
		Unit: Unit{Name: "nginx.service", Description: "web"}, Container: Container{Runtime: "docker", ID: "ab", Name: "w", Image: "i", Pod: "n/p"},
		Modules: 5, NetNS: 4026531833}
	e := &Event{Time: 1764016910191786123, Boot: 5, Seq: 1042, Kind: KindClose, Proto: TCP, Tier: TierEBPF, Provenance: Inferred, Role: RoleAcceptor,
		Reason: ReasonReset, Flags: FlagMapped | FlagReset, Unknown: FactRTT, Errno: 104,
		Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("[2001:db8::1]:49188"), NetNS: 4026531833, Socket: 87,
		Owner: p.Key, Process: p, Holder: p, Holders: []*Process{p, p}, Rx: 1, Tx: 1 << 40, RxPackets: 2, TxPackets: 3,
		Duration: -1, RTT: 20, Retransmits: 1, Closer: 811,
		Coverage: &Coverage{From: 1, To: 2, Lost: [NumKinds]uint64{KindAccept: 312}, Missing: []Kind{KindKnock}, Reason: "ring overflow", Detail: "x"}}
	return e, p
}

func TestCodecRoundTrip(t *testing.T) {
	e, p := fullEvent()
	lookup := func(ProcessID) *Process { return p }
	for name, want := range map[string]*Event{"full": e, "zero": {}, "one field": {Kind: KindKnock, Proto: UDP}} {
		var got Event
		if err := DecodeEvent(AppendEvent(nil, want), &got, lookup); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, &got, addrs); d != "" {
			t.Errorf("%s event: -want +got\n%s", name, d)
		}
	}
	for _, want := range []*Process{p, {}, {Args: []string{}}} {
		got, err := DecodeProcess(AppendProcess(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("process: -want +got\n%s", d)
		}
	}
	ms := &ModuleSet{ID: 9, Modules: []Module{{Path: "/lib/x.so", Base: 0x7f0000000000, BuildID: "ab", Package: "x 1", Deleted: true}, {Path: "/y"}}}
	gotMS, err := DecodeModuleSet(AppendModuleSet(nil, ms))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ms, gotMS); d != "" {
		t.Errorf("module set: -want +got\n%s", d)
	}
	seen := 0
	reused := &ModuleSet{ID: 1, Modules: make([]Module, 9)}
	if err := reused.Decode(AppendModuleSet(nil, ms), func(b []byte) string { seen++; return string(b) }); err != nil || seen != 6 {
		t.Errorf("decode into a used set: %v, %d texts", err, seen)
	}
	if d := cmp.Diff(ms, reused); d != "" {
		t.Errorf("module set decoded into a used one: -want +got\n%s", d)
	}
	s := &Socket{Cookie: 4, Proto: TCP, State: StateListen, Local: netip.MustParseAddrPort("[::]:22"), Mapped: true, MPTCP: true, AutoBind: true, NetNS: 1, Inode: 2,
		UID: NoID, Since: 3, SinceBoot: 8, Role: RoleCreator, Provenance: Snapshotted, Tier: TierPoll, Owner: p.Key, Process: p,
		Holders: []ProcessKey{p.Key, {PID: 1, Start: 2}}, Others: []*Process{p}, Rx: 5, Tx: 6, Backlog: 7}
	var gotS Socket
	if err := DecodeSocket(AppendSocket(nil, s), &gotS, lookup); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, &gotS, addrs); d != "" {
		t.Errorf("socket: -want +got\n%s", d)
	}
}

func TestDecodeTruncated(t *testing.T) {
	e, p := fullEvent()
	b := AppendEvent(nil, e)
	for n := range len(b) {
		got := Event{Seq: 1}
		if err := DecodeEvent(b[:n], &got, nil); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("event cut to %d of %d bytes: err = %v, want ErrCorrupt", n, len(b), err)
		} else if got.Seq != 0 {
			t.Fatalf("event cut to %d bytes is left half decoded", n)
		}
	}
	b = AppendProcess(nil, p)
	for n := range len(b) {
		if _, err := DecodeProcess(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("process cut to %d of %d bytes: err = %v, want ErrCorrupt", n, len(b), err)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	e, _ := fullEvent()
	f.Add(AppendEvent(nil, e))
	f.Add(AppendEvent(nil, &Event{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again, head Event
		headErr := DecodeEventHead(b, &head)
		if DecodeEvent(b, &e, nil) != nil {
			return
		}
		want := Event{Time: e.Time, Boot: e.Boot, Seq: e.Seq, Kind: e.Kind, Proto: e.Proto, Tier: e.Tier, Provenance: e.Provenance, Role: e.Role,
			Flags: e.Flags, Socket: e.Socket, Local: e.Local, Remote: e.Remote}
		if d := cmp.Diff(want, head, addrs); d != "" || headErr != nil {
			t.Fatalf("head: %v, -want +got\n%s", headErr, d)
		}
		c := AppendEvent(nil, &e)
		if err := DecodeEvent(c, &again, nil); err != nil {
			t.Fatalf("own encoding does not decode: %v", err)
		}
		if !bytes.Equal(c, AppendEvent(nil, &again)) {
			t.Fatalf("encoding is not stable for %+v", e)
		}
	})
}

func FuzzDecodeProcess(f *testing.F) {
	_, p := fullEvent()
	f.Add(AppendProcess(nil, p))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodeProcess(b)
		if err != nil {
			if p != nil {
				t.Fatal("a value with an error")
			}
			return
		}
		again, err := DecodeProcess(AppendProcess(nil, p))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecodeSocketAndModules(f *testing.F) {
	f.Add(AppendSocket(nil, &Socket{Local: netip.MustParseAddrPort("1.2.3.4:5")}))
	f.Add(AppendModuleSet(nil, &ModuleSet{ID: 1, Modules: []Module{{Path: "/x"}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again Socket
		if DecodeSocket(b, &s, nil) == nil {
			if err := DecodeSocket(AppendSocket(nil, &s), &again, nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(s, again, addrs); d != "" {
				t.Fatal(d)
			}
		}
		if ms, err := DecodeModuleSet(b); err == nil {
			if again, err := DecodeModuleSet(AppendModuleSet(nil, ms)); err != nil || cmp.Diff(ms, again) != "" {
				t.Fatal(err, cmp.Diff(ms, again))
			}
		}
	})
}

func TestWords(t *testing.T) {
	for i, w := range Kinds() {
		k, err := ParseKind(w)
		if err != nil || int(k) != i+1 || k.String() != w {
			t.Errorf("ParseKind(%q) = %v, %v", w, k, err)
		}
	}
	for i, w := range Reasons() {
		r, err := ParseReason(w)
		if err != nil || int(r) != i+1 || r.String() != w {
			t.Errorf("ParseReason(%q) = %v, %v", w, r, err)
		}
	}
	if got := Kind(200).String(); got != "#200" {
		t.Errorf("unknown kind prints %q", got)
	}
	if got := TCPState(10); got != StateListen {
		t.Errorf("kernel state 10 is %v", got)
	}
}

func TestService(t *testing.T) {
	for _, c := range []struct {
		l, r string
		want uint16
	}{{"1.1.1.1:80", "2.2.2.2:50000", 80}, {"1.1.1.1:50000", "2.2.2.2:443", 443}, {"0.0.0.0:22", "", 22}, {"1.1.1.1:0", "2.2.2.2:443", 443}, {"", "", 0}} {
		e := Event{}
		if c.l != "" {
			e.Local = netip.MustParseAddrPort(c.l)
		}
		if c.r != "" {
			e.Remote = netip.MustParseAddrPort(c.r)
		}
		if got := e.Service(); got != c.want {
			t.Errorf("service of %s %s = %d, want %d", c.l, c.r, got, c.want)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e, _ := fullEvent()
	e.Coverage, e.Holders, e.Holder = nil, nil, nil
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], e)
	}
	b.SetBytes(int64(len(buf)))
}
