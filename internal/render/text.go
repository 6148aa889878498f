package render

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Text writes events for people, one line each:
//
//	2026-11-24 20:41:50.191  accept  tcp  127.0.0.1:5001 <- 127.0.0.1:49188  python3[23155] root web.service
//
// An arrow shows who began; facts that are concluded or not known are said in
// words. It is not safe for concurrent use.
type Text struct {
	opt  Options
	pal  palette
	last int64  // the second that day holds
	day  []byte // "2026-11-24 20:41:50", formatted once a second
}

// NewText returns a writer of event lines.
func NewText(opt Options) *Text { return &Text{opt: opt, pal: newPalette(opt.Color)} }

// Append appends e as one line.
func (t *Text) Append(b []byte, e *activity.Event) []byte {
	b = t.time(b, e.Time)
	b = append(b, ' ', ' ')
	b = t.kind(b, e.Kind)
	if e.Kind.Coverage() {
		return append(t.coverage(b, e), '\n')
	}
	b = append(b, ' ', ' ')
	b = append(b, protoWord(e.Proto)...)
	b = append(b, ' ', ' ')
	b = appendEnds(b, e)
	b = t.owner(b, e)
	b = t.facts(b, e)
	return append(b, '\n')
}

// time appends the local time to the millisecond.
func (t *Text) time(b []byte, ns int64) []byte {
	sec, frac := ns/1e9, ns%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	if t.day == nil || sec != t.last {
		t.last, t.day = sec, time.Unix(sec, 0).In(t.opt.zone()).AppendFormat(t.day[:0], time.DateTime)
	}
	ms := frac / 1e6
	b = append(b, t.pal.dim.on...)
	b = append(b, t.day...)
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	return append(b, t.pal.dim.off...)
}

// kindWidth is the length of the longest kind that is not coverage.
const kindWidth = len("connect-failed")

func (t *Text) kind(b []byte, k activity.Kind) []byte {
	var p paint
	switch k {
	case activity.KindListen, activity.KindBind, activity.KindConnect, activity.KindAccept:
		p = t.pal.good
	case activity.KindBindFailed, activity.KindConnectFailed, activity.KindGap:
		p = t.pal.bad
	case activity.KindKnock:
		p = t.pal.note
	}
	b = append(b, p.on...)
	w := k.String()
	b = append(b, w...)
	b = append(b, p.off...)
	return pad(b, kindWidth-len(w))
}

func pad(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// appendEnds appends the address or both, with an arrow from who began it.
func appendEnds(b []byte, e *activity.Event) []byte {
	b = appendAddr(b, e.Local, e.Unknown&activity.FactLocal != 0)
	if !hasRemote(e.Remote) && e.Unknown&activity.FactRemote == 0 {
		return b
	}
	b = append(b, arrow(e)...)
	return appendAddr(b, e.Remote, e.Unknown&activity.FactRemote != 0)
}

func hasRemote(a netip.AddrPort) bool {
	return a.IsValid() && (a.Port() != 0 || !a.Addr().IsUnspecified())
}

func arrow(e *activity.Event) string {
	switch {
	case e.Kind == activity.KindAccept, e.Kind == activity.KindKnock, e.Flags&activity.FlagInbound != 0,
		e.Role == activity.RoleAcceptor, e.Role == activity.RoleListener:
		return " <- "
	case e.Kind == activity.KindSnapshot && e.Role != activity.RoleCreator:
		return " -- "
	}
	return " -> "
}

// appendAddr appends ADDRESS:PORT in the manner of ss(8): "*:80" is the IPv6
// wildcard, which takes IPv4 too unless told otherwise, and "0.0.0.0:80" IPv4's.
func appendAddr(b []byte, a netip.AddrPort, unknown bool) []byte {
	switch {
	case !a.IsValid() && unknown:
		return append(b, "unknown"...)
	case !a.IsValid():
		return append(b, '-')
	case a.Addr() == netip.IPv6Unspecified():
		b = append(b, '*')
	case a.Addr().Is6():
		b = append(b, '[')
		if z := a.Addr().Zone(); z != "" {
			b = append(a.Addr().WithZone("").AppendTo(b), '%')
			b = appendSafe(b, z)
		} else {
			b = a.Addr().AppendTo(b)
		}
		b = append(b, ']')
	default:
		b = a.Addr().AppendTo(b)
	}
	b = append(b, ':')
	if a.Port() == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(a.Port()), 10)
}

