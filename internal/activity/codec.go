package activity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// The binary form of events, processes, module sets and sockets: what the live
// log holds and the control socket carries. Integers are unsigned LEB128
// varints unless said otherwise, strings are a length and bytes, times are
// zig-zag varints. docs/JOURNAL.md documents the layout; a field is only ever
// added behind a new mask bit, so old readers stop at what they do not know.
//
// Decoders take bytes from outside: they never panic, never allocate more than
// a small multiple of the input, and report what does not parse as ErrCorrupt.

// ErrCorrupt is wrapped by every decoder's error.
var ErrCorrupt = errors.New("corrupt record")

// Bits of an event's presence mask, in order of their fields.
const (
	hasBoot = 1 << iota
	hasSocket
	hasLocal
	hasRemote
	hasNetNS
	hasOwner
	hasProcess
	hasHolder
	hasHolders
	hasBytes
	hasPackets
	hasDuration
	hasTCP // RTT, Retransmits
	hasCloser
	hasReason // Reason, Errno
	hasCoverage
	hasUnknown
)

// AppendEvent appends e's binary form. Processes are written as their ID.
func AppendEvent(b []byte, e *Event) []byte {
	var m uint64
	set := func(on bool, bit uint64) {
		if on {
			m |= bit
		}
	}
	set(e.Boot != 0, hasBoot)
	set(e.Socket != 0, hasSocket)
	set(e.Local.Addr().IsValid(), hasLocal)
	set(e.Remote.Addr().IsValid(), hasRemote)
	set(e.NetNS != 0, hasNetNS)
	set(!e.Owner.IsZero(), hasOwner)
	set(e.Process != nil, hasProcess)
	set(e.Holder != nil, hasHolder)
	set(len(e.Holders) > 0, hasHolders)
	set(e.Rx != 0 || e.Tx != 0, hasBytes)
	set(e.RxPackets != 0 || e.TxPackets != 0, hasPackets)
	set(e.Duration != 0, hasDuration)
	set(e.RTT != 0 || e.Retransmits != 0, hasTCP)
	set(e.Closer != 0, hasCloser)
	set(e.Reason != 0 || e.Errno != 0, hasReason)
	set(e.Coverage != nil, hasCoverage)
	set(e.Unknown != 0, hasUnknown)
	b = binary.AppendUvarint(b, m)
	b = append(b, byte(e.Kind), byte(e.Proto), byte(e.Tier)<<4|byte(e.Provenance), byte(e.Role))
	b = binary.AppendUvarint(b, uint64(e.Flags))
	b = binary.AppendVarint(b, e.Time)
	b = binary.AppendUvarint(b, e.Seq)
	if m&hasBoot != 0 {
		b = binary.AppendUvarint(b, e.Boot)
	}
	if m&hasSocket != 0 {
		b = binary.AppendUvarint(b, e.Socket)
	}
	if m&hasLocal != 0 {
		b = appendAddrPort(b, e.Local)
	}
	if m&hasRemote != 0 {
		b = appendAddrPort(b, e.Remote)
	}
	if m&hasNetNS != 0 {
		b = binary.AppendUvarint(b, uint64(e.NetNS))
	}
	if m&hasOwner != 0 {
		b = appendKey(b, e.Owner)
	}
	if m&hasProcess != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Process.ID))
	}
	if m&hasHolder != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Holder.ID))
	}
	if m&hasHolders != 0 {
		b = appendIDs(b, e.Holders)
	}
	if m&hasBytes != 0 {
		b = binary.AppendUvarint(b, e.Rx)
		b = binary.AppendUvarint(b, e.Tx)
	}
	if m&hasPackets != 0 {
		b = binary.AppendUvarint(b, e.RxPackets)
		b = binary.AppendUvarint(b, e.TxPackets)
	}
	if m&hasDuration != 0 {
		b = binary.AppendVarint(b, e.Duration)
	}
	if m&hasTCP != 0 {
		b = binary.AppendUvarint(b, uint64(e.RTT))
		b = binary.AppendUvarint(b, uint64(e.Retransmits))
	}
	if m&hasCloser != 0 {
		b = binary.AppendUvarint(b, uint64(e.Closer))
	}
	if m&hasReason != 0 {
		b = append(b, byte(e.Reason))
		b = binary.AppendUvarint(b, uint64(e.Errno))
	}
	if m&hasCoverage != 0 {
		b = appendCoverage(b, e.Coverage)
	}
	if m&hasUnknown != 0 {
		b = binary.AppendUvarint(b, uint64(e.Unknown))
	}
	return b
}

// DecodeEvent reads one event from all of b into e, overwriting it. lookup
// resolves process IDs; a nil lookup, or one that returns nil, leaves a stub
// Process with only its ID set.
func DecodeEvent(b []byte, e *Event, lookup func(ProcessID) *Process) error {
	d := decoder{b: b}
	m := d.head(e)
	d.rest(e, m, lookup)
	if d.err != nil {
		*e = Event{}
		return d.fail("event")
	}
	return nil
}

