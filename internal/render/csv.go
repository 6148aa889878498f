package render

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// The CSV forms are RFC 4180: a header, CRLF, and quotes where a field needs
// them. Columns have the JSON names, dotted. An empty field is one that does
// not apply or is not known; column "unknown" tells which facts are not. Lists
// are JSON arrays in one field. Text is verbatim: a spreadsheet may take a
// field that begins with "=" for a formula.

// cell appends one field, not yet quoted.
type cell[T any] struct {
	name   string
	append func(b []byte, v T, opt *Options) []byte
}

// CSV writes events or sockets as CSV. Its zero value is not usable; see
// EventCSV and SocketCSV. It is not safe for concurrent use.
type CSV[T any] struct {
	cells []cell[T]
	opt   Options
	field []byte // scratch
}

// EventCSV returns a writer of events.
func EventCSV(opt Options) *CSV[*activity.Event] {
	return &CSV[*activity.Event]{cells: eventCells(), opt: opt}
}

// SocketCSV returns a writer of sockets.
func SocketCSV(opt Options) *CSV[*activity.Socket] {
	return &CSV[*activity.Socket]{cells: socketCells(), opt: opt}
}

// Interest adds a last column with what find says of each value: as in JSON.
// The column is empty where nothing was found.
func (c *CSV[T]) Interest(find func(T) []activity.Finding) *CSV[T] {
	c.cells = append(c.cells, cell[T]{"interest", func(b []byte, v T, _ *Options) []byte {
		if found := find(v); len(found) > 0 {
			b = appendFindings(b, found)
		}
		return b
	}})
	return c
}

// AppendHeader appends the line of column names.
func (c *CSV[T]) AppendHeader(b []byte) []byte {
	for i := range c.cells {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.cells[i].name...)
	}
	return append(b, '\r', '\n')
}

// Append appends v as one record.
func (c *CSV[T]) Append(b []byte, v T) []byte {
	for i := range c.cells {
		if i > 0 {
			b = append(b, ',')
		}
		c.field = c.cells[i].append(c.field[:0], v, &c.opt)
		b = appendField(b, c.field)
	}
	return append(b, '\r', '\n')
}

