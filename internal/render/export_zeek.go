package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// zeekExport writes conn.log: a row for each connection, when it has ended. It
// remembers those that are open, for the rows of those that do not end.
type zeekExport struct {
	opt  Options
	open map[zeekKey]activity.Event
}

type zeekKey struct {
	proto         activity.Proto
	local, remote netip.AddrPort
	netns         uint32
}

// maxZeekOpen bounds the connections that are remembered; the rows of others
// that do not end are missing.
const maxZeekOpen = 1 << 18

func newZeek(opt Options) *zeekExport {
	return &zeekExport{opt: opt, open: make(map[zeekKey]activity.Event)}
}

// zeekFields are conn.log's columns (Conn::Info of Zeek 6.0,
// scripts/base/protocols/conn/main.zeek), that of policy/protocols/conn/
// community-id-logging, and then ours, which Zeek cannot know.
func zeekFields() [][2]string {
	return [][2]string{{"ts", "time"}, {"uid", "string"}, {"id.orig_h", "addr"}, {"id.orig_p", "port"}, {"id.resp_h", "addr"}, {"id.resp_p", "port"},
		{"proto", "enum"}, {"service", "string"}, {"duration", "interval"}, {"orig_bytes", "count"}, {"resp_bytes", "count"}, {"conn_state", "string"},
		{"local_orig", "bool"}, {"local_resp", "bool"}, {"missed_bytes", "count"}, {"history", "string"}, {"orig_pkts", "count"}, {"orig_ip_bytes", "count"},
		{"resp_pkts", "count"}, {"resp_ip_bytes", "count"}, {"tunnel_parents", "set[string]"}, {"community_id", "string"},
		{"pid", "count"}, {"process", "string"}, {"exe", "string"}, {"user", "string"}}
}

func (z *zeekExport) AppendHeader(b []byte) []byte {
	b = append(b, "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields"...)
	for _, f := range zeekFields() {
		b = append(append(b, '\t'), f[0]...)
	}
	b = append(b, "\n#types"...)
	for _, f := range zeekFields() {
		b = append(append(b, '\t'), f[1]...)
	}
	return append(b, '\n')
}

// Append appends the row of a connection that e ends. A beginning has none yet.
func (z *zeekExport) Append(b []byte, e *activity.Event) []byte {
	k := zeekKey{e.Proto, e.Local, e.Remote, e.NetNS}
	switch e.Kind {
	case activity.KindConnect, activity.KindAccept, activity.KindFlow, activity.KindSnapshot:
		if e.Remote.IsValid() && e.Remote.Port() != 0 && len(z.open) < maxZeekOpen {
			z.open[k] = *e
		}
		return b
	case activity.KindClose, activity.KindFlowEnd: // a flow that goes on after it was idle begins anew
		delete(z.open, k)
	}
	return z.row(b, e, zeekState(e))
}

// AppendFooter appends the rows of what is still open, in the order in which it
// began.
func (z *zeekExport) AppendFooter(b []byte) []byte {
	var rest []activity.Event
	for _, e := range z.open {
		rest = append(rest, e)
	}
	clear(z.open)
	slices.SortFunc(rest, func(a, b activity.Event) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Seq, b.Seq), a.Local.Compare(b.Local), a.Remote.Compare(b.Remote))
	})
	for i := range rest {
		state := "S1"
		switch {
		case rest[i].Kind == activity.KindSnapshot:
			state = "OTH"
		case rest[i].Kind == activity.KindFlow: // as far as is known by then
			state = "S0"
		}
		b = z.row(b, &rest[i], state)
	}
	return b
}

// zeekState is conn_state, "" for an event that is no connection on the wire.
func zeekState(e *activity.Event) string {
	switch e.Kind {
	case activity.KindClose:
		// Who sent the RST is the one that closed, as far as is known.
		local := e.Closer != 0 && e.Flags&activity.FlagPeerFirst == 0
		switch {
		case e.Flags&activity.FlagReset != 0 && local != inbound(e):
			return "RSTO"
		case e.Flags&activity.FlagReset != 0:
			return "RSTR"
		case e.Provenance == activity.Inferred:
			return "S1"
		}
		return "SF"
	case activity.KindFlowEnd:
		return zeekFlowState(e)
	case activity.KindKnock:
		return "REJ"
	case activity.KindConnectFailed:
		switch e.Reason {
		case activity.ReasonRefused, activity.ReasonReset, activity.ReasonProtoUnreachable:
			return "REJ"
		case activity.ReasonAborted:
			return "RSTOS0"
		case activity.ReasonDenied, activity.ReasonInvalid, activity.ReasonNotSent, activity.ReasonNoPortsLeft, activity.ReasonNoSuchAddress,
			activity.ReasonAddressInUse, activity.ReasonNetUnreachable:
			return "" // no packet left this host
		}
		return "S0"
	}
	return ""
}