// DecodeEventHead reads the beginning of an event into e, overwriting it: all
// that orders events and tells their sockets, from Time to Remote, without the
// owner, the counters and what else follows. It costs a third of DecodeEvent.
func DecodeEventHead(b []byte, e *Event) error {
	d := decoder{b: b}
	d.head(e)
	if d.err != nil {
		*e = Event{}
		return d.fail("event")
	}
	return nil
}

// head reads the mask, which it returns, and the fields up to Remote.
func (d *decoder) head(e *Event) (m uint64) {
	*e = Event{}
	m = d.uvarint()
	h := d.bytes(4)
	if d.err != nil {
		return 0
	}
	e.Kind, e.Proto, e.Tier, e.Provenance, e.Role = Kind(h[0]), Proto(h[1]), Tier(h[2]>>4), Provenance(h[2]&15), Role(h[3])
	if e.Kind >= NumKinds {
		d.err = fmt.Errorf("kind %d", e.Kind)
		return 0
	}
	e.Flags = Flags(d.limit(0xffff))
	e.Time = d.varint()
	e.Seq = d.uvarint()
	if m&hasBoot != 0 {
		e.Boot = d.uvarint()
	}
	if m&hasSocket != 0 {
		e.Socket = d.uvarint()
	}
	if m&hasLocal != 0 {
		e.Local = d.addrPort()
	}
	if m&hasRemote != 0 {
		e.Remote = d.addrPort()
	}
	return m
}

// rest reads what follows head.
func (d *decoder) rest(e *Event, m uint64, lookup func(ProcessID) *Process) {
	if m&hasNetNS != 0 {
		e.NetNS = d.uint32()
	}
	if m&hasOwner != 0 {
		e.Owner = d.key()
	}
	if m&hasProcess != 0 {
		e.Process = d.process(lookup)
	}
	if m&hasHolder != 0 {
		e.Holder = d.process(lookup)
	}
	if m&hasHolders != 0 {
		e.Holders = d.processes(lookup)
	}
	if m&hasBytes != 0 {
		e.Rx, e.Tx = d.uvarint(), d.uvarint()
	}
	if m&hasPackets != 0 {
		e.RxPackets, e.TxPackets = d.uvarint(), d.uvarint()
	}
	if m&hasDuration != 0 {
		e.Duration = d.varint()
	}
	if m&hasTCP != 0 {
		e.RTT, e.Retransmits = d.uint32(), d.uint32()
	}
	if m&hasCloser != 0 {
		e.Closer = d.uint32()
	}
	if m&hasReason != 0 {
		e.Reason = Reason(d.byte())
		e.Errno = uint16(d.limit(0xffff))
	}
	if m&hasCoverage != 0 {
		e.Coverage = d.coverage()
	}
	if m&hasUnknown != 0 {
		e.Unknown = Facts(d.limit(0xffff))
	}
}

func appendCoverage(b []byte, c *Coverage) []byte {
	b = binary.AppendVarint(b, c.From)
	b = binary.AppendVarint(b, c.To)
	n := 0
	for _, v := range c.Lost {
		if v != 0 {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for k, v := range c.Lost {
		if v != 0 {
			b = append(b, byte(k))
			b = binary.AppendUvarint(b, v)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.Missing)))
	for _, k := range c.Missing {
		b = append(b, byte(k))
	}
	b = appendString(b, c.Reason)
	return appendString(b, c.Detail)
}

func (d *decoder) coverage() *Coverage {
	c := &Coverage{From: d.varint(), To: d.varint()}
	for n := d.limit(uint64(NumKinds)); n > 0 && d.err == nil; n-- {
		k := d.byte()
		v := d.uvarint()
		if int(k) >= len(c.Lost) {
			d.err = fmt.Errorf("lost kind %d", k)
			return c
		}
		c.Lost[k] = v
	}
	for n := d.limit(uint64(NumKinds)); n > 0 && d.err == nil; n-- {
		c.Missing = append(c.Missing, Kind(d.byte()))
	}
	c.Reason, c.Detail = d.string(), d.string()
	return c
}

// Bits of a socket's flag byte.
const (
	sockMapped = 1 << iota
	sockMPTCP
	sockLocal
	sockRemote
	sockProcess
	sockAutoBind
)

// AppendSocket appends s's binary form. Processes are written as their ID.
func AppendSocket(b []byte, s *Socket) []byte {
	var f byte
	for _, x := range []struct {
		on  bool
		bit byte
	}{{s.Mapped, sockMapped}, {s.MPTCP, sockMPTCP}, {s.Local.Addr().IsValid(), sockLocal}, {s.Remote.Addr().IsValid(), sockRemote}, {s.Process != nil, sockProcess}, {s.AutoBind, sockAutoBind}} {
		if x.on {
			f |= x.bit
		}
	}
	b = append(b, f, byte(s.Proto), byte(s.State), byte(s.Role), byte(s.Tier)<<4|byte(s.Provenance))
	b = binary.AppendUvarint(b, s.Cookie)
	if f&sockLocal != 0 {
		b = appendAddrPort(b, s.Local)
	}
	if f&sockRemote != 0 {
		b = appendAddrPort(b, s.Remote)
	}
	b = binary.AppendUvarint(b, uint64(s.NetNS))
	b = binary.AppendUvarint(b, s.Inode)
	b = binary.AppendUvarint(b, uint64(s.UID))
	b = binary.AppendVarint(b, s.Since)
	b = binary.AppendUvarint(b, s.SinceBoot)
	b = appendKey(b, s.Owner)
	if f&sockProcess != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Process.ID))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Holders)))
	for _, k := range s.Holders {
		b = appendKey(b, k)
	}
	b = appendIDs(b, s.Others)
	b = binary.AppendUvarint(b, s.Rx)
	b = binary.AppendUvarint(b, s.Tx)
	return binary.AppendUvarint(b, uint64(s.Backlog))
}