// owner appends "  name[pid] user unit container".
func (t *Text) owner(b []byte, e *activity.Event) []byte {
	p := known(e.Process)
	pid := ownerPID(e.Owner, p)
	if p == nil && pid == 0 {
		if e.Unknown&activity.FactOwner != 0 {
			b = append(b, "  "...)
			b = t.note(b, "owner unknown")
		}
		return b
	}
	b = append(b, "  "...)
	b = append(b, t.pal.name.on...)
	b = appendName(b, p)
	b = append(b, t.pal.name.off...)
	b = append(b, '[')
	b = strconv.AppendUint(b, uint64(pid), 10)
	b = append(b, ']')
	if p == nil {
		return b
	}
	b = appendUser(append(b, ' '), p)
	return appendPlace(b, p, " ")
}

func (t *Text) note(b []byte, words string) []byte {
	b = append(b, t.pal.note.on...)
	b = append(b, words...)
	return append(b, t.pal.note.off...)
}

// appendName appends the short name, or the executable's file name where the
// kernel cut the short one to 15 bytes.
func appendName(b []byte, p *activity.Process) []byte {
	if p == nil {
		return append(b, '?')
	}
	name := p.Name
	base := p.Exe[strings.LastIndexAny(p.Exe, `/\`)+1:]
	if name == "" || len(name) == 15 && strings.HasPrefix(base, name) {
		name = base
	}
	if name == "" {
		return append(b, '?')
	}
	return appendSafe(b, name)
}

func appendUser(b []byte, p *activity.Process) []byte {
	switch {
	case p.User != "":
		return appendSafe(b, p.User)
	case p.UID != activity.NoID:
		return strconv.AppendUint(append(b, "uid "...), uint64(p.UID), 10)
	}
	return append(b, '?')
}

// appendPlace appends the unit and the container that p runs in, each after
// sep: "ssh.service", "docker:web".
func appendPlace(b []byte, p *activity.Process, sep string) []byte {
	if p.Unit.Name != "" {
		b = append(b, sep...)
		b = appendSafe(b, p.Unit.Name)
		sep = " "
	}
	c := &p.Container
	name := c.Name
	if name == "" {
		name = c.Pod
	}
	if name == "" {
		name = c.ID[:min(len(c.ID), 12)]
	}
	if name == "" {
		return b
	}
	b = append(b, sep...)
	if c.Runtime != "" {
		b = append(appendSafe(b, c.Runtime), ':')
	}
	return appendSafe(b, name)
}

// list appends facts, comma separated after two spaces.
type list struct {
	b     []byte
	begun bool
}

func (l *list) next() {
	if l.begun {
		l.b = append(l.b, ", "...)
	} else {
		l.b = append(l.b, "  "...)
	}
	l.begun = true
}

func (l *list) words(ws ...string) {
	l.next()
	for _, w := range ws {
		l.b = append(l.b, w...)
	}
}

func (l *list) number(n uint64, what string) {
	l.next()
	l.b = strconv.AppendUint(l.b, n, 10)
	l.b = append(l.b, what...)
}

// facts appends how a thing ended, why it failed, and how far it is known.
func (t *Text) facts(b []byte, e *activity.Event) []byte {
	l := list{b: b}
	l.outcome(e, t)
	l.counters(e)
	if e.RTT != 0 {
		l.words("rtt ")
		l.b = appendDuration(l.b, int64(e.RTT)*1000)
	}
	if e.Retransmits != 0 {
		l.number(uint64(e.Retransmits), " retransmitted")
	}
	l.closer(e)
	if n := len(e.Holders); n > 0 {
		l.number(uint64(n), " more hold it")
	}
	if e.Flags&activity.FlagNotAccepted != 0 {
		l.words("not accepted")
	}
	if e.Flags&activity.FlagMPTCP != 0 {
		l.words("mptcp")
	}
	l.doubts(e, t)
	return l.b
}

func (l *list) outcome(e *activity.Event, t *Text) {
	if e.Reason != 0 {
		l.next()
		p := paint{}
		if !e.Kind.Ends() {
			p = t.pal.bad
		}
		l.b = append(append(append(l.b, p.on...), e.Reason.String()...), p.off...)
		if e.Flags&activity.FlagConcluded != 0 {
			l.b = append(l.b, " (concluded)"...)
		}
	}
	if e.Flags&activity.FlagReset != 0 && e.Reason != activity.ReasonReset {
		l.words("reset")
	}
	if e.Errno != 0 && (e.Reason == 0 || e.Reason == activity.ReasonOther) {
		l.next()
		l.b = strconv.AppendUint(append(l.b, "errno "...), uint64(e.Errno), 10)
	}
	if h := known(e.Holder); h != nil {
		l.words("held by ")
		l.b = append(appendName(l.b, h), '[')
		l.b = append(strconv.AppendUint(l.b, uint64(h.Key.PID), 10), ']')
	}
}

func (l *list) counters(e *activity.Event) {
	if bytesFact(e) == present {
		l.words("in ")
		l.b = append(appendBytes(l.b, e.Rx), ", out "...)
		l.b = appendBytes(l.b, e.Tx)
	}
	if e.Proto == activity.UDP && packetsFact(e) == present {
		l.number(e.RxPackets, "+")
		l.b = append(strconv.AppendUint(l.b, e.TxPackets, 10), " datagrams"...)
	}
	if durationFact(e) == present {
		l.words("after ")
		l.b = appendDuration(l.b, e.Duration)
	}
}

func (l *list) closer(e *activity.Event) {
	switch {
	case e.Closer == 0:
	case e.Closer == ownerPID(e.Owner, e.Process):
		l.words("closed by it")
	default:
		l.next()
		l.b = strconv.AppendUint(append(l.b, "closed by pid "...), uint64(e.Closer), 10)
	}
}

// doubts says what is not known, and what nobody saw happen.
func (l *list) doubts(e *activity.Event, t *Text) {
	for i, name := range factNames() {
		if f := activity.Facts(1) << i; e.Unknown&f == 0 || f&(activity.FactOwner|activity.FactLocal|activity.FactRemote) != 0 {
			continue
		}
		l.next()
		l.b = append(l.b, t.pal.note.on...)
		l.b = append(append(l.b, name...), " unknown"...)
		l.b = append(l.b, t.pal.note.off...)
	}
	if e.Flags&activity.FlagTruncated != 0 {
		l.words("counted from later on")
	}
	switch {
	case e.Provenance == activity.Inferred:
		l.b = t.note(append(l.b, ' '), "(inferred)")
	case e.Provenance == activity.Snapshotted && e.Kind != activity.KindSnapshot:
		l.b = t.note(append(l.b, ' '), "(already there)")
	}
}

// coverage appends what a coverage record says.
func (t *Text) coverage(b []byte, e *activity.Event) []byte {
	c := e.Coverage
	if c == nil {
		return b
	}
	l := list{b: b}
	if c.Reason != "" {
		l.next()
		l.b = appendSafe(l.b, c.Reason)
	}
	if e.Kind == activity.KindGap && c.From != 0 && c.To != 0 {
		l.words("from ")
		l.b = time.Unix(0, c.From).In(t.opt.zone()).AppendFormat(l.b, time.DateTime)
		l.b = append(l.b, " to "...)
		l.b = time.Unix(0, c.To).In(t.opt.zone()).AppendFormat(l.b, time.DateTime)
	}
	for k, n := range c.Lost {
		if n != 0 {
			name := activity.Kind(k).String()
			if k == 0 {
				name = "of unknown kind"
			}
			l.words("lost ")
			l.b = append(strconv.AppendUint(l.b, n, 10), ' ')
			l.b = append(l.b, name...)
		}
	}
	if e.Tier != 0 {
		l.words(e.Tier.String())
	}
	if c.Detail != "" {
		l.next()
		l.b = appendSafe(l.b, c.Detail)
	}
	for i, k := range c.Missing {
		if i == 0 {
			l.words("cannot see ", k.String())
		} else {
			l.b = append(append(l.b, " or "...), k.String()...)
		}
	}
	return l.b
}
