//go:build amd64 || arm64

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/portreporter/portreporter/internal/activity"
)

// Address families (socket(2)).
const (
	afInet  = 2
	afInet6 = 10
)

// TCP states as the kernel numbers them (include/net/tcp_states.h), where a
// connection that comes to its end from them was cut and not closed.
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3
	tcpCloseWait   = 8
)

var errRecord = errors.New("malformed ring record")

// decoder turns ring records into observations. It is pure but for the clock
// offset and the boot id that it is given.
type decoder struct {
	boot   []byte          // identifies this boot in process numbers
	offset int64           // CLOCK_REALTIME - CLOCK_BOOTTIME, ns
	proc   recorderRecProc // scratch: a process record is only as long as its data
}

// record views b as a T. The ring hands out whole records at 8-byte
// boundaries, written by programs that share T's declaration.
func record[T any](b []byte) (*T, error) {
	var t T
	if len(b) < int(unsafe.Sizeof(t)) {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errRecord, len(b), unsafe.Sizeof(t))
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// decode overwrites o with what b says.
func (d *decoder) decode(b []byte, o *activity.Observation) error {
	if len(b) == 0 {
		return errRecord
	}
	t := recorderRecType(b[0])
	if t == recorderRecTypeREC_PROC {
		return d.process(b, o)
	}
	r, err := record[recorderRec](b)
	if err != nil {
		return err
	}
	d.head(r, o)
	switch t {
	case recorderRecTypeREC_EXIT:
		o.What, o.Key = activity.WhatExit, o.Event.Owner
	case recorderRecTypeREC_USER:
		o.What, o.Key = activity.WhatHolder, o.Event.Owner
	case recorderRecTypeREC_LISTEN:
		o.Event.Kind, o.Event.Role = activity.KindListen, activity.RoleCreator
	case recorderRecTypeREC_CONNECT:
		o.Event.Kind, o.Event.Role = activity.KindConnect, activity.RoleCreator
	case recorderRecTypeREC_ACCEPT:
		o.Event.Kind, o.Event.Role = activity.KindAccept, activity.RoleAcceptor
	case recorderRecTypeREC_BIND:
		o.Event.Kind, o.Event.Role = activity.KindBind, activity.RoleBinder
	case recorderRecTypeREC_FLOW:
		o.Event.Kind, o.Event.Role = activity.KindFlow, activity.RoleUser
		d.unnamedRemote(&o.Event)
	case recorderRecTypeREC_KNOCK:
		o.Event.Kind, o.UID = activity.KindKnock, activity.NoID
		o.Event.Flags |= activity.FlagInbound
	default:
		e, err := record[recorderRecEnd](b)
		if err != nil {
			return err
		}
		return d.ending(t, e, o)
	}
	return nil
}

// head fills what every record has.
func (d *decoder) head(r *recorderRec, o *activity.Observation) {
	*o = activity.Observation{What: activity.WhatEvent, UID: r.Uid}
	e := &o.Event
	e.Boot, e.Time = r.Ts, int64(r.Ts)+d.offset
	e.Proto, e.Tier, e.NetNS, e.Socket = activity.Proto(r.Proto), activity.TierEBPF, r.Netns, r.Cookie
	e.Owner = activity.ProcessKey{PID: r.Tgid, Start: r.Start}
	for i, c := range r.Comm {
		o.Comm[i] = byte(c)
	}
	f := recorderRecBit(r.Flags)
	set := func(bit recorderRecBit, flag activity.Flags) {
		if f&bit != 0 {
			e.Flags |= flag
		}
	}
	set(recorderRecBitFLAG_CHILD|recorderRecBitFLAG_RX, activity.FlagInbound)
	set(recorderRecBitFLAG_NOT_ACCEPTED, activity.FlagNotAccepted)
	set(recorderRecBitFLAG_RECOVERED, activity.FlagRecovered)
	set(recorderRecBitFLAG_AUTO, activity.FlagAutoBind)
	set(recorderRecBitFLAG_MPTCP, activity.FlagMPTCP)
	set(recorderRecBitFLAG_PEER_FIRST, activity.FlagPeerFirst)
	set(recorderRecBitFLAG_CONCLUDED, activity.FlagConcluded)
	var m1, m2 bool
	e.Local, m1 = addrPort(r.Family, &r.Laddr, r.Lport)
	family := r.Family
	if f&recorderRecBitFLAG_REMOTE6 != 0 {
		family = afInet6
	}
	e.Remote, m2 = addrPort(family, &r.Raddr, r.Rport)
	if r.Family == afInet6 && (m1 || m2) {
		e.Flags |= activity.FlagMapped
	}
	if r.Rport == 0 && e.Remote.Addr().IsUnspecified() {
		e.Remote = netip.AddrPort{}
	}
}

func addrPort(family uint8, a *[16]uint8, port uint16) (netip.AddrPort, bool) {
	if family == afInet {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[:4])), port), false
	}
	v := netip.AddrFrom16(*a)
	if v.Is4In6() {
		return netip.AddrPortFrom(v.Unmap(), port), true
	}
	return netip.AddrPortFrom(v, port), false
}

