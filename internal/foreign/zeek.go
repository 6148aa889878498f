package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/netip"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// conn is a record of conn.log: the fields that we take, as Zeek's "Conn::Info"
// names them (base/protocols/conn/main.zeek). Unset ones are empty.
type conn struct {
	ts                   int64 // UTC ns
	orig, resp           netip.AddrPort
	proto                string
	duration             int64 // ns, -1 unset
	origBytes, respBytes int64 // payload, -1 unset
	origPkts, respPkts   int64 // -1 unset
	state                string
	localOrig, localResp int8 // 1 yes, -1 no, 0 unset
}

var (
	errNoFields = errors.New("no #fields line before")
	errColumns  = errors.New("not as many columns as #fields names")
	errTime     = errors.New("bad ts")
	errAddr     = errors.New("bad address or port")
	errNotConn  = errors.New("no conn record: id.orig_h, id.resp_h or proto is missing")
)

// zeekEvents reads conn.log in either of its forms, line by line.
func zeekEvents(in *Input, opt Options) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		l := lines{r: in.r}
		t := newTSV()
		var e [2]activity.Event // a connection's beginning and its end
		for {
			line, err := l.next()
			if err == io.EOF {
				return
			}
			if err != nil && err != errLongLine {
				yield(nil, err)
				return
			}
			var c conn
			if err == nil {
				err = t.record(line, &c)
			}
			if err == errNoRecord {
				continue
			}
			var other pathError
			if errors.As(err, &other) {
				yield(nil, err)
				return
			}
			if err != nil {
				if !yield(nil, lineError(l.number, line, err)) {
					return
				}
				continue
			}
			for i := range c.events(&e, opt) {
				if !yield(&e[i], nil) {
					return
				}
			}
		}
	}
}

// errNoRecord says that a line is understood and holds no record.
var errNoRecord = errors.New("no record")