// DecodeSocket reads one socket from all of b into s, overwriting it; lookup
// is as in DecodeEvent.
func DecodeSocket(b []byte, s *Socket, lookup func(ProcessID) *Process) error {
	d := decoder{b: b}
	h := d.bytes(5)
	if d.err != nil {
		*s = Socket{}
		return d.fail("socket")
	}
	f := h[0]
	*s = Socket{Mapped: f&sockMapped != 0, MPTCP: f&sockMPTCP != 0, AutoBind: f&sockAutoBind != 0, Proto: Proto(h[1]), State: State(h[2]), Role: Role(h[3]),
		Tier: Tier(h[4] >> 4), Provenance: Provenance(h[4] & 15)}
	s.Cookie = d.uvarint()
	if f&sockLocal != 0 {
		s.Local = d.addrPort()
	}
	if f&sockRemote != 0 {
		s.Remote = d.addrPort()
	}
	s.NetNS, s.Inode, s.UID = d.uint32(), d.uvarint(), d.uint32()
	s.Since, s.SinceBoot, s.Owner = d.varint(), d.uvarint(), d.key()
	if f&sockProcess != 0 {
		s.Process = d.process(lookup)
	}
	for n := d.count(2); n > 0 && d.err == nil; n-- {
		s.Holders = append(s.Holders, d.key())
	}
	s.Others = d.processes(lookup)
	s.Rx, s.Tx, s.Backlog = d.uvarint(), d.uvarint(), d.uint32()
	if d.err != nil {
		*s = Socket{}
		return d.fail("socket")
	}
	return nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendKey(b []byte, k ProcessKey) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(k.PID)), k.Start)
}

func appendIDs(b []byte, ps []*Process) []byte {
	b = binary.AppendUvarint(b, uint64(len(ps)))
	for _, p := range ps {
		b = binary.LittleEndian.AppendUint64(b, uint64(p.ID))
	}
	return b
}

// An address is its length (4 or 16), its bytes and the port, big-endian. Zones
// are not kept: they name interfaces of the moment.
func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	if a.Addr().Is4() {
		v := a.Addr().As4()
		b = append(append(b, 4), v[:]...)
	} else {
		v := a.Addr().As16()
		b = append(append(b, 16), v[:]...)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// decoder reads the parts of a record; after the first error all reads give zero.
type decoder struct {
	b   []byte
	err error
}

var errShort = errors.New("too short")

func (d *decoder) fail(what string) error { return fmt.Errorf("%s: %w: %w", what, ErrCorrupt, d.err) }

func (d *decoder) bytes(n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if v := d.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	if len(d.b) > 0 && d.b[0] < 0x80 { // most are small
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.err = errors.New("bad varint")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) limit(most uint64) uint64 {
	v := d.uvarint()
	if v > most {
		d.err = fmt.Errorf("%d is over %d", v, most)
		return 0
	}
	return v
}

func (d *decoder) uint32() uint32 { return uint32(d.limit(0xffffffff)) }

// count reads a number of elements that take at least size bytes each.
func (d *decoder) count(size int) int { return int(d.limit(uint64(len(d.b) / size))) }

func (d *decoder) string() string { return string(d.bytes(d.count(1))) }

func (d *decoder) key() ProcessKey { return ProcessKey{PID: d.uint32(), Start: d.uvarint()} }

func (d *decoder) addrPort() netip.AddrPort {
	var a netip.Addr
	switch n := d.byte(); n {
	case 4:
		if v := d.bytes(4); v != nil {
			a = netip.AddrFrom4([4]byte(v))
		}
	case 16:
		if v := d.bytes(16); v != nil {
			a = netip.AddrFrom16([16]byte(v))
		}
	default:
		if d.err == nil {
			d.err = fmt.Errorf("address of %d bytes", n)
		}
	}
	v := d.bytes(2)
	if d.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(v))
}

func (d *decoder) process(lookup func(ProcessID) *Process) *Process {
	id := ProcessID(d.uint64())
	if d.err != nil {
		return nil
	}
	if lookup != nil {
		if p := lookup(id); p != nil {
			return p
		}
	}
	return &Process{ID: id, UID: NoID, EUID: NoID, GID: NoID, LoginUID: NoID}
}

func (d *decoder) processes(lookup func(ProcessID) *Process) (ps []*Process) {
	for n := d.count(8); n > 0 && d.err == nil; n-- {
		ps = append(ps, d.process(lookup))
	}
	return ps
}
