package journal

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/parquet-go/parquet-go"

	"github.com/portreporter/portreporter/internal/activity"
)

// eventSchema is the Parquet schema of a segment's events. Only its tags are
// used: values go to and from the columns by the table of eventColumns, one
// column at a time, because rows by reflection cost three times as much.
//
// A null is "not applicable or unknown"; the column unknown tells which.
type eventSchema struct {
	Time        int64  `parquet:"time,delta,timestamp(nanosecond)"`
	Epoch       uint64 `parquet:"epoch,dict"`
	Seq         uint64 `parquet:"seq,delta"`
	Booted      int64  `parquet:"booted,optional,dict,timestamp(nanosecond)"`
	Kind        string `parquet:"kind,dict"`
	Proto       string `parquet:"proto,optional,dict"`
	LocalIP     string `parquet:"local_ip,optional,dict"`
	LocalPort   uint32 `parquet:"local_port,optional,uint(16)"`
	RemoteIP    string `parquet:"remote_ip,optional,dict"`
	RemotePort  uint32 `parquet:"remote_port,optional,uint(16)"`
	ServicePort uint32 `parquet:"service_port,dict,uint(16)"`
	PID         uint32 `parquet:"pid,optional,dict"`
	Process     uint64 `parquet:"process,optional,dict"`
	OwnerStart  uint64 `parquet:"owner_start,optional"`
	Role        string `parquet:"role,optional,dict"`
	NetNS       uint32 `parquet:"netns,optional,dict"`
	Socket      uint64 `parquet:"socket,optional,delta"`
	Rx          uint64 `parquet:"rx,optional"`
	Tx          uint64 `parquet:"tx,optional"`
	RxPackets   uint64 `parquet:"rx_packets,optional"`
	TxPackets   uint64 `parquet:"tx_packets,optional"`
	Duration    int64  `parquet:"duration_ns,optional"`
	RTT         uint32 `parquet:"rtt_us,optional"`
	Retransmits uint32 `parquet:"retransmits,optional"`
	Reason      string `parquet:"reason,optional,dict"`
	Errno       uint32 `parquet:"errno,optional,dict,uint(16)"`
	Closer      uint32 `parquet:"closer,optional,dict"`
	Holder      uint64 `parquet:"holder,optional,dict"`
	Holders     string `parquet:"holders,optional,json"`
	Tier        string `parquet:"tier,optional,dict"`
	Provenance  string `parquet:"provenance,dict"`
	Flags       uint32 `parquet:"flags,dict,uint(16)"`
	Unknown     uint32 `parquet:"unknown,dict,uint(16)"`
	Coverage    string `parquet:"coverage,optional,json"`
}

// Columns that reading looks at before all others.
const (
	colTime = iota
	colEpoch
	colSeq
	colBooted
	colKind
	colProto
	colLocalIP
	colLocalPort
	colRemoteIP
	colRemotePort
	colService
)

// eventColumn moves one column's value between an event and Parquet. put
// returns the zero Value for null; get is not called for null.
type eventColumn struct {
	name string
	put  func(*encoder, *activity.Event) parquet.Value
	get  func(*decoder, *activity.Event, parquet.Value)
}

// encoder holds what making the values of one batch needs.
type encoder struct {
	text  []byte // arena of the batch's strings
	words wordValues
}

// wordValues are the values of the vocabulary's words, made once.
type wordValues struct {
	kinds       [256]parquet.Value
	protos      [256]parquet.Value
	tiers       [256]parquet.Value
	provenances [256]parquet.Value
	roles       [256]parquet.Value
	reasons     [256]parquet.Value
}

func newEncoder() *encoder {
	c := new(encoder)
	for i := range 256 {
		c.words.kinds[i] = parquet.ByteArrayValue([]byte(activity.Kind(i).String()))
		c.words.provenances[i] = parquet.ByteArrayValue([]byte(activity.Provenance(i).String()))
		c.words.protos[i] = wordOrNull(activity.Proto(i).String())
		c.words.tiers[i] = wordOrNull(activity.Tier(i).String())
		c.words.roles[i] = wordOrNull(activity.Role(i).String())
		c.words.reasons[i] = wordOrNull(activity.Reason(i).String())
	}
	return c
}

