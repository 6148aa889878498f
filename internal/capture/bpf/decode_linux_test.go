//go:build amd64 || arm64

package bpf

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
)

var comparable = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// raw is a record as the ring hands it out.
func raw[T any](r T) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))...)
}

func ip6(s string) [16]uint8 { return netip.MustParseAddr(s).As16() }

func ip4(s string) (b [16]uint8) {
	v := netip.MustParseAddr(s).As4()
	copy(b[:], v[:])
	return b
}

func head(t recorderRecType, change ...func(*recorderRec)) recorderRec {
	r := recorderRec{Type: uint8(t), Family: afInet, Proto: 6, Lport: 80, Rport: 4000, Ts: 1000, Cookie: 7, Start: 5, Tgid: 42, Uid: 33, Netns: 9,
		Laddr: ip4("10.0.0.1"), Raddr: ip4("10.0.0.2")}
	for _, f := range change {
		f(&r)
	}
	return r
}

func flag(b recorderRecBit) func(*recorderRec) { return func(r *recorderRec) { r.Flags |= uint32(b) } }

func TestDecodeEvents(t *testing.T) {
	d := decoder{boot: []byte("b"), offset: 1_000_000}
	want := func(k activity.Kind, role activity.Role, change ...func(*activity.Event)) activity.Event {
		e := activity.Event{Kind: k, Role: role, Proto: activity.TCP, Tier: activity.TierEBPF, Boot: 1000, Time: 1_001_000, Socket: 7, NetNS: 9,
			Owner: activity.ProcessKey{PID: 42, Start: 5}, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:4000")}
		for _, f := range change {
			f(&e)
		}
		return e
	}
	end := func(t recorderRecType, change ...func(*recorderRecEnd)) []byte {
		r := recorderRecEnd{H: head(t), Birth: 400, Tx: 1, Rx: 2, TxPackets: 3, RxPackets: 4, SrttUs: 5, Retrans: 6, Closer: 42}
		for _, f := range change {
			f(&r)
		}
		return raw(r)
	}
	counted := func(e *activity.Event) {
		e.Duration, e.Tx, e.Rx, e.TxPackets, e.RxPackets, e.RTT, e.Retransmits, e.Closer = 600, 1, 2, 3, 4, 5, 6, 42
	}
	with := func(fs activity.Flags) func(*activity.Event) { return func(e *activity.Event) { e.Flags |= fs } }
	for name, c := range map[string]struct {
		in   []byte
		want activity.Event
	}{
		"listen": {raw(head(recorderRecTypeREC_LISTEN, func(r *recorderRec) { r.Rport, r.Raddr = 0, [16]uint8{} })),
			want(activity.KindListen, activity.RoleCreator, func(e *activity.Event) { e.Remote = netip.AddrPort{} })},
		"accept on a v6 socket": {raw(head(recorderRecTypeREC_ACCEPT, flag(recorderRecBitFLAG_CHILD), func(r *recorderRec) {
			r.Family, r.Laddr, r.Raddr = afInet6, ip6("::ffff:10.0.0.1"), ip6("::ffff:10.0.0.2")
		})), want(activity.KindAccept, activity.RoleAcceptor, with(activity.FlagMapped|activity.FlagInbound))},
		"connect, v6": {raw(head(recorderRecTypeREC_CONNECT, func(r *recorderRec) { r.Family, r.Laddr, r.Raddr = afInet6, ip6("2001:db8::1"), ip6("2001:db8::2") })),
			want(activity.KindConnect, activity.RoleCreator, func(e *activity.Event) {
				e.Local, e.Remote = netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[2001:db8::2]:4000")
			})},
		"close in order": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) { r.H.Old = 9 }), want(activity.KindClose, activity.RoleCreator, counted)},
		"close by reset received": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) { r.Err = 104; r.H.Old = tcpEstablished }),
			want(activity.KindClose, activity.RoleCreator, counted, with(activity.FlagReset), func(e *activity.Event) { e.Errno, e.Reason = 104, activity.ReasonReset })},
		"close by reset sent": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) { r.H.Old = tcpCloseWait }),
			want(activity.KindClose, activity.RoleCreator, counted, with(activity.FlagReset))},
		"close by timeout is no reset": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) { r.Err = 110; r.H.Old = tcpEstablished }),
			want(activity.KindClose, activity.RoleCreator, counted, func(e *activity.Event) { e.Errno, e.Reason = 110, activity.ReasonTimedOut })},
		"close of a child that nobody accepted": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) {
			r.H.Flags = uint32(recorderRecBitFLAG_CHILD | recorderRecBitFLAG_NOT_ACCEPTED | recorderRecBitFLAG_PEER_FIRST)
		}), want(activity.KindClose, activity.RoleListener, counted, with(activity.FlagInbound|activity.FlagNotAccepted|activity.FlagPeerFirst))},
		"close of a connection from before": {end(recorderRecTypeREC_CLOSE, func(r *recorderRecEnd) { r.Birth, r.H.Tgid, r.H.Start = 0, 0, 0 }),
			want(activity.KindClose, activity.RoleCreator, counted, func(e *activity.Event) {
				e.Duration, e.Owner, e.Unknown = 0, activity.ProcessKey{}, activity.FactDuration|activity.FactOwner
			})},
		"refused": {end(recorderRecTypeREC_CONNECT_FAIL, func(r *recorderRecEnd) { r.Err = 111; r.H.Old = tcpSynSent }),
			want(activity.KindConnectFailed, activity.RoleCreator, counted, func(e *activity.Event) { e.Errno, e.Reason = 111, activity.ReasonRefused })},
		"no ports left": {end(recorderRecTypeREC_CONNECT_FAIL, func(r *recorderRecEnd) { r.H.Old, r.H.Lport = tcpSynSent, 0 }),
			want(activity.KindConnectFailed, activity.RoleCreator, counted, func(e *activity.Event) {
				e.Reason, e.Local = activity.ReasonNoPortsLeft, netip.MustParseAddrPort("10.0.0.1:0")
			})},
		"closed before an answer": {end(recorderRecTypeREC_CONNECT_FAIL, func(r *recorderRecEnd) { r.H.Old = tcpSynSent }),
			want(activity.KindConnectFailed, activity.RoleCreator, counted, func(e *activity.Event) { e.Reason = activity.ReasonAborted })},
		"not sent": {end(recorderRecTypeREC_CONNECT_FAIL, func(r *recorderRecEnd) { r.H.Flags = uint32(recorderRecBitFLAG_LOCAL_FAIL) }),
			want(activity.KindConnectFailed, activity.RoleCreator, counted, func(e *activity.Event) { e.Reason = activity.ReasonNotSent })},
		"bind failed, errno read": {end(recorderRecTypeREC_BIND_FAIL, func(r *recorderRecEnd) { r.Err = 98 }),
			want(activity.KindBindFailed, activity.RoleBinder, counted, func(e *activity.Event) { e.Errno, e.Reason = 98, activity.ReasonAddressInUse })},
		"bind failed, errno not known": {end(recorderRecTypeREC_BIND_FAIL),
			want(activity.KindBindFailed, activity.RoleBinder, counted, func(e *activity.Event) { e.Unknown = activity.FactReason })},
		"listen failed": {end(recorderRecTypeREC_UNLISTEN, func(r *recorderRecEnd) { r.H.Flags = uint32(recorderRecBitFLAG_LOCAL_FAIL) }),
			want(activity.KindBindFailed, activity.RoleBinder, counted, func(e *activity.Event) {
				e.Unknown, e.Duration, e.TxPackets, e.RxPackets = activity.FactReason, 0, 0, 0
			})},
		"flow end of a v4 remote on a v6 socket, sizes not told": {end(recorderRecTypeREC_FLOW_END, func(r *recorderRecEnd) {
			r.H.Proto, r.H.Family, r.H.Laddr, r.H.Raddr = 17, afInet6, ip6("::"), ip6("::ffff:10.0.0.2")
			r.H.Flags = uint32(recorderRecBitFLAG_REMOTE6 | recorderRecBitFLAG_NO_BYTES | recorderRecBitFLAG_SEED)
		}), want(activity.KindFlowEnd, activity.RoleUser, counted, with(activity.FlagMapped|activity.FlagTruncated), func(e *activity.Event) {
			e.Proto, e.Reason, e.Local = activity.UDP, activity.ReasonClosed, netip.MustParseAddrPort("[::]:80")
			e.Unknown, e.Tx, e.Rx, e.TxPackets, e.RxPackets = activity.FactBytes|activity.FactPackets, 0, 0, 0, 0
		})},
	} {
		var o activity.Observation
		if err := d.decode(c.in, &o); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, o.Event, comparable); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