// unnamedRemote marks a flow whose datagrams were read without asking for the
// sender.
func (d *decoder) unnamedRemote(e *activity.Event) {
	if !e.Remote.IsValid() {
		e.Unknown |= activity.FactRemote
	}
}

func (d *decoder) ending(t recorderRecType, r *recorderRecEnd, o *activity.Observation) error {
	e := &o.Event
	f := recorderRecBit(r.H.Flags)
	e.Errno, e.Closer = uint16(r.Err), r.Closer
	e.Tx, e.Rx, e.TxPackets, e.RxPackets = r.Tx, r.Rx, r.TxPackets, r.RxPackets
	e.RTT, e.Retransmits = r.SrttUs, r.Retrans
	if r.Birth != 0 && r.Birth <= r.H.Ts {
		e.Duration = int64(r.H.Ts - r.Birth)
	} else {
		e.Unknown |= activity.FactDuration
	}
	switch t {
	case recorderRecTypeREC_UNLISTEN:
		e.Kind, e.Role = activity.KindUnlisten, activity.RoleCreator
		e.TxPackets, e.RxPackets = 0, 0
		if f&recorderRecBitFLAG_LOCAL_FAIL != 0 { // listen(2) took it back: it did not get the port
			e.Kind, e.Role, e.Unknown, e.Duration = activity.KindBindFailed, activity.RoleBinder, activity.FactReason, 0
		}
	case recorderRecTypeREC_CLOSE:
		d.close(f, r, e)
	case recorderRecTypeREC_CONNECT_FAIL:
		e.Kind, e.Role, e.Reason = activity.KindConnectFailed, activity.RoleCreator, failure(f, r)
	case recorderRecTypeREC_BIND_FAIL:
		e.Kind, e.Role, e.Reason = activity.KindBindFailed, activity.RoleBinder, activity.ReasonOf(e.Errno)
		e.Unknown &^= activity.FactDuration
		if e.Errno == 0 {
			e.Unknown |= activity.FactReason
		}
	case recorderRecTypeREC_UNBIND:
		e.Kind, e.Role = activity.KindUnbind, activity.RoleBinder
		unsized(f, e)
	case recorderRecTypeREC_FLOW_END:
		e.Kind, e.Role, e.Reason = activity.KindFlowEnd, activity.RoleUser, activity.ReasonClosed
		unsized(f, e)
		d.unnamedRemote(e)
	default:
		return fmt.Errorf("%w: type %d", errRecord, t)
	}
	return nil
}

// close tells how a connection ended. A connection that was not cut passes
// through FIN-WAIT or LAST-ACK on its way to CLOSED.
func (d *decoder) close(f recorderRecBit, r *recorderRecEnd, e *activity.Event) {
	e.Kind, e.Role = activity.KindClose, activity.RoleCreator
	if f&recorderRecBitFLAG_CHILD != 0 {
		e.Role = activity.RoleAcceptor
	}
	if f&recorderRecBitFLAG_NOT_ACCEPTED != 0 {
		e.Role = activity.RoleListener
	}
	e.Reason = activity.ReasonOf(e.Errno)
	cut := r.H.Old == tcpEstablished || r.H.Old == tcpCloseWait || r.H.Old == tcpSynRecv
	if e.Reason == activity.ReasonReset || e.Reason == activity.ReasonNone && cut {
		e.Flags |= activity.FlagReset
	}
	if r.H.Tgid == 0 {
		e.Unknown |= activity.FactOwner
	}
}

func unsized(f recorderRecBit, e *activity.Event) {
	if f&recorderRecBitFLAG_NO_BYTES != 0 {
		e.Unknown |= activity.FactBytes | activity.FactPackets
		e.Rx, e.Tx, e.RxPackets, e.TxPackets = 0, 0, 0, 0
	}
	if f&recorderRecBitFLAG_SEED != 0 {
		e.Flags |= activity.FlagTruncated
	}
}

