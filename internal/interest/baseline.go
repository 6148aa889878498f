package interest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// The bounds of a baseline. A program with more listeners or destinations than
// these has no habits to depart from (a browser, a resolver, a test runner):
// nothing is new of it. Of a host with more programs, those that do not fit are
// not judged.
const (
	maxPrograms     = 4096
	maxListeners    = 64
	maxDestinations = 256
)

// baselineVersion is the "v" of a stored baseline.
const baselineVersion = 1

// Baseline is what each program listened on and called over some time. A
// program is known by its executable. It is built by Learn, stored by Encode and
// read by DecodeBaseline; while nothing learns it may be used concurrently.
type Baseline struct {
	From, To int64 // UTC ns: the time that it was learnt from

	programs map[string]*habits
	full     bool // there were more programs than fit
}

// habits is what one program does.
type habits struct {
	listens  map[port]scope // how far each was open
	calls    map[call]struct{}
	anyPort  bool // more listeners than fit
	anywhere bool // more destinations than fit
}

type port struct {
	proto activity.Proto
	port  uint16
}

type call struct {
	proto activity.Proto
	to    netip.AddrPort
}

// NewBaseline returns an empty one, to learn the time from from to to, UTC ns.
func NewBaseline(from, to int64) *Baseline {
	return &Baseline{From: from, To: to, programs: map[string]*habits{}}
}

// Learn takes note of what e's process does.
func (b *Baseline) Learn(e *activity.Event) {
	l, listens := listens(e)
	c, calls := calls(e)
	name := program(e.Process)
	if name == "" || !listens && !calls {
		return
	}
	h := b.programs[name]
	if h == nil {
		if len(b.programs) >= maxPrograms {
			b.full = true
			return
		}
		h = newHabits()
		b.programs[name] = h
	}
	if listens {
		h.listen(l, scopeOf(e.Local.Addr()))
	}
	if calls {
		h.call(c)
	}
}

func newHabits() *habits { return &habits{listens: map[port]scope{}, calls: map[call]struct{}{}} }

// listen takes note of a port, or gives up on a program with too many of them:
// passive FTP, test suites, whatever takes the next free port.
func (h *habits) listen(l port, s scope) {
	_, known := h.listens[l]
	switch {
	case h.anyPort:
	case !known && len(h.listens) >= maxListeners:
		h.anyPort, h.listens = true, map[port]scope{}
	default:
		h.listens[l] = max(h.listens[l], s)
	}
}

// call takes note of a destination, or gives up on a program with too many.
func (h *habits) call(c call) {
	_, known := h.calls[c]
	switch {
	case h.anywhere || known:
	case len(h.calls) >= maxDestinations:
		h.anywhere, h.calls = true, map[call]struct{}{}
	default:
		h.calls[c] = struct{}{}
	}
}

// listens tells the port that an event shows its process to have open. A UDP
// port that the kernel picked is a client's.
func listens(e *activity.Event) (port, bool) {
	p := port{e.Proto, e.Local.Port()}
	switch e.Kind {
	case activity.KindListen:
		return p, true
	case activity.KindBind:
		return p, e.Flags&activity.FlagAutoBind == 0 && p.port != 0
	case activity.KindSnapshot:
		return p, foundListening(e)
	}
	return p, false
}

// foundListening reports whether a snapshot is that of a listener: it has no
// remote end, however that is written.
func foundListening(e *activity.Event) bool {
	return e.Kind == activity.KindSnapshot && e.Proto == activity.TCP && e.Remote.Port() == 0 && e.Local.Port() != 0
}

// calls tells where an event shows its process to call out to.
func calls(e *activity.Event) (call, bool) {
	switch e.Kind {
	case activity.KindConnect, activity.KindConnectFailed:
	case activity.KindFlow:
		if inbound(e) {
			return call{}, false
		}
	default:
		return call{}, false
	}
	c := call{e.Proto, netip.AddrPortFrom(e.Remote.Addr().WithZone(""), e.Remote.Port())}
	return c, c.to.IsValid() && c.to.Port() != 0
}

// judges returns the habits to compare e with; nil when the baseline says
// nothing about it: it is from before, or of a program that did not fit.
func (b *Baseline) judges(e *activity.Event) *habits {
	if b == nil || e.Time != 0 && e.Time < b.From {
		return nil
	}
	h := b.programs[program(e.Process)]
	if h == nil && !b.full {
		h = newHabits() // it did nothing then
	}
	return h
}

// newListener reports whether e is of a listener that its program did not have.
func (b *Baseline) newListener(e *activity.Event) bool {
	l, ok := listens(e)
	if !ok {
		return false
	}
	h := b.judges(e)
	if h == nil || h.anyPort {
		return false
	}
	_, known := h.listens[l]
	return !known
}

