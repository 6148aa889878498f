package render

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// SchemaVersion is the "v" of every JSON line. docs/JSON.md is the schema;
// names are only ever added to it.
const SchemaVersion = 1

// AppendJSON appends e as one line of JSON. A field that does not apply is
// absent, one that is not known is null. The output is valid for every input:
// invalid UTF-8 becomes U+FFFD.
func AppendJSON(b []byte, e *activity.Event, opt Options) []byte {
	b = append(b, `{"v":1,"time":`...)
	b = appendTime(b, e.Time)
	b = appendUintField(b, "seq", e.Seq)
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	b = appendWord(b, "kind", e.Kind.String())
	if e.Proto != 0 {
		b = appendWord(b, "proto", protoWord(e.Proto))
	}
	b = appendEnd(b, "local", e.Local, e.Unknown&activity.FactLocal != 0)
	b = appendEnd(b, "remote", e.Remote, e.Unknown&activity.FactRemote != 0)
	b = appendFlags(b, e.Flags)
	b = appendSource(b, e.NetNS, e.Socket, e.Tier, e.Provenance, e.Role)
	b = appendOwner(b, e.Owner, e.Process, e.Unknown&activity.FactOwner != 0)
	b = appendHolders(b, e)
	b = appendCounters(b, e)
	b = appendOutcome(b, e)
	if e.Coverage != nil {
		b = appendCoverage(b, e.Coverage, e.Kind == activity.KindGap)
	}
	return append(b, '}', '\n')
}

// AppendSocketJSON appends s, as list shows it, as one line of JSON.
func AppendSocketJSON(b []byte, s *activity.Socket, opt Options) []byte {
	b = append(b, `{"v":1`...)
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	return append(appendSocketFields(b, s), '}', '\n')
}

func appendSocketFields(b []byte, s *activity.Socket) []byte {
	b = appendWord(b, "proto", protoWord(s.Proto))
	b = appendWord(b, "state", s.State.String())
	b = appendEnd(b, "local", s.Local, false)
	b = appendEnd(b, "remote", s.Remote, false)
	var f activity.Flags
	if s.Mapped {
		f |= activity.FlagMapped
	}
	if s.MPTCP {
		f |= activity.FlagMPTCP
	}
	if s.AutoBind {
		f |= activity.FlagAutoBind
	}
	b = appendFlags(b, f)
	b = appendTimeField(b, "since", s.Since)
	b = appendSource(b, s.NetNS, s.Cookie, s.Tier, s.Provenance, s.Role)
	if s.Inode != 0 {
		b = appendUintField(b, "inode", s.Inode)
	}
	b = appendIDField(b, "uid", s.UID)
	b = appendOwner(b, s.Owner, s.Process, !kernelOwned(s))
	b = appendSocketHolders(b, s)
	if s.State == activity.StateListen {
		b = appendUintField(b, "backlog", uint64(s.Backlog))
	}
	if s.Rx|s.Tx != 0 {
		b = appendUintField(b, "rx", s.Rx)
		b = appendUintField(b, "tx", s.Tx)
	}
	return b
}

// protoWord is Proto.String without its allocation for numbers that have none.
func protoWord(p activity.Proto) string {
	switch p {
	case activity.TCP:
		return "tcp"
	case activity.UDP:
		return "udp"
	}
	return p.String()
}