// zeekFlowState tells which ends sent: for UDP that is all that Zeek knows too.
func zeekFlowState(e *activity.Event) string {
	sent, answered := e.Tx|e.TxPackets != 0, e.Rx|e.RxPackets != 0
	if inbound(e) {
		sent, answered = answered, sent
	}
	switch {
	case answered && !sent:
		return "SHR"
	case !answered:
		return "S0"
	}
	return "SF"
}

// row appends one line. What only a sensor on the wire can know is unset: service,
// history, missed_bytes, the IP bytes, and whether the peer is local too.
func (z *zeekExport) row(b []byte, e *activity.Event, state string) []byte {
	orig, resp := ends(e)
	if state == "" || !orig.IsValid() || !resp.IsValid() {
		return b
	}
	start := cmp.Or(began(e), e.Time)
	b = appendZeekTime(b, start)
	b = append(append(b, '\t'), zeekUID(z.opt.Host, e, start)...)
	for _, end := range [...]netip.AddrPort{orig, resp} {
		b = append(append(b, '\t'), addrText(end)...)
		b = strconv.AppendUint(append(b, '\t'), uint64(end.Port()), 10)
	}
	b = append(append(b, '\t'), protoWord(e.Proto)...)
	b = append(b, "\t-\t"...)
	if e.Kind.Ends() && durationFact(e) == present && e.Duration >= 0 {
		b = appendZeekTime(b, e.Duration)
	} else {
		b = append(b, '-')
	}
	sent, received, sentPackets, receivedPackets := e.Tx, e.Rx, e.TxPackets, e.RxPackets
	local := "T\t-"
	if inbound(e) {
		sent, received, sentPackets, receivedPackets = received, sent, receivedPackets, sentPackets
		local = "-\tT"
	}
	b = zeekCount(zeekCount(b, bytesFact(e), sent), bytesFact(e), received)
	b = append(append(b, '\t'), state...)
	b = append(append(b, '\t'), local...)
	b = append(b, "\t-\t-"...)
	b = append(zeekCount(b, packetsFact(e), sentPackets), "\t-"...)
	b = append(zeekCount(b, packetsFact(e), receivedPackets), "\t-\t-"...)
	b = zeekText(b, communityID(e))
	return append(zeekOwner(b, e), '\n')
}

// zeekOwner appends our own columns: whose the connection was.
func zeekOwner(b []byte, e *activity.Event) []byte {
	p := known(e.Process)
	b = zeekCount(b, is(e, activity.FactOwner, ownerPID(e.Owner, p) != 0, false), uint64(ownerPID(e.Owner, p)))
	if p == nil {
		return append(b, "\t-\t-\t-"...)
	}
	return zeekText(zeekText(zeekText(b, p.Name), p.Exe), p.User)
}

// appendZeekTime appends ns as seconds, to the microsecond as Zeek does.
func appendZeekTime(b []byte, ns int64) []byte {
	us := time.Duration(ns).Microseconds()
	b = strconv.AppendInt(b, us/1e6, 10)
	frac := us % 1e6
	b = append(b, '.')
	for scale := int64(1e5); scale > 0; scale /= 10 {
		b = append(b, byte('0'+frac/scale%10))
	}
	return b
}

func zeekCount(b []byte, f fact, n uint64) []byte {
	b = append(b, '\t')
	if f != present {
		return append(b, '-')
	}
	return strconv.AppendUint(b, n, 10)
}

// zeekText appends a text as Zeek's ASCII writer does: what is not printable, the
// backslash, and what would read as unset are escaped, invalid UTF-8 too.
func zeekText(b []byte, s string) []byte {
	b = append(b, '\t')
	switch s {
	case "":
		return append(b, '-')
	case "-", "(empty)":
		b = append(b, '\\', 'x', hexDigits[s[0]>>4], hexDigits[s[0]&15])
		s = s[1:]
	}
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '\\' {
			b = append(b, c)
		} else {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// zeekUID is a connection's uid: as Zeek's a C and 17 characters, and always the
// same for the same connection.
func zeekUID(host string, e *activity.Event, start int64) string {
	in := append([]byte(host), 0)
	// A TCP socket is one connection; a UDP one has many flows, told by their begin.
	in = binary.LittleEndian.AppendUint64(in, e.Socket)
	if e.Socket == 0 || e.Proto != activity.TCP {
		in = binary.LittleEndian.AppendUint64(in, uint64(start))
	}
	in, _ = e.Local.AppendBinary(in)  // both have no error
	in, _ = e.Remote.AppendBinary(in) //
	sum := sha256.Sum256(append(in, byte(e.Proto)))
	out := [18]byte{'C'}
	for i := range out[1:] {
		out[1+i] = base62[int(sum[i])%len(base62)]
	}
	return string(out[:])
}
