package journal

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

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
	numColumns
)

// eventColumn moves one column's value from Parquet to an event. set gets a
// number, or for a column of text the text's index in the row group's
// dictionary; where word is given, the number that it makes of the text. It is
// not called for null.
type eventColumn struct {
	name string
	set  func(d *decoder, e *activity.Event, v int64)
	word func(text string) (uint8, error)
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

// decoder holds what making events of values needs. Texts are those of the row
// group's dictionaries, by column.
type decoder struct {
	lookup func(activity.ProcessID) *activity.Process
	texts  [numColumns][][]byte
	addrs  [numColumns][]netip.Addr // parsed so far
	err    error                    // first value that makes no sense
}

func (d *decoder) process(id int64) *activity.Process {
	if p := d.lookup(activity.ProcessID(id)); p != nil {
		return p
	}
	return &activity.Process{ID: activity.ProcessID(id), UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
}

func (d *decoder) addr(col int, i int64) netip.Addr {
	if len(d.addrs[col]) == 0 {
		d.addrs[col] = slices.Grow(d.addrs[col], len(d.texts[col]))[:len(d.texts[col])]
		clear(d.addrs[col])
	}
	a := &d.addrs[col][i]
	if !a.IsValid() {
		var err error
		*a, err = netip.ParseAddr(string(d.texts[col][i]))
		d.fail(err)
	}
	return *a
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// wordOf returns a column's word, from its parser: also one that a later version
// added and this one wrote as "#27".
func wordOf[T ~uint8](parse func(string) (T, error)) func(string) (uint8, error) {
	return func(s string) (uint8, error) {
		t, err := parse(s)
		if err == nil {
			return uint8(t), nil
		}
		var n uint8
		if _, e := fmt.Sscanf(s, "#%d", &n); e == nil {
			return n, nil
		}
		return 0, err
	}
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

func getHolders(d *decoder, e *activity.Event, v int64) {
	var ids []uint64
	d.fail(json.Unmarshal(d.texts[colHolders][v], &ids))
	for _, id := range ids {
		e.Holders = append(e.Holders, d.process(int64(id)))
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
	return []eventColumn{
		{name: "time", set: func(_ *decoder, e *E, v int64) { e.Time = v }},
		{name: "epoch", set: func(*decoder, *E, int64) {}}, // the segment writer's and the reader's own
		{name: "seq", set: func(_ *decoder, e *E, v int64) { e.Seq = uint64(v) }},
		{name: "booted", set: func(_ *decoder, e *E, v int64) { e.Boot = uint64(e.Time - v) }},
		{name: "kind", set: func(_ *decoder, e *E, v int64) { e.Kind = activity.Kind(v) }, word: wordOf(parseKind)},
		{name: "proto", set: func(_ *decoder, e *E, v int64) { e.Proto = activity.Proto(v) }, word: wordOf(parseProto)},
		{name: "local_ip", set: func(d *decoder, e *E, v int64) { e.Local = netip.AddrPortFrom(d.addr(colLocalIP, v), e.Local.Port()) }},
		{name: "local_port", set: func(_ *decoder, e *E, v int64) { e.Local = netip.AddrPortFrom(e.Local.Addr(), uint16(v)) }},
		{name: "remote_ip", set: func(d *decoder, e *E, v int64) {
			e.Remote = netip.AddrPortFrom(d.addr(colRemoteIP, v), e.Remote.Port())
		}},
		{name: "remote_port", set: func(_ *decoder, e *E, v int64) { e.Remote = netip.AddrPortFrom(e.Remote.Addr(), uint16(v)) }},
		{name: "service_port", set: func(*decoder, *E, int64) {}},
		{name: "pid", set: func(_ *decoder, e *E, v int64) { e.Owner.PID = uint32(v) }},
		{name: "process", set: getProcess},
		{name: "owner_start", set: func(_ *decoder, e *E, v int64) { e.Owner.Start = uint64(v) }},
		{name: "role", set: func(_ *decoder, e *E, v int64) { e.Role = activity.Role(v) }, word: wordOf(activity.ParseRole)},
		{name: "netns", set: func(_ *decoder, e *E, v int64) { e.NetNS = uint32(v) }},
		{name: "socket", set: func(_ *decoder, e *E, v int64) { e.Socket = uint64(v) }},
		{name: "rx", set: func(_ *decoder, e *E, v int64) { e.Rx = uint64(v) }},
		{name: "tx", set: func(_ *decoder, e *E, v int64) { e.Tx = uint64(v) }},
		{name: "rx_packets", set: func(_ *decoder, e *E, v int64) { e.RxPackets = uint64(v) }},
		{name: "tx_packets", set: func(_ *decoder, e *E, v int64) { e.TxPackets = uint64(v) }},
		{name: "duration_ns", set: func(_ *decoder, e *E, v int64) { e.Duration = v }},
		{name: "rtt_us", set: func(_ *decoder, e *E, v int64) { e.RTT = uint32(v) }},
		{name: "retransmits", set: func(_ *decoder, e *E, v int64) { e.Retransmits = uint32(v) }},
		{name: "reason", set: func(_ *decoder, e *E, v int64) { e.Reason = activity.Reason(v) }, word: wordOf(activity.ParseReason)},
		{name: "errno", set: func(_ *decoder, e *E, v int64) { e.Errno = uint16(v) }},
		{name: "closer", set: func(_ *decoder, e *E, v int64) { e.Closer = uint32(v) }},
		{name: "holder", set: func(d *decoder, e *E, v int64) { e.Holder = d.process(v) }},
		{name: "holders", set: getHolders},
		{name: "tier", set: func(_ *decoder, e *E, v int64) { e.Tier = activity.Tier(v) }, word: wordOf(activity.ParseTier)},
		{name: "provenance", set: func(_ *decoder, e *E, v int64) { e.Provenance = activity.Provenance(v) }, word: wordOf(activity.ParseProvenance)},
		{name: "flags", set: func(_ *decoder, e *E, v int64) { e.Flags = activity.Flags(v) }},
		{name: "unknown", set: func(_ *decoder, e *E, v int64) { e.Unknown = activity.Facts(v) }},
		{name: "coverage", set: getCoverage},
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
func getProcess(d *decoder, e *activity.Event, v int64) {
	e.Process = d.process(v)
	if e.Owner.PID != 0 && e.Process.Key.PID == e.Owner.PID {
		e.Owner = e.Process.Key
	}
}