func appendKey(b []byte, name string) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' && b[n-1] != '[' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendNull(b []byte, name string) []byte { return append(appendKey(b, name), "null"...) }

func appendUintField(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(appendKey(b, name), n, 10)
}

func appendBool(b []byte, name string, v bool) []byte {
	return strconv.AppendBool(appendKey(b, name), v)
}

func appendStringField(b []byte, name, v string) []byte { return appendString(appendKey(b, name), v) }

// appendKnown appends a text whose empty value is "unknown".
func appendKnown(b []byte, name, v string) []byte {
	if v == "" {
		return appendNull(b, name)
	}
	return appendStringField(b, name, v)
}

// appendIf appends a text whose empty value is "none".
func appendIf(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return appendStringField(b, name, v)
}

// appendWord appends a word of the vocabulary, which needs no escape.
func appendWord(b []byte, name, w string) []byte {
	b = append(appendKey(b, name), '"')
	b = append(b, w...)
	return append(b, '"')
}

func appendIDField(b []byte, name string, id uint32) []byte {
	if id == activity.NoID {
		return appendNull(b, name)
	}
	return appendUintField(b, name, uint64(id))
}

func appendFact(b []byte, f fact, name string, n uint64) []byte {
	switch f {
	case present:
		return appendUintField(b, name, n)
	case unknown:
		return appendNull(b, name)
	}
	return b
}

// appendTime appends a quoted RFC 3339 time in UTC.
func appendTime(b []byte, ns int64) []byte {
	b = append(b, '"')
	b = time.Unix(0, ns).UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// appendTimeField appends a time, null when 0.
func appendTimeField(b []byte, name string, ns int64) []byte {
	if ns == 0 {
		return appendNull(b, name)
	}
	return appendTime(appendKey(b, name), ns)
}

func appendEnd(b []byte, name string, a netip.AddrPort, unknown bool) []byte {
	if !a.IsValid() {
		if unknown {
			return appendNull(b, name)
		}
		return b
	}
	b = append(appendKey(b, name), `{"ip":`...)
	if a.Addr().Zone() != "" {
		b = appendString(b, a.Addr().String()) // a zone is any text
	} else {
		b = append(a.Addr().AppendTo(append(b, '"')), '"')
	}
	return append(appendUintField(b, "port", uint64(a.Port())), '}')
}

func appendFlags(b []byte, f activity.Flags) []byte {
	if f&^activity.FlagReset == 0 {
		return b
	}
	for i, name := range flagNames() {
		if name != "" && f>>i&1 != 0 {
			b = appendBool(b, name, true)
		}
	}
	return b
}

func appendSource(b []byte, netns uint32, socket uint64, t activity.Tier, p activity.Provenance, r activity.Role) []byte {
	if netns != 0 {
		b = appendUintField(b, "netns", uint64(netns))
	}
	if socket != 0 {
		b = appendUintField(b, "socket", socket)
	}
	if t != 0 {
		b = appendWord(b, "tier", t.String())
	}
	b = appendWord(b, "provenance", p.String())
	if r != 0 {
		b = appendWord(b, "role", r.String())
	}
	return b
}

func appendCounters(b []byte, e *activity.Event) []byte {
	f := bytesFact(e)
	b = appendFact(b, f, "rx", e.Rx)
	b = appendFact(b, f, "tx", e.Tx)
	f = packetsFact(e)
	b = appendFact(b, f, "rx_packets", e.RxPackets)
	b = appendFact(b, f, "tx_packets", e.TxPackets)
	switch durationFact(e) {
	case present:
		b = strconv.AppendInt(appendKey(b, "duration_ns"), e.Duration, 10)
	case unknown:
		b = appendNull(b, "duration_ns")
	}
	b = appendFact(b, is(e, activity.FactRTT, e.RTT != 0, false), "rtt_us", uint64(e.RTT))
	return appendFact(b, retransmitsFact(e), "retransmits", uint64(e.Retransmits))
}

func appendOutcome(b []byte, e *activity.Event) []byte {
	b = appendFact(b, is(e, activity.FactCloser, e.Closer != 0, false), "closer", uint64(e.Closer))
	if hasReset(e) {
		b = appendBool(b, "reset", e.Flags&activity.FlagReset != 0)
	}
	if e.Errno != 0 {
		b = appendUintField(b, "errno", uint64(e.Errno))
	}
	if e.Coverage != nil {
		return b // its reason is a text of its own
	}
	if e.Reason != 0 {
		return appendWord(b, "reason", e.Reason.String())
	}
	if e.Unknown&activity.FactReason != 0 {
		return appendNull(b, "reason")
	}
	return b
}

func appendCoverage(b []byte, c *activity.Coverage, gap bool) []byte {
	if c.From != 0 {
		b = appendTimeField(b, "from", c.From)
	}
	if c.To != 0 {
		b = appendTimeField(b, "to", c.To)
	}
	if gap || c.LostTotal() != 0 {
		b = appendLost(appendKey(b, "lost"), c)
	}
	if len(c.Missing) > 0 {
		b = append(appendKey(b, "missing"), '[')
		for i, k := range c.Missing {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), k.String()...), '"')
		}
		b = append(b, ']')
	}
	b = appendIf(b, "reason", c.Reason)
	return appendIf(b, "detail", c.Detail)
}

// appendLost appends the losses by kind; those of an unknown kind are "unknown".
func appendLost(b []byte, c *activity.Coverage) []byte {
	b = append(b, '{')
	for k, n := range c.Lost {
		if n == 0 {
			continue
		}
		name := activity.Kind(k).String()
		if k == int(activity.KindNone) {
			name = "unknown"
		}
		b = appendUintField(b, name, n)
	}
	return append(b, '}')
}