// failure says why a connect failed: what the kernel says where it does, else
// what the state of the socket leaves as the only cause.
func failure(f recorderRecBit, r *recorderRecEnd) activity.Reason {
	switch {
	case f&recorderRecBitFLAG_LOCAL_FAIL != 0 && r.Err == 0:
		return activity.ReasonNotSent
	case r.Err != 0:
		return activity.ReasonOf(uint16(r.Err))
	case r.H.Old == tcpSynSent && r.H.Lport == 0 && f&recorderRecBitFLAG_RECOVERED == 0:
		return activity.ReasonNoPortsLeft // inet_hash_connect found none: SYN-SENT to CLOSED with no port and no error
	default:
		return activity.ReasonAborted
	}
}

func (d *decoder) process(b []byte, o *activity.Observation) error {
	const head = unsafe.Offsetof(recorderRecProc{}.Data)
	if len(b) < int(head) {
		return fmt.Errorf("%w: process of %d bytes", errRecord, len(b))
	}
	r, data := &d.proc, b[head:]
	copy(unsafe.Slice((*byte)(unsafe.Pointer(r)), head), b)
	pathLen, cwdLen, argLen := int(r.PathLen), int(r.CwdLen), int(r.ArgLen)
	if pathLen+cwdLen+argLen > len(data) || int(r.Ancestors) > len(r.Ancestor) {
		return fmt.Errorf("%w: process data of %d+%d+%d in %d bytes", errRecord, pathLen, cwdLen, argLen, len(data))
	}
	key := activity.ProcessKey{PID: r.Tgid, Start: r.Start}
	p := &activity.Process{
		ID: activity.MakeProcessID(d.boot, key, r.Execs), Key: key, Execs: r.Execs, Start: int64(r.Start) + d.offset,
		Name: text(r.Comm[:]), Exe: joinPath(data[:pathLen]), Cwd: joinPath(data[pathLen : pathLen+cwdLen]),
		ArgsTruncated: r.ArgCut != 0, Kernel: r.Flags&uint8(recorderRecBitFLAG_KTHREAD) != 0,
		UID: r.Uid, EUID: r.Euid, GID: r.Gid, LoginUID: r.Loginuid,
		ExeDev: device(r.Dev), ExeInode: r.Inode, CgroupID: r.Cgroup, NetNS: r.Netns,
	}
	if r.Cgroup <= 1 && r.Cgroup1 > 1 { // all is in the root of the unified hierarchy: version 1 does the work,
		p.CgroupID = 0 // and its numbers mean nothing in the other
	}
	if p.Cwd == "" && !p.Kernel {
		p.Cwd = "/" // no components
	}
	if p.Exe != "" {
		p.Deleted = r.Nlink == 0
	}
	if p.Deleted && strings.HasPrefix(p.Exe, "/memfd:") {
		p.MemFD, p.Exe = true, p.Exe[1:]
	}
	if argLen > 0 {
		p.Args = splitArgs(data[pathLen+cwdLen:][:argLen], p.ArgsTruncated)
	}
	for _, a := range r.Ancestor[:r.Ancestors] {
		p.Ancestors = append(p.Ancestors, activity.ProcessRef{Key: activity.ProcessKey{PID: a.Tgid, Start: a.Start}, Name: text(a.Comm[:])})
	}
	*o = activity.Observation{What: activity.WhatProcess, Process: p, Key: key, UID: r.Uid}
	o.Event.Boot, o.Event.Time = r.Ts, int64(r.Ts)+d.offset
	return nil
}

// device turns the kernel's dev_t (12 bits major, 20 bits minor) into stat(2)'s.
func device(d uint32) uint64 {
	major, minor := uint64(d>>20), uint64(d&0xfffff)
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

func text(c []int8) string {
	b := make([]byte, 0, len(c))
	for _, v := range c {
		if v == 0 {
			break
		}
		b = append(b, byte(v))
	}
	return string(b)
}

// joinPath makes a path of components that come leaf first, each ended by NUL.
func joinPath(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	parts := bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
	out := make([]byte, 0, len(b)+1)
	for i := len(parts) - 1; i >= 0; i-- {
		out = append(append(out, '/'), parts[i]...)
	}
	return string(out)
}

// splitArgs splits argv's memory; of a truncated one the last argument is as
// much as was read.
func splitArgs(b []byte, cut bool) []string {
	if !cut {
		b = bytes.TrimSuffix(b, []byte{0})
	}
	args := strings.Split(string(b), "\x00")
	// setproctitle(3) writes over argv and leaves the rest of it empty.
	n := len(args)
	for n > 1 && args[n-1] == "" {
		n--
	}
	if len(args)-n > 3 {
		args = args[:n]
	}
	return args
}