// newDestination reports whether e calls where its program did not.
func (b *Baseline) newDestination(e *activity.Event) bool {
	c, ok := calls(e)
	if !ok {
		return false
	}
	h := b.judges(e)
	if h == nil || h.anywhere {
		return false
	}
	_, known := h.calls[c]
	return !known
}

// scope returns how far a listener was open; scopeNone when that is not known.
func (b *Baseline) scope(l listener) scope {
	if b == nil || b.programs[l.program] == nil {
		return scopeNone
	}
	return b.programs[l.program].listens[port{l.proto, l.port}]
}

// Programs counts the programs that it knows.
func (b *Baseline) Programs() int { return len(b.programs) }

// stored is a baseline as JSON, ordered, so that two of them can be compared
// with diff(1).
type stored struct {
	V        int             `json:"v"`
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Full     bool            `json:"full,omitempty"`
	Programs []storedProgram `json:"programs"`
}

type storedProgram struct {
	Program  string   `json:"program"`
	Listens  []string `json:"listens,omitempty"` // "tcp/8080 loopback"
	Calls    []string `json:"calls,omitempty"`   // "tcp/192.0.2.1:443"
	AnyPort  bool     `json:"any_port,omitempty"`
	Anywhere bool     `json:"anywhere,omitempty"`
}

// Encode returns the form in which it is stored: JSON, a line for each program.
func (b *Baseline) Encode() []byte {
	out := fmt.Appendf(nil, `{"v":%d,"from":%q,"to":%q,"full":%v,"programs":[`, baselineVersion, stamp(b.From), stamp(b.To), b.full)
	for i, name := range slices.Sorted(maps.Keys(b.programs)) {
		if i > 0 {
			out = append(out, ',')
		}
		line, _ := json.Marshal(b.programs[name].store(name)) // texts and flags: it cannot fail
		out = append(append(out, '\n'), line...)
	}
	return append(out, "\n]}\n"...)
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// store writes one program's habits, in order.
func (h *habits) store(name string) storedProgram {
	p := storedProgram{Program: name, AnyPort: h.anyPort, Anywhere: h.anywhere}
	for _, l := range slices.SortedFunc(maps.Keys(h.listens), func(a, b port) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	}) {
		p.Listens = append(p.Listens, fmt.Sprintf("%s/%d %s", l.proto, l.port, h.listens[l]))
	}
	for _, c := range slices.SortedFunc(maps.Keys(h.calls), func(a, b call) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), a.to.Compare(b.to))
	}) {
		p.Calls = append(p.Calls, fmt.Sprintf("%s/%s", c.proto, c.to))
	}
	return p
}

// DecodeBaseline reads what Encode wrote.
func DecodeBaseline(data []byte) (*Baseline, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	if s.V != baselineVersion {
		return nil, fmt.Errorf("baseline: version %d, and only %d is known: learn it again", s.V, baselineVersion)
	}
	if len(s.Programs) > maxPrograms {
		return nil, fmt.Errorf("baseline: %d programs, more than %d", len(s.Programs), maxPrograms)
	}
	b := NewBaseline(s.From.UnixNano(), s.To.UnixNano())
	b.full = s.Full
	for _, p := range s.Programs {
		h, err := p.load()
		if err != nil {
			return nil, fmt.Errorf("baseline: %s: %w", strconv.Quote(p.Program), err)
		}
		b.programs[p.Program] = h
	}
	return b, nil
}

// load reads them again. Files may be edited: a program with more than fits is
// told, not cut short.
func (p *storedProgram) load() (*habits, error) {
	if len(p.Listens) > maxListeners || len(p.Calls) > maxDestinations {
		return nil, errors.New("more listeners or destinations than a baseline holds")
	}
	h := newHabits()
	h.anyPort, h.anywhere = p.AnyPort, p.Anywhere
	for _, text := range p.Listens {
		l, s, err := parseListen(text)
		if err != nil {
			return nil, err
		}
		h.listens[l] = s
	}
	for _, text := range p.Calls {
		proto, to, _ := strings.Cut(text, "/")
		pr, err := activity.ParseProto(proto)
		if err != nil {
			return nil, err
		}
		addr, err := netip.ParseAddrPort(to)
		if err != nil {
			return nil, err
		}
		h.calls[call{pr, addr}] = struct{}{}
	}
	return h, nil
}

// parseListen reads "tcp/8080 loopback".
func parseListen(text string) (l port, s scope, err error) {
	where, word, _ := strings.Cut(text, " ")
	proto, number, _ := strings.Cut(where, "/")
	if l.proto, err = activity.ParseProto(proto); err != nil {
		return l, s, err
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return l, s, fmt.Errorf("listener %q: %w", text, err)
	}
	for s = scopeLoopback; s <= scopeEverywhere; s++ {
		if s.String() == word {
			return port{l.proto, uint16(n)}, s, nil
		}
	}
	return l, s, fmt.Errorf("listener %q: unknown scope %q", text, word)
}
