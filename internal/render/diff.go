package render

import (
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/analyse"
)

// AppendDiff appends the differences between two moments for people, as diff(1)
// marks them: "-" for what is gone, "+" for what is new, "~" for what changed,
// with a line for each field that did.
func AppendDiff(b []byte, changes []analyse.Change, opt Options) []byte {
	t := NewText(opt)
	for i := range changes {
		c := &changes[i]
		switch {
		case c.After == nil:
			b = t.port(b, '-', t.pal.bad, c.Before)
		case c.Before == nil:
			b = t.port(b, '+', t.pal.good, c.After)
		default:
			b = t.port(b, '~', t.pal.note, c.After)
			for i := range c.Fields {
				b = t.fieldChange(b, &c.Fields[i])
			}
		}
	}
	return b
}

// port appends "+ tcp  0.0.0.0:4444  nc[4121] eve  /usr/bin/nc, since ...".
func (t *Text) port(b []byte, mark byte, p paint, s *activity.Socket) []byte {
	b = append(append(append(b, p.on...), mark), p.off...)
	b = append(append(b, ' '), protoWord(s.Proto)...)
	b = appendAddr(append(b, "  "...), s.Local, true)
	b = t.owner(b, &activity.Event{Owner: s.Owner, Process: s.Process, Unknown: activity.FactOwner})
	l := list{b: b}
	if q := known(s.Process); q != nil && q.Exe != "" && mark != '~' {
		l.next()
		l.b = appendSafe(l.b, q.Exe)
	}
	if s.Since != 0 {
		l.words("since ")
		l.b = time.Unix(0, s.Since).In(t.opt.zone()).AppendFormat(l.b, time.DateTime)
	}
	return append(l.b, '\n')
}

// The width of the longest name of a field that changes.
const fieldWidth = len("container")

func (t *Text) fieldChange(b []byte, f *analyse.FieldChange) []byte {
	b = append(append(b, "    "...), f.Field...)
	b = pad(b, fieldWidth-len(f.Field)+2)
	b = appendFieldValue(b, f.Before)
	b = append(b, " -> "...)
	b = appendFieldValue(b, f.After)
	if f.Wider {
		b = t.note(append(b, "  "...), "more can reach it now")
	}
	return append(b, '\n')
}

// The longest value that is shown whole: a command line may be 64 KiB.
const maxFieldValue = 200

func appendFieldValue(b []byte, v string) []byte {
	switch {
	case v == "":
		return append(b, "none"...)
	case len(v) > maxFieldValue:
		return append(appendSafe(b, strings.ToValidUTF8(v[:maxFieldValue], "")), " ..."...)
	}
	return appendSafe(b, v)
}

// AppendDestinations appends new destinations for people: a line a program, with
// where it connects to beneath. Of each program the first top are shown; 0 is all.
func AppendDestinations(b []byte, all []analyse.Destination, top int, opt Options) []byte {
	t := NewText(opt)
	for len(all) > 0 {
		n := 1
		for n < len(all) && analyse.SameProgram(all[n].Process, all[0].Process) {
			n++
		}
		b = append(append(append(b, t.pal.good.on...), '+'), t.pal.good.off...)
		b = append(b, " new for"...)
		if known(all[0].Process) == nil {
			b = append(b, "  unknown"...)
		}
		b = append(t.owner(b, &activity.Event{Process: all[0].Process}), '\n')
		shown := n
		if top > 0 {
			shown = min(n, top)
		}
		for i := range all[:shown] {
			b = t.destination(b, &all[i])
		}
		if shown < n {
			b = strconv.AppendInt(append(b, "    and "...), int64(n-shown), 10)
			b = append(b, " more, with --top 0\n"...)
		}
		all = all[n:]
	}
	return b
}

func (t *Text) destination(b []byte, d *analyse.Destination) []byte {
	b = append(append(b, "    "...), protoWord(d.Proto)...)
	b = appendAddr(append(b, " -> "...), d.Remote, true)
	l := list{b: b}
	if d.Count > 1 {
		l.number(d.Count, " times")
		l.words("from ")
	} else {
		l.words("at ")
	}
	l.b = time.Unix(0, d.First).In(t.opt.zone()).AppendFormat(l.b, time.DateTime)
	if d.Count > 1 {
		l.b = time.Unix(0, d.Last).In(t.opt.zone()).AppendFormat(append(l.b, " to "...), time.DateTime)
	}
	return append(l.b, '\n')
}

// AppendChangeJSON appends a change as one line of JSON.
func AppendChangeJSON(b []byte, c *analyse.Change, opt Options) []byte {
	word := "changed"
	switch {
	case c.After == nil:
		word = "gone"
	case c.Before == nil:
		word = "new"
	}
	b = appendWord(append(b, `{"v":1`...), "change", word)
	if len(c.Fields) > 0 {
		b = append(appendKey(b, "fields"), '[')
		for i := range c.Fields {
			b = appendFieldChange(b, &c.Fields[i])
		}
		b = append(b, ']')
	}
	opt.Host = ""
	for _, side := range []struct {
		name string
		s    *activity.Socket
	}{{"before", c.Before}, {"after", c.After}} {
		if side.s != nil {
			b = append(appendSocketFields(append(appendKey(b, side.name), '{'), side.s), '}')
		}
	}
	return append(b, '}', '\n')
}

func appendFieldChange(b []byte, f *analyse.FieldChange) []byte {
	if b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	b = appendWord(append(b, '{'), "field", f.Field)
	b = appendKnown(appendKnown(b, "before", f.Before), "after", f.After)
	if f.Wider {
		b = appendBool(b, "wider", true)
	}
	return append(b, '}')
}

// AppendDestinationJSON appends a new destination as one line of JSON.
func AppendDestinationJSON(b []byte, d *analyse.Destination, opt Options) []byte {
	b = appendWord(append(b, `{"v":1`...), "change", "destination")
	if opt.Host != "" {
		b = appendStringField(b, "host", opt.Host)
	}
	b = appendWord(b, "proto", protoWord(d.Proto))
	b = appendEnd(b, "remote", d.Remote, true)
	b = appendOwner(b, activity.ProcessKey{}, d.Process, true)
	b = appendUintField(b, "count", d.Count)
	return append(appendTimeField(appendTimeField(b, "first", d.First), "last", d.Last), '}', '\n')
}
