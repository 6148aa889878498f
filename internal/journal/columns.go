package journal

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/portreporter/portreporter/internal/activity"
)

// eventSchema is the Parquet schema of a segment's events. Only its tags are
// used: values come from the columns by the table of eventColumns, one column
// at a time, and go to them by setEvent, because rows by reflection cost three
// times as much.
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
	ServicePort uint32 `parquet:"service_port,delta,uint(16)"`
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

// The columns, in the order of eventSchema. Reading looks at those up to
// colService before all others.
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
	colPID
	colProcess
	colOwnerStart
	colRole
	colNetNS
	colSocket
	colRx
	colTx
	colRxPackets
	colTxPackets
	colDuration
	colRTT
	colRetransmits
	colReason
	colErrno
	colCloser
	colHolder
	colHolders
	colTier
	colProvenance
	colFlags
	colUnknown
	colCoverage
)

// eventColumn moves one column's value from Parquet to an event. get is not
// called for null.
type eventColumn struct {
	name string
	get  func(*decoder, *activity.Event, parquet.Value)
}

// vocabulary holds the words of the columns that have words, made once.
type vocabulary struct{ kinds, protos, tiers, provenances, roles, reasons [256]string }

func newVocabulary() *vocabulary {
	v := new(vocabulary)
	for i := range 256 {
		v.kinds[i] = activity.Kind(i).String()
		v.provenances[i] = activity.Provenance(i).String()
		v.protos[i] = activity.Proto(i).String()
		v.tiers[i] = activity.Tier(i).String()
		v.roles[i] = activity.Role(i).String()
		v.reasons[i] = activity.Reason(i).String()
	}
	return v
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

// setEvent puts an event into a row of the columns, which are those of
// eventSchema. A field that stays out is null.
func (v *vocabulary) setEvent(c []*column, row int, e *activity.Event, epoch uint64) {
	c[colTime].number(row, e.Time)
	c[colEpoch].number(row, int64(epoch))
	c[colSeq].number(row, int64(e.Seq))
	if e.Boot != 0 {
		// The boot clock is written as the wall time of the boot: the same for long
		// stretches of the record, so that a dictionary makes next to nothing of it,
		// where the clock itself would take five bytes an event.
		c[colBooted].number(row, e.Time-int64(e.Boot))
	}
	c[colKind].word(row, uint8(e.Kind), &v.kinds)
	c[colProto].word(row, uint8(e.Proto), &v.protos)
	if a := e.Local; a.Addr().IsValid() {
		c[colLocalIP].addr(row, a.Addr())
		c[colLocalPort].number(row, int64(a.Port()))
	}
	if a := e.Remote; a.Addr().IsValid() {
		c[colRemoteIP].addr(row, a.Addr())
		c[colRemotePort].number(row, int64(a.Port()))
	}
	c[colService].number(row, int64(e.Service()))
	setOwner(c, row, e)
	c[colRole].word(row, uint8(e.Role), &v.roles)
	c[colNetNS].some(row, int64(e.NetNS))
	c[colSocket].some(row, int64(e.Socket))
	setCounts(c, row, e)
	c[colReason].word(row, uint8(e.Reason), &v.reasons)
	c[colErrno].some(row, int64(e.Errno))
	c[colTier].word(row, uint8(e.Tier), &v.tiers)
	c[colProvenance].word(row, uint8(e.Provenance), &v.provenances)
	c[colFlags].number(row, int64(e.Flags))
	c[colUnknown].number(row, int64(e.Unknown))
	if e.Coverage != nil {
		c[colCoverage].text(row, coverageText(e.Coverage))
	}
}

func setOwner(c []*column, row int, e *activity.Event) {
	p := e.Process
	if !e.Owner.IsZero() {
		c[colPID].number(row, int64(e.Owner.PID))
		if e.Owner.PID == 0 || p == nil || p.Key != e.Owner { // else the process table tells it
			c[colOwnerStart].number(row, int64(e.Owner.Start))
		}
	}
	if p != nil {
		c[colProcess].number(row, int64(p.ID))
	}
	c[colCloser].some(row, int64(e.Closer))
	if e.Holder != nil {
		c[colHolder].number(row, int64(e.Holder.ID))
	}
	if len(e.Holders) > 0 {
		c[colHolders].text(row, holdersText(e.Holders))
	}
}

// setCounts writes a zero as a number where it was counted, and as null where
// there was nothing to count or it is not known.
func setCounts(c []*column, row int, e *activity.Event) {
	counted := func(i int, v int64, f activity.Facts) {
		if v != 0 || e.Kind.Ends() && e.Unknown&f == 0 {
			c[i].number(row, v)
		}
	}
	counted(colRx, int64(e.Rx), activity.FactBytes)
	counted(colTx, int64(e.Tx), activity.FactBytes)
	counted(colRxPackets, int64(e.RxPackets), activity.FactPackets)
	counted(colTxPackets, int64(e.TxPackets), activity.FactPackets)
	counted(colDuration, e.Duration, activity.FactDuration)
	c[colRTT].some(row, int64(e.RTT))
	c[colRetransmits].some(row, int64(e.Retransmits))
}

func getHolders(d *decoder, e *activity.Event, v parquet.Value) {
	var ids []uint64
	d.fail(json.Unmarshal(v.ByteArray(), &ids))
	for _, id := range ids {
		e.Holders = append(e.Holders, d.processID(id))
	}
}

// holdersText is the JSON of getHolders.
func holdersText(ps []*activity.Process) string {
	b := []byte{'['}
	for i, p := range ps {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(p.ID), 10)
	}
	return string(append(b, ']'))
}