// appendField appends a field, in quotes when it holds what RFC 4180 section 2
// asks them for, any other control character, or a space at an end.
func appendField(b, f []byte) []byte {
	quote := len(f) > 0 && (f[0] == ' ' || f[len(f)-1] == ' ')
	for _, c := range f {
		quote = quote || c < ' ' || c == '"' || c == ',' || c == 0x7f
	}
	if !quote {
		return append(b, f...)
	}
	b = append(b, '"')
	for _, c := range f {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

type (
	event  = *activity.Event
	socket = *activity.Socket
)

func uintIf(b []byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(b, n, 10)
}

func uintFact(b []byte, f fact, n uint64) []byte {
	if f != present {
		return b
	}
	return strconv.AppendUint(b, n, 10)
}

func ipOf(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return a.Addr().AppendTo(b)
}

func portOf(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	return strconv.AppendUint(b, uint64(a.Port()), 10)
}

func csvTime(b []byte, ns int64) []byte {
	if ns == 0 {
		return b
	}
	return time.Unix(0, ns).UTC().AppendFormat(b, time.RFC3339Nano)
}

func flagOf(b []byte, f, bit activity.Flags) []byte {
	if f&bit == 0 {
		return b
	}
	return append(b, "true"...)
}

func eventCells() []cell[event] {
	cells := []cell[event]{
		{"v", func(b []byte, _ event, _ *Options) []byte { return append(b, '1') }},
		{"time", func(b []byte, e event, _ *Options) []byte {
			return time.Unix(0, e.Time).UTC().AppendFormat(b, time.RFC3339Nano)
		}},
		{"seq", func(b []byte, e event, _ *Options) []byte { return strconv.AppendUint(b, e.Seq, 10) }},
		{"host", func(b []byte, _ event, o *Options) []byte { return append(b, o.Host...) }},
		{"kind", func(b []byte, e event, _ *Options) []byte { return append(b, e.Kind.String()...) }},
		{"proto", func(b []byte, e event, _ *Options) []byte { return append(b, protoWord(e.Proto)...) }},
		{"local.ip", func(b []byte, e event, _ *Options) []byte { return ipOf(b, e.Local) }},
		{"local.port", func(b []byte, e event, _ *Options) []byte { return portOf(b, e.Local) }},
		{"remote.ip", func(b []byte, e event, _ *Options) []byte { return ipOf(b, e.Remote) }},
		{"remote.port", func(b []byte, e event, _ *Options) []byte { return portOf(b, e.Remote) }},
	}
	for i, name := range flagNames() {
		if name != "" {
			cells = append(cells, cell[event]{name, func(b []byte, e event, _ *Options) []byte { return flagOf(b, e.Flags, 1<<i) }})
		}
	}
	cells = append(cells,
		cell[event]{"netns", func(b []byte, e event, _ *Options) []byte { return uintIf(b, uint64(e.NetNS)) }},
		cell[event]{"socket", func(b []byte, e event, _ *Options) []byte { return uintIf(b, e.Socket) }},
		cell[event]{"tier", func(b []byte, e event, _ *Options) []byte { return append(b, e.Tier.String()...) }},
		cell[event]{"provenance", func(b []byte, e event, _ *Options) []byte { return append(b, e.Provenance.String()...) }},
		cell[event]{"role", func(b []byte, e event, _ *Options) []byte { return append(b, e.Role.String()...) }})
	cells = append(cells, processCells("process", func(e event) (activity.ProcessKey, *activity.Process) { return e.Owner, known(e.Process) })...)
	cells = append(cells,
		cell[event]{"holder.pid", func(b []byte, e event, _ *Options) []byte {
			if h := known(e.Holder); h != nil {
				return uintIf(b, uint64(h.Key.PID))
			}
			return b
		}},
		cell[event]{"holder.name", func(b []byte, e event, _ *Options) []byte {
			if h := known(e.Holder); h != nil {
				return append(b, h.Name...)
			}
			return b
		}},
		cell[event]{"holders", func(b []byte, e event, _ *Options) []byte { return pids(b, e.Holders) }})
	return append(cells, endingCells()...)
}

func endingCells() []cell[event] {
	return []cell[event]{
		{"rx", func(b []byte, e event, _ *Options) []byte { return uintFact(b, bytesFact(e), e.Rx) }},
		{"tx", func(b []byte, e event, _ *Options) []byte { return uintFact(b, bytesFact(e), e.Tx) }},
		{"rx_packets", func(b []byte, e event, _ *Options) []byte { return uintFact(b, packetsFact(e), e.RxPackets) }},
		{"tx_packets", func(b []byte, e event, _ *Options) []byte { return uintFact(b, packetsFact(e), e.TxPackets) }},
		{"duration_ns", func(b []byte, e event, _ *Options) []byte {
			if durationFact(e) != present {
				return b
			}
			return strconv.AppendInt(b, e.Duration, 10)
		}},
		{"rtt_us", func(b []byte, e event, _ *Options) []byte { return uintIf(b, uint64(e.RTT)) }},
		{"retransmits", func(b []byte, e event, _ *Options) []byte {
			return uintFact(b, retransmitsFact(e), uint64(e.Retransmits))
		}},
		{"closer", func(b []byte, e event, _ *Options) []byte { return uintIf(b, uint64(e.Closer)) }},
		{"reset", func(b []byte, e event, _ *Options) []byte {
			if !hasReset(e) {
				return b
			}
			return strconv.AppendBool(b, e.Flags&activity.FlagReset != 0)
		}},
		{"errno", func(b []byte, e event, _ *Options) []byte { return uintIf(b, uint64(e.Errno)) }},
		{"reason", func(b []byte, e event, _ *Options) []byte {
			if e.Coverage != nil {
				return append(b, e.Coverage.Reason...)
			}
			return append(b, e.Reason.String()...)
		}},
		{"from", coverageCell(func(b []byte, c *activity.Coverage) []byte { return csvTime(b, c.From) })},
		{"to", coverageCell(func(b []byte, c *activity.Coverage) []byte { return csvTime(b, c.To) })},
		{"lost", coverageCell(func(b []byte, c *activity.Coverage) []byte {
			if c.LostTotal() == 0 {
				return b
			}
			return appendLost(b, c)
		})},
		{"missing", coverageCell(func(b []byte, c *activity.Coverage) []byte { return kindList(b, c.Missing) })},
		{"detail", coverageCell(func(b []byte, c *activity.Coverage) []byte { return append(b, c.Detail...) })},
		{"unknown", func(b []byte, e event, _ *Options) []byte { return unknownFacts(b, e.Unknown) }},
	}
}

func coverageCell(f func([]byte, *activity.Coverage) []byte) func([]byte, event, *Options) []byte {
	return func(b []byte, e event, _ *Options) []byte {
		if e.Coverage == nil {
			return b
		}
		return f(b, e.Coverage)
	}
}

// processCells are the columns of an owner.
func processCells[T any](prefix string, of func(T) (activity.ProcessKey, *activity.Process)) []cell[T] {
	text := func(name string, f func([]byte, *activity.Process) []byte) cell[T] {
		return cell[T]{prefix + "." + name, func(b []byte, v T, _ *Options) []byte {
			if _, p := of(v); p != nil {
				return f(b, p)
			}
			return b
		}}
	}
	id := func(name string, f func(*activity.Process) uint32) cell[T] {
		return text(name, func(b []byte, p *activity.Process) []byte {
			if f(p) == activity.NoID {
				return b
			}
			return strconv.AppendUint(b, uint64(f(p)), 10)
		})
	}
	str := func(name string, f func(*activity.Process) string) cell[T] {
		return text(name, func(b []byte, p *activity.Process) []byte { return append(b, f(p)...) })
	}
	return []cell[T]{
		{prefix + ".pid", func(b []byte, v T, _ *Options) []byte {
			k, p := of(v)
			return uintIf(b, uint64(ownerPID(k, p)))
		}},
		text("start", func(b []byte, p *activity.Process) []byte { return csvTime(b, p.Start) }),
		str("name", func(p *activity.Process) string { return p.Name }),
		str("exe", func(p *activity.Process) string { return p.Exe }),
		text("args", func(b []byte, p *activity.Process) []byte {
			if p.Args == nil {
				return b
			}
			return appendStrings(b, p.Args)
		}),
		str("cwd", func(p *activity.Process) string { return p.Cwd }),
		text("ppid", func(b []byte, p *activity.Process) []byte { return uintIf(b, uint64(p.Parent().Key.PID)) }),
		str("parent", func(p *activity.Process) string { return p.Parent().Name }),
		id("uid", func(p *activity.Process) uint32 { return p.UID }),
		str("user", func(p *activity.Process) string { return p.User }),
		id("euid", func(p *activity.Process) uint32 { return p.EUID }),
		str("euser", func(p *activity.Process) string { return p.EffectiveUser }),
		id("login_uid", func(p *activity.Process) uint32 { return p.LoginUID }),
		str("login", func(p *activity.Process) string { return p.LoginUser }),
		str("sha256", func(p *activity.Process) string { return p.ExeSHA256 }),
		str("package", func(p *activity.Process) string { return p.ExePackage }),
		str("unit", func(p *activity.Process) string { return p.Unit.Name }),
		str("container.runtime", func(p *activity.Process) string { return p.Container.Runtime }),
		str("container.id", func(p *activity.Process) string { return p.Container.ID }),
		str("container.name", func(p *activity.Process) string { return p.Container.Name }),
		str("container.image", func(p *activity.Process) string { return p.Container.Image }),
		str("container.pod", func(p *activity.Process) string { return p.Container.Pod }),
	}
}

func socketCells() []cell[socket] {
	cells := []cell[socket]{
		{"v", func(b []byte, _ socket, _ *Options) []byte { return append(b, '1') }},
		{"host", func(b []byte, _ socket, o *Options) []byte { return append(b, o.Host...) }},
		{"proto", func(b []byte, s socket, _ *Options) []byte { return append(b, protoWord(s.Proto)...) }},
		{"state", func(b []byte, s socket, _ *Options) []byte { return append(b, s.State.String()...) }},
		{"local.ip", func(b []byte, s socket, _ *Options) []byte { return ipOf(b, s.Local) }},
		{"local.port", func(b []byte, s socket, _ *Options) []byte { return portOf(b, s.Local) }},
		{"remote.ip", func(b []byte, s socket, _ *Options) []byte { return ipOf(b, s.Remote) }},
		{"remote.port", func(b []byte, s socket, _ *Options) []byte { return portOf(b, s.Remote) }},
		{"since", func(b []byte, s socket, _ *Options) []byte { return csvTime(b, s.Since) }},
		{"netns", func(b []byte, s socket, _ *Options) []byte { return uintIf(b, uint64(s.NetNS)) }},
		{"socket", func(b []byte, s socket, _ *Options) []byte { return uintIf(b, s.Cookie) }},
		{"tier", func(b []byte, s socket, _ *Options) []byte { return append(b, s.Tier.String()...) }},
		{"provenance", func(b []byte, s socket, _ *Options) []byte { return append(b, s.Provenance.String()...) }},
		{"role", func(b []byte, s socket, _ *Options) []byte { return append(b, s.Role.String()...) }},
	}
	cells = append(cells, processCells("process", func(s socket) (activity.ProcessKey, *activity.Process) { return s.Owner, known(s.Process) })...)
	return append(cells,
		cell[socket]{"holders", func(b []byte, s socket, _ *Options) []byte { return pids(b, s.Others) }},
		cell[socket]{"backlog", func(b []byte, s socket, _ *Options) []byte {
			if s.State != activity.StateListen {
				return b
			}
			return strconv.AppendUint(b, uint64(s.Backlog), 10)
		}},
		cell[socket]{"rx", func(b []byte, s socket, _ *Options) []byte { return uintIf(b, s.Rx) }},
		cell[socket]{"tx", func(b []byte, s socket, _ *Options) []byte { return uintIf(b, s.Tx) }})
}

// pids appends the process numbers as a JSON array, nothing for none.
func pids(b []byte, ps []*activity.Process) []byte {
	for i, p := range ps {
		b = append(b, "[,"[min(i, 1)])
		if p == nil {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendUint(b, uint64(p.Key.PID), 10)
		}
	}
	if len(ps) > 0 {
		b = append(b, ']')
	}
	return b
}

func kindList(b []byte, ks []activity.Kind) []byte {
	for i, k := range ks {
		b = append(b, "[,"[min(i, 1)])
		b = append(append(append(b, '"'), k.String()...), '"')
	}
	if len(ks) > 0 {
		b = append(b, ']')
	}
	return b
}

// factNames are the facts that may be unknown, in the order of their bits.
func factNames() [11]string {
	return [11]string{"owner", "bytes", "packets", "duration", "rtt", "retransmits", "reason", "closer", "local", "remote", "holder"}
}

func unknownFacts(b []byte, f activity.Facts) []byte {
	first := true
	for i, name := range factNames() {
		if f>>i&1 == 0 {
			continue
		}
		if !first {
			b = append(b, ' ')
		}
		first = false
		b = append(b, name...)
	}
	return b
}