func procRecord(exe, cwd []string, argv string, change ...func(*recorderRecProc)) []byte {
	join := func(parts []string) (s string) {
		for _, p := range parts {
			s += p + "\x00"
		}
		return s
	}
	p, c := join(exe), join(cwd)
	r := recorderRecProc{Type: uint8(recorderRecTypeREC_PROC), PathLen: uint16(len(p)), CwdLen: uint16(len(c)), ArgLen: uint16(len(argv)),
		Nlink: 1, Ts: 1000, Start: 5, Tgid: 42, Uid: 33, Euid: 0, Gid: 33, Loginuid: activity.NoID, Dev: 8<<20 | 1, Inode: 99, Cgroup: 77, Execs: 3, Ancestors: 1}
	copy(r.Comm[:], []int8{'n', 'g'})
	r.Ancestor[0].Tgid, r.Ancestor[0].Start = 1, 2
	for _, f := range change {
		f(&r)
	}
	b := raw(r)[:unsafe.Offsetof(r.Data)]
	return append(b, p+c+argv...)
}

func TestDecodeProcess(t *testing.T) {
	d := decoder{boot: []byte("b"), offset: 100}
	decode := func(b []byte) *activity.Process {
		t.Helper()
		var o activity.Observation
		if err := d.decode(b, &o); err != nil {
			t.Fatal(err)
		}
		return o.Process
	}
	key := activity.ProcessKey{PID: 42, Start: 5}
	want := &activity.Process{ID: activity.MakeProcessID([]byte("b"), key, 3), Key: key, Execs: 3, Start: 105, Name: "ng", Exe: "/usr/sbin/nginx", Cwd: "/srv",
		Args: []string{"nginx", "-g", "a b", ""}, Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 1, Start: 2}}},
		UID: 33, GID: 33, LoginUID: activity.NoID, ExeDev: 0x801, ExeInode: 99, CgroupID: 77}
	if d := cmp.Diff(want, decode(procRecord([]string{"nginx", "sbin", "usr"}, []string{"srv"}, "nginx\x00-g\x00a b\x00\x00"))); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if p := decode(procRecord([]string{"x"}, nil, "x\x00", func(r *recorderRecProc) { r.Nlink = 0 })); !p.Deleted || p.MemFD || p.Exe != "/x" || p.Cwd != "/" {
		t.Errorf("deleted: %+v", p)
	}
	if p := decode(procRecord([]string{"memfd:evil"}, nil, "x\x00", func(r *recorderRecProc) { r.Nlink = 0 })); !p.MemFD || p.Exe != "memfd:evil" {
		t.Errorf("memfd: %+v", p)
	}
	if p := decode(procRecord(nil, nil, "", func(r *recorderRecProc) { r.Flags = uint8(recorderRecBitFLAG_KTHREAD) })); !p.Kernel || p.Exe != "" || p.Cwd != "" || p.Args != nil {
		t.Errorf("kernel thread: %+v", p)
	}
	if p := decode(procRecord([]string{"x"}, nil, "x\x00cut he", func(r *recorderRecProc) { r.ArgCut = 1 })); !p.ArgsTruncated || p.Args[1] != "cut he" {
		t.Errorf("cut: %+v", p)
	}
	if p := decode(procRecord([]string{"sshd"}, nil, "sshd: root"+strings.Repeat("\x00", 70))); len(p.Args) != 1 {
		t.Errorf("a title over argv: %q", p.Args)
	}
	if p := decode(procRecord([]string{"x"}, nil, "x", func(r *recorderRecProc) { r.Cgroup, r.Cgroup1 = 1, 55 })); p.CgroupID != 0 {
		t.Errorf("on a version 1 machine the cgroup is %d, want it unknown", p.CgroupID)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(raw(head(recorderRecTypeREC_LISTEN)))
	f.Add(raw(recorderRecEnd{H: head(recorderRecTypeREC_CLOSE)}))
	f.Add(procRecord([]string{"a", "b"}, []string{"c"}, "d\x00e"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := make([]byte, (len(in)+7)&^7+8)[:len(in)] // aligned, as the ring's are
		copy(b, in)
		var o activity.Observation
		d := decoder{}
		if err := d.decode(b, &o); err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if o.What == 0 || (o.What == activity.WhatProcess) != (o.Process != nil) {
			t.Fatalf("decoded to nothing: %+v", o)
		}
	})
}

func TestParseCgroupRoot(t *testing.T) {
	for text, want := range map[string]string{
		"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n":                                             "/sys/fs/cgroup",
		"1 2 0:3 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n36 33 0:4 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n": "/sys/fs/cgroup/unified",
		"30 23 0:26 / /with\\040space rw - cgroup2 x rw\n":                                                                  "/with space",
		"30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n":                                                    "", // only a part of it: hooks there would miss the rest
		"": "", "junk": "", "1 2 - cgroup2 ": "",
	} {
		if got := parseCgroupRoot(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine(errors.New("first\nsecond")); strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

// One connection seen from both ends: connect, accept, close, close.
func BenchmarkDecode(b *testing.B) {
	script := [][]byte{
		raw(head(recorderRecTypeREC_CONNECT)), raw(head(recorderRecTypeREC_ACCEPT)),
		raw(recorderRecEnd{H: head(recorderRecTypeREC_CLOSE), Birth: 1}), raw(recorderRecEnd{H: head(recorderRecTypeREC_CLOSE), Birth: 1}),
	}
	d := decoder{}
	var o activity.Observation
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.decode(script[i%4], &o); err != nil {
			b.Fatal(err)
		}
	}
}