// set puts a field's text into c. Fields that we do not take are no error.
func (c *conn) set(name string, v []byte) (err error) {
	switch name {
	case "ts":
		c.ts, err = parseTS(v)
	case "id.orig_h":
		c.orig, err = withAddr(c.orig, v)
	case "id.resp_h":
		c.resp, err = withAddr(c.resp, v)
	case "id.orig_p":
		c.orig, err = withPort(c.orig, v)
	case "id.resp_p":
		c.resp, err = withPort(c.resp, v)
	case "proto":
		c.proto = string(v)
	case "conn_state":
		c.state = string(v)
	case "duration":
		c.duration, err = parseInterval(v)
	case "orig_bytes":
		c.origBytes, err = parseCount(v)
	case "resp_bytes":
		c.respBytes, err = parseCount(v)
	case "orig_pkts":
		c.origPkts, err = parseCount(v)
	case "resp_pkts":
		c.respPkts, err = parseCount(v)
	case "local_orig":
		c.localOrig = truth(v)
	case "local_resp":
		c.localResp = truth(v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func truth(v []byte) int8 {
	if string(v) == "T" || string(v) == "true" {
		return 1
	}
	return -1
}

// withAddr and withPort fill one half of an end: the columns come in any order.
// Zones are names of the sensor's interfaces, and say nothing here.
func withAddr(a netip.AddrPort, v []byte) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(string(v))
	if err != nil {
		return a, errAddr
	}
	return netip.AddrPortFrom(ip.WithZone("").Unmap(), a.Port()), nil
}

func withPort(a netip.AddrPort, v []byte) (netip.AddrPort, error) {
	n, err := strconv.ParseUint(string(v), 10, 16)
	if err != nil {
		return a, errAddr
	}
	return netip.AddrPortFrom(a.Addr(), uint16(n)), nil
}

// parseCount reads Zeek's count, an unsigned 64-bit number. One that a signed
// number does not hold is no count of bytes that any link has carried.
func parseCount(v []byte) (int64, error) {
	n, err := strconv.ParseUint(string(v), 10, 63)
	if err != nil {
		return 0, errors.New("bad number")
	}
	return int64(n), nil
}

// parseInterval reads seconds with a fraction.
func parseInterval(v []byte) (int64, error) {
	n, ok := seconds(v)
	if !ok || n < 0 {
		return 0, errors.New("bad duration")
	}
	return n, nil
}

// seconds reads a decimal number of seconds as ns, exactly: a float64 holds an
// instant of our time to 200 ns only.
func seconds(v []byte) (ns int64, ok bool) {
	whole, frac, _ := bytes.Cut(v, []byte("."))
	// JSON writers may use an exponent for very small and very large numbers.
	if bytes.ContainsAny(v, "eE") {
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.Abs(f) > 9e9 || math.IsNaN(f) {
			return 0, false
		}
		return int64(f * 1e9), true
	}
	// 9e9 seconds are 285 years: what int64 holds in ns, counted from 1970.
	s, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || s < -9e9 || s > 9e9 || len(frac) > 30 {
		return 0, false
	}
	scale := int64(1e8)
	for _, d := range frac {
		if d < '0' || d > '9' {
			return 0, false
		}
		ns += int64(d-'0') * scale // 0 from the tenth digit on
		scale /= 10
	}
	if len(v) > 0 && v[0] == '-' {
		ns = -ns
	}
	return s*1e9 + ns, true
}

// whole checks what every record has.
func (c *conn) whole() error {
	switch {
	case c.ts == 0:
		return errTime
	case !c.orig.Addr().IsValid(), !c.resp.Addr().IsValid(), c.proto == "":
		return errNotConn
	}
	return nil
}

// view is a connection as one end's host sees it.
type view struct {
	local, remote    netip.AddrPort
	inbound          bool
	rx, tx           int64
	rxPkts, txPkts   int64
	concluded, other bool // which end is the host is concluded; neither is
}

// end chooses the host's end: that which Options.Local has, else the only one
// that Zeek says is local, else the one that began.
func (c *conn) end(opt Options) view {
	resp := c.localResp > 0 && c.localOrig <= 0
	v := view{concluded: c.localOrig <= 0 && c.localResp <= 0}
	if opt.Local != nil {
		orig := contains(opt.Local, c.orig.Addr())
		resp = !orig && contains(opt.Local, c.resp.Addr())
		v.concluded, v.other = false, !orig && !resp
	}
	if resp {
		v.local, v.remote, v.inbound = c.resp, c.orig, true
		v.rx, v.tx, v.rxPkts, v.txPkts = c.origBytes, c.respBytes, c.origPkts, c.respPkts
	} else {
		v.local, v.remote = c.orig, c.resp
		v.rx, v.tx, v.rxPkts, v.txPkts = c.respBytes, c.origBytes, c.respPkts, c.origPkts
	}
	return v
}

func contains(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// events makes one or two events of a connection, and returns those of es that it
// used.
func (c *conn) events(es *[2]activity.Event, opt Options) []activity.Event {
	v := c.end(opt)
	proto, err := activity.ParseProto(c.proto)
	switch {
	case err != nil: // icmp, unknown_transport
		opt.Skipped.Other++
		return nil
	case v.other:
		opt.Skipped.Foreign++
		return nil
	}
	// No process is ever named: Zeek sees packets.
	first := &es[0]
	*first = activity.Event{Time: c.ts, Proto: proto, Tier: activity.TierImport, Local: v.local, Remote: v.remote, Unknown: activity.FactOwner}
	if v.inbound {
		first.Flags |= activity.FlagInbound
	}
	if v.concluded {
		first.Flags |= activity.FlagConcluded
	}
	if proto == activity.UDP && !(v.inbound && c.state == "REJ") { // which is ours for an answer by ICMP
		first.Kind = activity.KindFlow
		return es[:1+c.ending(es, v, activity.KindFlowEnd)]
	}
	return es[:c.tcp(es, v)]
}

// tcp tells a TCP connection by its conn_state, and returns how many events that
// takes. The states are those of base/protocols/conn/main.zeek.
func (c *conn) tcp(es *[2]activity.Event, v view) int {
	first := &es[0]
	switch c.state {
	case "S0", "SH", "RSTOS0", "REJ":
		first.Kind, first.Reason = activity.KindConnectFailed, activity.ReasonTimedOut
		switch c.state {
		case "REJ":
			first.Reason = activity.ReasonRefused
		case "RSTOS0":
			first.Reason = activity.ReasonAborted
		}
		first.Duration = max(c.duration, 0)
		if c.duration < 0 {
			first.Unknown |= activity.FactDuration
		}
		if v.inbound { // an attempt from outside that nothing here took
			first.Kind, first.Reason, first.Duration = activity.KindKnock, activity.ReasonNone, 0
			first.Unknown &^= activity.FactDuration | activity.FactOwner
		}
		return 1
	case "OTH", "SHR", "RSTRH": // seen from the middle on
		first.Kind, first.Provenance = activity.KindSnapshot, activity.Snapshotted
		first.Flags |= activity.FlagTruncated
	default:
		first.Kind = activity.KindConnect
		if v.inbound {
			first.Kind = activity.KindAccept
		}
	}
	return 1 + c.ending(es, v, activity.KindClose)
}

// ended reports whether Zeek saw the connection's end.
func (c *conn) ended() bool { return c.state == "SF" || c.state == "RSTO" || c.state == "RSTR" }

// ending makes the second event of the first, if there is an end on record.
func (c *conn) ending(es *[2]activity.Event, v view, kind activity.Kind) int {
	if c.duration < 0 && v.rx < 0 && v.tx < 0 && !c.ended() {
		return 0
	}
	first, e := &es[0], &es[1]
	*e = activity.Event{Kind: kind, Time: c.ts + max(c.duration, 0), Proto: first.Proto, Tier: first.Tier, Local: first.Local, Remote: first.Remote,
		Flags: first.Flags, Unknown: first.Unknown, Duration: max(c.duration, 0), Rx: uint64(max(v.rx, 0)), Tx: uint64(max(v.tx, 0)),
		RxPackets: uint64(max(v.rxPkts, 0)), TxPackets: uint64(max(v.txPkts, 0))}
	// Zeek leaves a counter unset where it lost count of one side; half of what
	// was sent is not the bytes of a connection, so both are unknown then.
	unknown := func(f activity.Facts, when bool) {
		if when {
			e.Unknown |= f
		}
	}
	unknown(activity.FactDuration, c.duration < 0)
	unknown(activity.FactBytes, v.rx < 0 || v.tx < 0)
	unknown(activity.FactPackets, v.rxPkts < 0 || v.txPkts < 0)
	if kind == activity.KindFlowEnd { // Zeek's own time-out, which is not ours
		unknown(activity.FactReason, true)
		return 1
	}
	// history would tell who sent the first FIN; no process could be named by it.
	e.Unknown |= activity.FactCloser | activity.FactRTT | activity.FactRetransmits
	switch c.state {
	case "RSTO", "RSTR", "RSTRH":
		e.Flags |= activity.FlagReset
		e.Reason = activity.ReasonReset
	case "SF":
		e.Reason = activity.ReasonClosed
	default: // the last that Zeek saw of it, and no end
		e.Provenance = activity.Inferred
		e.Unknown |= activity.FactReason
	}
	return 1
}
