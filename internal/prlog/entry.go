package prlog

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// PortLines writes lines of PR-PORTS one after the other, as export does; its
// zero value has times in UTC.
type PortLines struct {
	Location *time.Location
	sec      int64
	stamp    []byte
}

// AppendHead appends the head of a log that stands alone.
func (l *PortLines) AppendHead(b []byte) []byte {
	return append(b, versionLine+titlePorts+"\n\nLog format:\n"+columnLine+"\n\n"...)
}

// Append appends e's line, nothing for an event that PR-PORTS has none for.
func (l *PortLines) Append(b []byte, e *activity.Event) []byte {
	switch e.Kind {
	case activity.KindListen, activity.KindBind:
	case activity.KindAccept, activity.KindConnect:
		if e.Proto != activity.TCP {
			return b
		}
	default:
		return b
	}
	b = append(b, l.stampOf(e.Time)...)
	b = append(append(b, ','), strings.ToUpper(e.Proto.String())...)
	b = append(b, ',')
	if e.Local.IsValid() {
		b = strconv.AppendUint(b, uint64(e.Local.Port()), 10)
	}
	b = appendAddr(append(b, ','), e.Local.Addr())
	switch {
	case e.Kind == activity.KindBind:
		b = append(b, ",*,*,"...)
	case e.Kind == activity.KindListen:
		b = append(appendAddr(append(b, ",,"...), anyAddr(e.Local.Addr())), ',')
	case !e.Remote.IsValid():
		b = append(b, ",,,"...)
	default:
		b = strconv.AppendUint(append(b, ','), uint64(e.Remote.Port()), 10)
		b = append(appendAddr(append(b, ','), e.Remote.Addr()), ',')
	}
	if pid, ok := pidOf(e); ok {
		b = strconv.AppendUint(b, uint64(pid), 10)
	}
	b = appendText(append(b, ','), imageName(e.Process), true)
	b = appendText(append(b, ",<"...), userName(e.Process), true)
	return append(b, ">\n"...)
}

// stampOf formats a time, which most entries share with the one before.
func (l *PortLines) stampOf(ns int64) []byte {
	if sec := ns / 1e9; sec != l.sec || l.stamp == nil {
		loc := l.Location
		if loc == nil {
			loc = time.UTC
		}
		l.sec = sec
		l.stamp = appendStamp(l.stamp[:0], time.Unix(sec, 0).In(loc))
	}
	return l.stamp
}

// record is e's line in PR-PORTS.
func (w *Writer) record(e *activity.Event) []byte {
	w.scratch = w.lines.Append(w.scratch[:0], e)
	return w.scratch
}

// pidOf prefers the kernel's word, which is there where the process's facts could
// not be read any more.
func pidOf(e *activity.Event) (uint32, bool) {
	if e.Owner.IsZero() && e.Process != nil {
		return e.Process.Key.PID, true
	}
	return e.Owner.PID, !e.Owner.IsZero()
}

// section is e's section in PR-PIDS.
func (w *Writer) section(e *activity.Event, table func(uint32) []activity.Socket, modules func(activity.ModuleSetID) *activity.ModuleSet) []byte {
	b := append(w.scratch[:0], "\n"+rule+"\n\n"+lineNumber...)
	b = strconv.AppendUint(b, w.number, 10)
	b = append(append(b, "\n\n"+lineRecorded...), w.lines.stampOf(e.Time)...)
	if w.lostNow > 0 {
		b = strconv.AppendUint(append(b, "\n\n"+lineLost...), w.lostNow, 10)
	}
	b = append(b, "\n\n"+rule+"\n\n"...)
	pid, known := pidOf(e)
	b = appendProcess(b, pid, known, e.Process)
	s := w.remember(e.Process)
	b = w.sectionTable(b, s, e, pid, known, table)
	w.scratch = w.sectionModules(b, s, e.Process, modules)
	return w.scratch
}

// remember returns what the set says of p already, or of nobody.
func (w *Writer) remember(p *activity.Process) *seen {
	if p == nil {
		return &seen{}
	}
	s := w.seen[p.ID]
	if s == nil {
		if len(w.seen) >= maxSeen {
			clear(w.seen)
			clear(w.moduleLog)
		}
		s = &seen{}
		w.seen[p.ID] = s
	}
	return s
}

// sectionTable writes the process's whole table, or only e's own row where the
// whole one was written in the same second, which is as exact as the log is, or
// few sections ago. So the recorder is asked for a process's table once a second
// at most, and n sections of a process with up to n ports are O(n) rows. Writing
// it every time, as the original did, is O(n^2): 3000 connections to one server
// were 4.5 million rows.
func (w *Writer) sectionTable(b []byte, s *seen, e *activity.Event, pid uint32, known bool, table func(uint32) []activity.Socket) []byte {
	own := socketOf(e)
	s.sections++
	second := e.Time / 1e9
	short := s.table != 0 && (s.second == second || s.rows > manyRows && s.sections <= s.rows)
	if short && w.cfg.Modules != "every" {
		b = strconv.AppendUint(append(b, lineTableAt...), s.table, 10)
		b = append(b, ", and:\n"...)
		return append(appendRow(strconv.AppendUint(b, uint64(pid), 10), &own), '\n')
	}
	var socks []activity.Socket
	if table != nil && known {
		socks = slices.Clone(table(pid))
	}
	// The recorder's table may be ahead of e, or behind: e's socket may have been
	// closed since, and is shown all the same.
	same := func(k activity.Socket) bool {
		return k.Proto == own.Proto && k.Local == own.Local && (k.Remote == own.Remote || !own.Remote.IsValid() && k.Remote.Port() == 0)
	}
	if !slices.ContainsFunc(socks, same) {
		socks = append(socks, own)
	}
	for i := range socks {
		socks[i].Owner.PID = pid
	}
	sortSockets(socks)
	s.table, s.second, s.rows, s.sections = w.number, second, len(socks), 0
	return appendTable(b, pid, socks)
}

// socketOf is the mapping that e is about.
func socketOf(e *activity.Event) activity.Socket {
	s := activity.Socket{Proto: e.Proto, Local: e.Local, Remote: e.Remote, State: activity.StateEstablished}
	switch e.Kind {
	case activity.KindListen:
		s.State = activity.StateListen
	case activity.KindBind:
		s.State = activity.StateBound
	}
	return s
}

// sectionModules writes the module list, or where in this set it stands. Forked
// processes share a set with their parent.
func (w *Writer) sectionModules(b []byte, s *seen, p *activity.Process, modules func(activity.ModuleSetID) *activity.ModuleSet) []byte {
	if p == nil || p.Modules == 0 || modules == nil {
		return append(b, lineNoMods+"\n"...)
	}
	n, listed := w.moduleLog[p.Modules]
	if listed && w.cfg.Modules != "every" {
		words := sameNumber
		if s.modules == p.Modules {
			words = sinceNumber
		}
		s.modules = p.Modules
		return append(strconv.AppendUint(append(b, lineModules+" "+words...), n, 10), '\n')
	}
	m := modules(p.Modules)
	if m != nil {
		s.modules = p.Modules
		w.moduleLog[p.Modules] = w.number
	}
	return appendModules(b, p, m)
}