// wordOrNull makes a value of an optional column.
func wordOrNull(s string) parquet.Value {
	if s == "" {
		return parquet.Value{}
	}
	return parquet.ByteArrayValue([]byte(s))
}

// bytes makes a value of what f appends to the arena. A grown arena leaves the
// values before it valid in the old one.
func (c *encoder) bytes(f func([]byte) []byte) parquet.Value {
	n := len(c.text)
	c.text = f(c.text)
	return parquet.ByteArrayValue(c.text[n:len(c.text):len(c.text)])
}

// word makes a value of a string that the arena holds a copy of.
func (c *encoder) word(s string) parquet.Value {
	return c.bytes(func(b []byte) []byte { return append(b, s...) })
}

// decoder holds what making events of values needs.
type decoder struct {
	lookup func(activity.ProcessID) *activity.Process
	addrs  map[string]netip.Addr
	err    error // first value that makes no sense
}

func (d *decoder) process(v parquet.Value) *activity.Process { return d.processID(v.Uint64()) }

func (d *decoder) processID(id uint64) *activity.Process {
	if p := d.lookup(activity.ProcessID(id)); p != nil {
		return p
	}
	return &activity.Process{ID: activity.ProcessID(id), UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
}

func (d *decoder) addr(v parquet.Value) netip.Addr {
	b := v.ByteArray()
	if a, ok := d.addrs[string(b)]; ok {
		return a
	}
	a, err := netip.ParseAddr(string(b))
	d.fail(err)
	if len(d.addrs) < 1<<14 {
		d.addrs[string(b)] = a
	}
	return a
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// wordOf reads a word, also one that a later version added and this one wrote
// as "#27".
func wordOf[T ~uint8](d *decoder, v parquet.Value, parse func(string) (T, error)) T {
	return parseWord(d, string(v.ByteArray()), parse)
}

func parseWord[T ~uint8](d *decoder, s string, parse func(string) (T, error)) T {
	t, err := parse(s)
	if err == nil {
		return t
	}
	var n uint8
	if _, e := fmt.Sscanf(s, "#%d", &n); e == nil {
		return T(n)
	}
	d.fail(err)
	return t
}

func parseProto(s string) (activity.Proto, error) {
	var n uint8
	if _, err := fmt.Sscanf(s, "proto-%d", &n); err == nil {
		return activity.Proto(n), nil
	}
	return activity.ParseProto(s)
}

func number32(v uint32) parquet.Value { return parquet.Int32Value(int32(v)) }
func number64(v uint64) parquet.Value { return parquet.Int64Value(int64(v)) }

func nonZero32(v uint32) parquet.Value {
	if v == 0 {
		return parquet.Value{}
	}
	return number32(v)
}

// counted writes a zero as a number where it was counted, and as null where
// there was nothing to count or it is not known.
func counted(e *activity.Event, v uint64, f activity.Facts) parquet.Value {
	if v == 0 && (!e.Kind.Ends() || e.Unknown&f != 0) {
		return parquet.Value{}
	}
	return number64(v)
}

func putAddr(c *encoder, a netip.Addr) parquet.Value {
	if !a.IsValid() {
		return parquet.Value{}
	}
	return c.bytes(a.WithZone("").AppendTo)
}

func putPort(a netip.AddrPort) parquet.Value {
	if !a.Addr().IsValid() {
		return parquet.Value{}
	}
	return number32(uint32(a.Port()))
}

func processID(p *activity.Process) parquet.Value {
	if p == nil {
		return parquet.Value{}
	}
	return number64(uint64(p.ID))
}

// ownerStart is needed only where the process table doesn't tell it.
func ownerStart(_ *encoder, e *activity.Event) parquet.Value {
	if e.Owner.IsZero() || e.Owner.PID != 0 && e.Process != nil && e.Process.Key == e.Owner {
		return parquet.Value{}
	}
	return number64(e.Owner.Start)
}

func getHolders(d *decoder, e *activity.Event, v parquet.Value) {
	var ids []uint64
	d.fail(json.Unmarshal(v.ByteArray(), &ids))
	for _, id := range ids {
		e.Holders = append(e.Holders, d.processID(id))
	}
}

func putHolders(c *encoder, e *activity.Event) parquet.Value {
	if len(e.Holders) == 0 {
		return parquet.Value{}
	}
	return c.bytes(func(b []byte) []byte {
		b = append(b, '[')
		for i, p := range e.Holders {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Append(b, uint64(p.ID))
		}
		return append(b, ']')
	})
}

// eventColumns lists the columns in the order of eventSchema.
func eventColumns() []eventColumn {
	type E = activity.Event
	type V = parquet.Value
	return []eventColumn{
		{"time", func(_ *encoder, e *E) V { return parquet.Int64Value(e.Time) }, func(_ *decoder, e *E, v V) { e.Time = v.Int64() }},
		{"epoch", nil, func(*decoder, *E, V) {}}, // the segment writer's and the reader's own
		{"seq", func(_ *encoder, e *E) V { return number64(e.Seq) }, func(_ *decoder, e *E, v V) { e.Seq = v.Uint64() }},
		{"booted", putBooted, func(_ *decoder, e *E, v V) { e.Boot = uint64(e.Time - v.Int64()) }},
		{"kind", func(c *encoder, e *E) V { return c.words.kinds[e.Kind] }, func(d *decoder, e *E, v V) { e.Kind = wordOf(d, v, parseKind) }},
		{"proto", func(c *encoder, e *E) V { return c.words.protos[e.Proto] }, func(d *decoder, e *E, v V) { e.Proto = wordOf(d, v, parseProto) }},
		{"local_ip", func(c *encoder, e *E) V { return putAddr(c, e.Local.Addr()) }, func(d *decoder, e *E, v V) { e.Local = netip.AddrPortFrom(d.addr(v), e.Local.Port()) }},
		{"local_port", func(_ *encoder, e *E) V { return putPort(e.Local) }, func(_ *decoder, e *E, v V) { e.Local = netip.AddrPortFrom(e.Local.Addr(), uint16(v.Uint32())) }},
		{"remote_ip", func(c *encoder, e *E) V { return putAddr(c, e.Remote.Addr()) }, func(d *decoder, e *E, v V) { e.Remote = netip.AddrPortFrom(d.addr(v), e.Remote.Port()) }},
		{"remote_port", func(_ *encoder, e *E) V { return putPort(e.Remote) }, func(_ *decoder, e *E, v V) { e.Remote = netip.AddrPortFrom(e.Remote.Addr(), uint16(v.Uint32())) }},
		{"service_port", func(_ *encoder, e *E) V { return number32(uint32(e.Service())) }, func(*decoder, *E, V) {}},
		{"pid", putPID, func(_ *decoder, e *E, v V) { e.Owner.PID = v.Uint32() }},
		{"process", func(_ *encoder, e *E) V { return processID(e.Process) }, getProcess},
		{"owner_start", ownerStart, func(_ *decoder, e *E, v V) { e.Owner.Start = v.Uint64() }},
		{"role", func(c *encoder, e *E) V { return c.words.roles[e.Role] }, func(d *decoder, e *E, v V) { e.Role = wordOf(d, v, activity.ParseRole) }},
		{"netns", func(_ *encoder, e *E) V { return nonZero32(e.NetNS) }, func(_ *decoder, e *E, v V) { e.NetNS = v.Uint32() }},
		{"socket", putSocket, func(_ *decoder, e *E, v V) { e.Socket = v.Uint64() }},
		{"rx", func(_ *encoder, e *E) V { return counted(e, e.Rx, activity.FactBytes) }, func(_ *decoder, e *E, v V) { e.Rx = v.Uint64() }},
		{"tx", func(_ *encoder, e *E) V { return counted(e, e.Tx, activity.FactBytes) }, func(_ *decoder, e *E, v V) { e.Tx = v.Uint64() }},
		{"rx_packets", func(_ *encoder, e *E) V { return counted(e, e.RxPackets, activity.FactPackets) }, func(_ *decoder, e *E, v V) { e.RxPackets = v.Uint64() }},
		{"tx_packets", func(_ *encoder, e *E) V { return counted(e, e.TxPackets, activity.FactPackets) }, func(_ *decoder, e *E, v V) { e.TxPackets = v.Uint64() }},
		{"duration_ns", func(_ *encoder, e *E) V { return counted(e, uint64(e.Duration), activity.FactDuration) }, func(_ *decoder, e *E, v V) { e.Duration = v.Int64() }},
		{"rtt_us", func(_ *encoder, e *E) V { return nonZero32(e.RTT) }, func(_ *decoder, e *E, v V) { e.RTT = v.Uint32() }},
		{"retransmits", func(_ *encoder, e *E) V { return nonZero32(e.Retransmits) }, func(_ *decoder, e *E, v V) { e.Retransmits = v.Uint32() }},
		{"reason", func(c *encoder, e *E) V { return c.words.reasons[e.Reason] }, func(d *decoder, e *E, v V) { e.Reason = wordOf(d, v, activity.ParseReason) }},
		{"errno", func(_ *encoder, e *E) V { return nonZero32(uint32(e.Errno)) }, func(_ *decoder, e *E, v V) { e.Errno = uint16(v.Uint32()) }},
		{"closer", func(_ *encoder, e *E) V { return nonZero32(e.Closer) }, func(_ *decoder, e *E, v V) { e.Closer = v.Uint32() }},
		{"holder", func(_ *encoder, e *E) V { return processID(e.Holder) }, func(d *decoder, e *E, v V) { e.Holder = d.process(v) }},
		{"holders", putHolders, getHolders},
		{"tier", func(c *encoder, e *E) V { return c.words.tiers[e.Tier] }, func(d *decoder, e *E, v V) { e.Tier = wordOf(d, v, activity.ParseTier) }},
		{"provenance", func(c *encoder, e *E) V { return c.words.provenances[e.Provenance] }, func(d *decoder, e *E, v V) { e.Provenance = wordOf(d, v, activity.ParseProvenance) }},
		{"flags", func(_ *encoder, e *E) V { return number32(uint32(e.Flags)) }, func(_ *decoder, e *E, v V) { e.Flags = activity.Flags(v.Uint32()) }},
		{"unknown", func(_ *encoder, e *E) V { return number32(uint32(e.Unknown)) }, func(_ *decoder, e *E, v V) { e.Unknown = activity.Facts(v.Uint32()) }},
		{"coverage", putCoverage, getCoverage},
	}
}

// parseKind reads a kind's word; the zero kind's is empty.
func parseKind(s string) (activity.Kind, error) {
	if s == "" {
		return activity.KindNone, nil
	}
	return activity.ParseKind(s)
}

// putBooted writes the boot clock as the wall time of the boot: the same for
// long stretches of the record, so that a dictionary makes next to nothing of
// it, where the clock itself would take five bytes an event.
func putBooted(_ *encoder, e *activity.Event) parquet.Value {
	if e.Boot == 0 {
		return parquet.Value{}
	}
	return parquet.Int64Value(e.Time - int64(e.Boot))
}

func putPID(_ *encoder, e *activity.Event) parquet.Value {
	if e.Owner.IsZero() {
		return parquet.Value{}
	}
	return number32(e.Owner.PID)
}

func putSocket(_ *encoder, e *activity.Event) parquet.Value {
	if e.Socket == 0 {
		return parquet.Value{}
	}
	return number64(e.Socket)
}

// getProcess comes after pid and before owner_start.
func getProcess(d *decoder, e *activity.Event, v parquet.Value) {
	e.Process = d.process(v)
	if e.Owner.PID != 0 && e.Process.Key.PID == e.Owner.PID {
		e.Owner = e.Process.Key
	}
}