// eventColumns lists the columns in the order of eventSchema.
func eventColumns() []eventColumn {
	type E = activity.Event
	type V = parquet.Value
	return []eventColumn{
		{"time", func(_ *decoder, e *E, v V) { e.Time = v.Int64() }},
		{"epoch", func(*decoder, *E, V) {}}, // the segment writer's and the reader's own
		{"seq", func(_ *decoder, e *E, v V) { e.Seq = v.Uint64() }},
		{"booted", func(_ *decoder, e *E, v V) { e.Boot = uint64(e.Time - v.Int64()) }},
		{"kind", func(d *decoder, e *E, v V) { e.Kind = wordOf(d, v, parseKind) }},
		{"proto", func(d *decoder, e *E, v V) { e.Proto = wordOf(d, v, parseProto) }},
		{"local_ip", func(d *decoder, e *E, v V) { e.Local = netip.AddrPortFrom(d.addr(v), e.Local.Port()) }},
		{"local_port", func(_ *decoder, e *E, v V) { e.Local = netip.AddrPortFrom(e.Local.Addr(), uint16(v.Uint32())) }},
		{"remote_ip", func(d *decoder, e *E, v V) { e.Remote = netip.AddrPortFrom(d.addr(v), e.Remote.Port()) }},
		{"remote_port", func(_ *decoder, e *E, v V) { e.Remote = netip.AddrPortFrom(e.Remote.Addr(), uint16(v.Uint32())) }},
		{"service_port", func(*decoder, *E, V) {}},
		{"pid", func(_ *decoder, e *E, v V) { e.Owner.PID = v.Uint32() }},
		{"process", getProcess},
		{"owner_start", func(_ *decoder, e *E, v V) { e.Owner.Start = v.Uint64() }},
		{"role", func(d *decoder, e *E, v V) { e.Role = wordOf(d, v, activity.ParseRole) }},
		{"netns", func(_ *decoder, e *E, v V) { e.NetNS = v.Uint32() }},
		{"socket", func(_ *decoder, e *E, v V) { e.Socket = v.Uint64() }},
		{"rx", func(_ *decoder, e *E, v V) { e.Rx = v.Uint64() }},
		{"tx", func(_ *decoder, e *E, v V) { e.Tx = v.Uint64() }},
		{"rx_packets", func(_ *decoder, e *E, v V) { e.RxPackets = v.Uint64() }},
		{"tx_packets", func(_ *decoder, e *E, v V) { e.TxPackets = v.Uint64() }},
		{"duration_ns", func(_ *decoder, e *E, v V) { e.Duration = v.Int64() }},
		{"rtt_us", func(_ *decoder, e *E, v V) { e.RTT = v.Uint32() }},
		{"retransmits", func(_ *decoder, e *E, v V) { e.Retransmits = v.Uint32() }},
		{"reason", func(d *decoder, e *E, v V) { e.Reason = wordOf(d, v, activity.ParseReason) }},
		{"errno", func(_ *decoder, e *E, v V) { e.Errno = uint16(v.Uint32()) }},
		{"closer", func(_ *decoder, e *E, v V) { e.Closer = v.Uint32() }},
		{"holder", func(d *decoder, e *E, v V) { e.Holder = d.process(v) }},
		{"holders", getHolders},
		{"tier", func(d *decoder, e *E, v V) { e.Tier = wordOf(d, v, activity.ParseTier) }},
		{"provenance", func(d *decoder, e *E, v V) { e.Provenance = wordOf(d, v, activity.ParseProvenance) }},
		{"flags", func(_ *decoder, e *E, v V) { e.Flags = activity.Flags(v.Uint32()) }},
		{"unknown", func(_ *decoder, e *E, v V) { e.Unknown = activity.Facts(v.Uint32()) }},
		{"coverage", getCoverage},
	}
}

// parseKind reads a kind's word; the zero kind's is empty.
func parseKind(s string) (activity.Kind, error) {
	if s == "" {
		return activity.KindNone, nil
	}
	return activity.ParseKind(s)
}

// getProcess comes after pid and before owner_start.
func getProcess(d *decoder, e *activity.Event, v parquet.Value) {
	e.Process = d.process(v)
	if e.Owner.PID != 0 && e.Process.Key.PID == e.Owner.PID {
		e.Owner = e.Process.Key
	}
}
