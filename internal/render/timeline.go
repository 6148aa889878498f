package render

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
)

// Timeline writes the story of one thing for people: a line for each entry, as
// Text writes events, with what came of it behind, and indented lines for who
// held a port and who talked to it. It is not safe for concurrent use.
type Timeline struct {
	Options
	Top int   // how many peers of a port are shown, the busiest; ten times as many entries of each other kind; 0 all
	End int64 // UTC ns at which the story ends; 0 now
}

// Append appends the entries in their order.
func (tl Timeline) Append(b []byte, entries []*analyse.Entry) []byte {
	t := NewText(tl.Options)
	shown, left := tl.choose(entries)
	if n := left[activity.KindListen]; n > 0 {
		b = tl.leftOut(b, n, "earlier port intervals")
	}
	for _, e := range shown {
		b = tl.line(b, t, e)
		b = tl.more(b, t, e)
	}
	if n := left[activity.KindConnect]; n > 0 {
		b = tl.leftOut(b, n, "less frequent entries")
	}
	return b
}

func (tl Timeline) leftOut(b []byte, n int, what string) []byte {
	b = append(b, "... and "...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(append(append(b, ' '), what...), ", with --top 0\n"...)
}

// choose leaves out what would bury the rest: the oldest of the ports, and the
// least frequent of what is counted.
func (tl Timeline) choose(all []*analyse.Entry) (shown []*analyse.Entry, left map[activity.Kind]int) {
	left = map[activity.Kind]int{}
	most := 10 * tl.Top
	var ports, counts []*analyse.Entry
	for _, e := range all {
		switch {
		case e.HoldsPort():
			ports = append(ports, e)
		case e.Kind != activity.KindGap:
			counts = append(counts, e)
		}
	}
	if tl.Top == 0 || len(ports) <= most && len(counts) <= most {
		return all, left
	}
	out := map[*analyse.Entry]bool{}
	if n := len(ports) - most; n > 0 {
		left[activity.KindListen] = n
		for _, e := range ports[:n] {
			out[e] = true
		}
	}
	if n := len(counts) - most; n > 0 {
		left[activity.KindConnect] = n
		slices.SortStableFunc(counts, func(a, b *analyse.Entry) int { return compareCounts(&b.Tally, &a.Tally) })
		for _, e := range counts[most:] {
			out[e] = true
		}
	}
	for _, e := range all {
		if !out[e] {
			shown = append(shown, e)
		}
	}
	return shown, left
}

func compareCounts(a, b *analyse.Tally) int {
	switch {
	case a.Count < b.Count:
		return -1
	case a.Count > b.Count:
		return 1
	}
	return 0
}

// line appends an entry's first line.
func (tl Timeline) line(b []byte, t *Text, e *analyse.Entry) []byte {
	b = t.time(b, e.From.At)
	b = t.kind(append(b, "  "...), e.Kind)
	l := list{b: b}
	switch {
	case e.Kind == activity.KindGap:
		l.words("until ")
		l.b = tl.when(l.b, e.To.At, e.From.At)
		l.b = appendSafe(append(l.b, ": "...), e.Why)
		return append(l.b, '\n')
	case e.Rest:
		l.words("others: ")
		l.b = append(strconv.AppendUint(l.b, e.Count, 10), " in all"...)
		return append(l.b, '\n')
	}
	b = append(append(b, "  "...), protoWord(e.Proto)...)
	b = append(b, "  "...)
	b = appendEntryEnds(b, e)
	b = t.owner(b, &activity.Event{Owner: e.Owner, Process: e.Process})
	l = list{b: b}
	if e.HoldsPort() {
		tl.interval(&l, t, e)
	} else {
		tl.counted(&l, t, e)
	}
	return append(l.b, '\n')
}

// appendEntryEnds appends the address or both; of an outbound connection only
// the remote one, as the local ports are many.
func appendEntryEnds(b []byte, e *analyse.Entry) []byte {
	ev := activity.Event{Kind: e.Kind, Local: e.Local, Remote: e.Remote, Flags: e.Flags}
	if e.Kind == activity.KindConnect {
		ev.Role = activity.RoleCreator
	}
	outbound := e.Kind == activity.KindConnect || e.Kind == activity.KindFlow && e.Flags&activity.FlagInbound == 0
	if (outbound || !e.Local.IsValid()) && hasRemote(e.Remote) {
		return appendAddr(append(b, arrow(&ev)[1:]...), e.Remote, false)
	}
	return appendEnds(b, &ev)
}

// when appends a time, without its date if that is the day of another.
func (tl Timeline) when(b []byte, at, other int64) []byte {
	w := time.Unix(0, at).In(tl.zone())
	from := len(b)
	b = w.AppendFormat(b, time.DateTime)
	if day := time.Unix(0, other).In(tl.zone()).Format(time.DateOnly); string(b[from:from+len(day)]) == day {
		b = append(b[:from], b[from+len(day)+1:]...)
	}
	return b
}

// interval says how well the beginning of a port is known, and its end.
func (tl Timeline) interval(l *list, t *Text, e *analyse.Entry) {
	switch {
	case e.From.Exact:
	case e.From.After != 0:
		l.words("begun unseen after ")
		l.b = tl.when(l.b, e.From.After, e.From.At)
	default:
		l.next()
		l.b = t.note(l.b, "already there")
	}
	switch {
	case e.To.IsZero() && tl.End == 0:
		l.words("still open, for ")
		l.b = appendDuration(l.b, tl.Now.UnixNano()-e.From.At)
	case e.To.IsZero():
		l.words("still open at ")
		l.b = tl.when(l.b, tl.End, e.From.At)
	case e.To.Exact:
		l.words("until ")
		l.b = appendDuration(append(tl.when(l.b, e.To.At, e.From.At), ", for "...), e.To.At-e.From.At)
	default:
		l.words("ended unseen by ")
		l.b = tl.when(l.b, e.To.At, e.From.At)
		if e.To.After > e.From.At {
			l.b = tl.when(append(l.b, ", after "...), e.To.After, e.From.At)
		}
	}
	if e.Flags&activity.FlagMPTCP != 0 {
		l.words("mptcp")
	}
}

// counted says how many of what an entry counts there were, and until when.
func (tl Timeline) counted(l *list, t *Text, e *analyse.Entry) {
	if e.Reason != 0 {
		l.next()
		l.b = append(append(append(l.b, t.pal.bad.on...), e.Reason.String()...), t.pal.bad.off...)
	}
	if h := known(e.Holder); h != nil {
		l.words("held by ")
		l.b = append(appendName(l.b, h), '[')
		l.b = append(strconv.AppendUint(l.b, uint64(h.Key.PID), 10), "] "...)
		l.b = appendUser(l.b, h)
	} else if e.Kind == activity.KindBindFailed && e.Reason == activity.ReasonAddressInUse {
		l.next()
		l.b = t.note(l.b, "holder unknown")
	}
	if e.Kind == activity.KindBindFailed || e.Kind == activity.KindConnectFailed || e.Kind == activity.KindKnock {
		if e.Count > 1 {
			l.number(e.Count, " times")
		}
	} else {
		l.tally(&e.Tally, countedThing(e))
	}
	if e.Processes > 1 {
		l.words("by ")
		l.b = strconv.AppendInt(l.b, int64(e.Processes), 10)
		l.b = append(l.b, " processes"...)
	}
	if e.Count > 1 && e.Open == 0 {
		l.words("until ")
		l.b = tl.when(l.b, e.Last, e.First)
	}
}

func countedThing(e *analyse.Entry) string {
	switch {
	case e.Kind == activity.KindFlow:
		return "exchange"
	case e.Kind == activity.KindBind:
		return "socket"
	}
	return "connection"
}

// tally appends "12 connections, in 3 kB, out 4 kB, 2 still open".
func (l *list) tally(n *analyse.Tally, thing string) {
	l.number(n.Count, " "+thing)
	if n.Count != 1 {
		l.b = append(l.b, 's')
	}
	if n.Rx|n.Tx != 0 {
		l.words("in ")
		l.b = append(appendBytes(l.b, n.Rx), ", out "...)
		l.b = appendBytes(l.b, n.Tx)
	}
	if n.Open > 0 {
		l.number(n.Open, " not ended")
	}
}

// more appends an entry's further lines: the program, and who talked to it.
func (tl Timeline) more(b []byte, t *Text, e *analyse.Entry) []byte {
	if !e.HoldsPort() {
		return b
	}
	b = t.command(b, known(e.Process))
	for i, p := range e.Others {
		b = append(b, [2]string{"    also held by ", ", "}[min(i, 1)]...)
		if p = known(p); p == nil {
			b = append(b, "unknown"...)
		} else {
			b = append(appendName(b, p), '[')
			b = append(strconv.AppendUint(b, uint64(p.Key.PID), 10), ']')
		}
		if i == len(e.Others)-1 {
			b = append(b, '\n')
		}
	}
	if e.Count == 0 {
		return b
	}
	thing := "connection"
	if e.Proto == activity.UDP {
		thing = "exchange"
	}
	if len(e.Peers) > 1 {
		l := list{b: append(b, "  "...)}
		l.tally(&e.Tally, thing)
		b = append(l.b, '\n')
	}
	return tl.peers(b, e, thing)
}

// command appends the executable and the command line, if they are known.
func (t *Text) command(b []byte, p *activity.Process) []byte {
	if p == nil || p.Exe == "" && len(p.Args) == 0 {
		return b
	}
	line := strings.Join(p.Args, " ")
	if len(p.Args) == 0 || p.Exe != "" && p.Args[0] != p.Exe {
		line = strings.TrimSpace(p.Exe + "  " + line)
	}
	const most = 200 // a command line may be 64 KiB and more
	cut := len(line) > most
	if cut {
		line = strings.ToValidUTF8(line[:most], "")
	}
	b = append(append(b, "    "...), t.pal.dim.on...)
	b = appendSafe(b, line)
	if cut {
		b = append(b, " ..."...)
	}
	return append(append(b, t.pal.dim.off...), '\n')
}

// peers appends who talked to a port, the busiest first.
func (tl Timeline) peers(b []byte, e *analyse.Entry, thing string) []byte {
	var rest analyse.Tally
	var others int
	for i := range e.Peers {
		p := &e.Peers[i]
		if !p.Addr.IsValid() || tl.Top > 0 && i >= tl.Top {
			others++
			rest.Count, rest.Open, rest.Rx, rest.Tx = rest.Count+p.Count, rest.Open+p.Open, rest.Rx+p.Rx, rest.Tx+p.Tx
			continue
		}
		b = append(b, "      "[:min(len(e.Peers), 2)*2+2]...)
		from := len(b)
		b = appendSafe(b, p.Addr.String())
		b = pad(b, 15-(len(b)-from))
		l := list{b: b}
		l.tally(&p.Tally, thing)
		l.b = tl.when(append(l.b, ", "...), p.First, e.From.At)
		if p.Last-p.First >= 1e9 {
			l.b = tl.when(append(l.b, " to "...), p.Last, p.First)
		}
		b = append(l.b, '\n')
	}
	if others > 0 {
		l := list{b: strconv.AppendInt(append(b, "      and "...), int64(others), 10)}
		l.b = append(l.b, " more:"...)
		l.tally(&rest, thing)
		b = append(l.b, '\n')
	}
	return b
}
