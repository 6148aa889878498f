package truth

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxExamples bounds the examples that a report carries.
const maxExamples = 20

// wallSlack is how far a start given as wall time may be from its window: JSON
// carries no boot clock, and the wall clock is slewed.
const wallSlack = int64(200e6)

// Verifier compares events with a Log as they come; it keeps none of them.
type Verifier struct {
	log   *Log
	procs map[int]*Proc
	wants []Expect
	met   []bool
	next  []int32       // wants of the same key, a list; -1 ends it
	first map[key]int32 // head of the list
	rep   Report
}

// key is what matching goes by; the parts that a kind has no single answer for
// are left zero.
type key struct {
	kind          activity.Kind
	proto         activity.Proto
	local, remote netip.AddrPort
}

func makeKey(k activity.Kind, p activity.Proto, local, remote netip.AddrPort) key {
	local, remote = unmap(local), unmap(remote)
	switch k {
	case activity.KindListen, activity.KindUnlisten, activity.KindBindFailed:
		remote = netip.AddrPort{}
	case activity.KindBind, activity.KindUnbind:
		local, remote = netip.AddrPortFrom(netip.Addr{}, local.Port()), netip.AddrPort{}
	case activity.KindConnectFailed:
		local = netip.AddrPort{}
	case activity.KindFlow, activity.KindFlowEnd:
		local = netip.AddrPortFrom(netip.Addr{}, local.Port())
	}
	return key{k, p, local, remote}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// NewVerifier prepares to compare with log, which must not change meanwhile.
func NewVerifier(log *Log) *Verifier {
	v := &Verifier{log: log, procs: make(map[int]*Proc, len(log.Procs)), first: make(map[key]int32)}
	v.rep.Rows = make(map[Row]Count)
	for i := range log.Procs {
		v.procs[log.Procs[i].N] = &log.Procs[i]
	}
	for i := range log.Expects {
		v.want(log.Expects[i])
	}
	for i := range log.Exchanges {
		for x := range log.Exchanges[i].Expand() {
			v.want(x)
		}
	}
	return v
}

func (v *Verifier) want(x Expect) {
	k := makeKey(x.Kind, x.Proto, x.Local, x.Remote)
	head, ok := v.first[k]
	if !ok {
		head = -1
	}
	v.first[k] = int32(len(v.wants))
	v.wants = append(v.wants, x)
	v.met = append(v.met, false)
	v.next = append(v.next, head)
	if !x.May {
		v.count(&x, func(c *Count) { c.Made++ })
	}
}

func (v *Verifier) count(x *Expect, f func(*Count)) {
	r := Row{x.Kind, x.End}
	c := v.rep.Rows[r]
	f(&c)
	v.rep.Rows[r] = c
}

// Add takes one event, in any order. It keeps nothing of e.
func (v *Verifier) Add(e *activity.Event) {
	switch {
	case e.Coverage != nil:
		if e.Kind == activity.KindGap { // the recorder's stop repeats the sum of its gaps
			for k, n := range e.Coverage.Lost {
				v.rep.Lost[k] += n
			}
		}
		return
	case e.Kind.Coverage() || len(v.log.NetNS) > 0 && !slices.Contains(v.log.NetNS, e.NetNS) || v.when(e) < 0:
		return
	case e.Kind == activity.KindSnapshot:
		v.rep.Snapshots++
		return
	}
	i := v.take(e)
	if i < 0 {
		if v.when(e) > 0 {
			return
		}
		v.count(&Expect{Kind: e.Kind}, func(c *Count) { c.Extra++ })
		v.example("extra: %s", describe(e))
		return
	}
	x := &v.wants[i]
	v.count(x, func(c *Count) {
		if x.May {
			c.May++
		} else if e.Provenance == activity.Observed {
			c.Observed++
		} else {
			c.Inferred++
		}
	})
	v.owner(x, e)
	if why := v.facts(x, e); why != "" {
		v.count(x, func(c *Count) { c.WrongFact++ })
		v.example("%s: wrong fact: %s: %s", x.Case, why, describe(e))
	}
}

// timeSlack allows for the conversion between the clocks.
const timeSlack = 5e6

// when is negative for an event before the run, positive for one after it. The
// numbers of namespaces are used again: both may be another one's. What the run
// leaves behind in the kernel ends after it, so such an event may still be ours.
func (v *Verifier) when(e *activity.Event) int {
	at := int64(e.Boot)
	if at == 0 && e.Time == 0 {
		return 0
	}
	if at == 0 {
		at = e.Time - v.log.WallOffset
	}
	switch {
	case v.log.From != 0 && at < int64(v.log.From)-timeSlack:
		return -1
	case v.log.To != 0 && at > int64(v.log.To)+timeSlack:
		return 1
	}
	return 0
}

// take removes and returns the expectation that e meets, by preference one with
// the same owner; -1 none.
func (v *Verifier) take(e *activity.Event) int32 {
	k := makeKey(e.Kind, e.Proto, e.Local, e.Remote)
	best, bestPrev, prev := int32(-1), int32(-1), int32(-1)
	head, ok := v.first[k]
	if !ok {
		return -1
	}
	for i := head; i >= 0; prev, i = i, v.next[i] {
		better := best < 0 || v.wants[best].May && !v.wants[i].May
		if right := v.ownedBy(&v.wants[i], e); right || better {
			best, bestPrev = i, prev
			if right && !v.wants[i].May {
				break
			}
		}
	}
	v.met[best] = true
	switch {
	case bestPrev >= 0:
		v.next[bestPrev] = v.next[best]
	case v.next[best] >= 0:
		v.first[k] = v.next[best]
	default:
		delete(v.first, k)
	}
	return best
}

func (v *Verifier) owner(x *Expect, e *activity.Event) {
	if x.Proc == 0 {
		return
	}
	switch k := ownerKey(e); {
	case k.PID == 0:
		v.count(x, func(c *Count) { c.NoOwner++ })
		v.example("%s: no owner: %s", x.Case, describe(e))
	case !v.ownedBy(x, e):
		v.count(x, func(c *Count) { c.WrongOwner++ })
		v.example("%s: wrong owner: want %s: %s", x.Case, v.who(x), describe(e))
	}
}

func (v *Verifier) who(x *Expect) string {
	var s []string
	for _, n := range append([]int{x.Proc}, x.Alt...) {
		if p := v.procs[n]; p != nil {
			s = append(s, fmt.Sprintf("pid %d start %d..%d", p.PID, p.StartMin, p.StartMax))
		}
	}
	return strings.Join(s, " or ")
}

// proc returns process n; a log that refers to none that it has gets an empty
// one, which no event matches.
func (v *Verifier) proc(n int) *Proc {
	if p := v.procs[n]; p != nil {
		return p
	}
	return &Proc{}
}

func ownerKey(e *activity.Event) activity.ProcessKey {
	if e.Owner.PID == 0 && e.Process != nil {
		return e.Process.Key
	}
	return e.Owner
}

// ownedBy reports whether e's owner is one that x allows.
func (v *Verifier) ownedBy(x *Expect, e *activity.Event) bool { return v.ownerOf(x, e) != nil }

func (v *Verifier) ownerOf(x *Expect, e *activity.Event) *Proc {
	var wall int64
	if e.Process != nil {
		wall = e.Process.Start
	}
	k := ownerKey(e)
	if p := v.procs[x.Proc]; p != nil && v.same(p, k, wall) {
		return p
	}
	for _, n := range x.Alt {
		if p := v.procs[n]; p != nil && v.same(p, k, wall) {
			return p
		}
	}
	return nil
}

// same compares an identity by pid and by whichever start is known.
func (v *Verifier) same(p *Proc, k activity.ProcessKey, wall int64) bool {
	switch {
	case p.PID != k.PID:
		return false
	case k.Start != 0:
		// Sources that read /proc know the start only to the clock tick, rounded
		// down; so the window opens on a tick.
		return k.Start >= p.StartMin-p.StartMin%tick && k.Start <= p.StartMax
	case wall != 0:
		return wall >= v.log.WallOffset+int64(p.StartMin)-wallSlack && wall <= v.log.WallOffset+int64(p.StartMax)+wallSlack
	}
	return true
}

// tick is the unit of /proc/PID/stat's start time: USER_HZ is 100 on every
// architecture that this project builds for.
const tick = 10_000_000

// facts returns what contradicts x in e, "" nothing.
func (v *Verifier) facts(x *Expect, e *activity.Event) string {
	switch {
	case contradicts(x.Local, e.Local) || contradicts(x.Remote, e.Remote):
		return fmt.Sprintf("want %v to %v", x.Local, x.Remote)
	case x.Bytes && e.Unknown&activity.FactBytes == 0 && (e.Rx != x.Rx || e.Tx != x.Tx):
		return fmt.Sprintf("rx %d tx %d, want rx %d tx %d", e.Rx, e.Tx, x.Rx, x.Tx)
	case x.Errno != 0 && e.Errno != 0 && e.Errno != x.Errno:
		return fmt.Sprintf("errno %d, want %d", e.Errno, x.Errno)
	case x.Reason != 0 && e.Unknown&activity.FactReason == 0 && e.Reason != x.Reason && !vague(x.Reason, e):
		return fmt.Sprintf("reason %s, want %s", e.Reason, x.Reason)
	case e.Provenance == activity.Observed && e.Flags&x.Flags != x.Flags:
		return fmt.Sprintf("flags %#x, want %#x set", e.Flags, x.Flags)
	case x.Closer != 0 && e.Closer != 0 && e.Closer != v.proc(x.Closer).PID:
		return fmt.Sprintf("closer %d, want %d", e.Closer, v.proc(x.Closer).PID)
	case x.Holder != 0 && e.Unknown&activity.FactHolder == 0 && (e.Holder == nil || !v.same(v.proc(x.Holder), e.Holder.Key, e.Holder.Start)):
		return fmt.Sprintf("holder %v, want pid %d", e.Holder, v.proc(x.Holder).PID)
	}
	return v.process(v.ownerOf(x, e), e)
}

// vague reports whether e says of a failure inside this host that it was one,
// and that its errno is not known.
func vague(want activity.Reason, e *activity.Event) bool {
	switch want {
	case activity.ReasonNetUnreachable, activity.ReasonDenied, activity.ReasonNoPortsLeft, activity.ReasonNoSuchAddress:
		return e.Reason == activity.ReasonNotSent && e.Errno == 0
	}
	return false
}

// contradicts reports whether a told address is another than the true one; a
// wildcard, an unset address and port 0 say nothing.
func contradicts(want, got netip.AddrPort) bool {
	want, got = unmap(want), unmap(got)
	if want.Port() != 0 && got.Port() != 0 && want.Port() != got.Port() {
		return true
	}
	silent := func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
	return !silent(want.Addr()) && !silent(got.Addr()) && want.Addr() != got.Addr()
}

// process compares what e tells of its owner with the image p.
func (v *Verifier) process(p *Proc, e *activity.Event) string {
	q := e.Process
	if p == nil {
		return ""
	}
	if q == nil || q.Exe == "" && q.Args == nil && q.Name == "" {
		v.rep.NoProcess++
		return ""
	}
	exe := strings.TrimSuffix(q.Exe, " (deleted)")
	switch {
	case q.UID != activity.NoID && q.UID != p.UID:
		return fmt.Sprintf("uid %d, want %d", q.UID, p.UID)
	case p.Exe != "" && exe != p.Exe:
		return fmt.Sprintf("exe %q, want %q", q.Exe, p.Exe)
	case p.Args != nil && q.Args != nil && !sameArgs(q, p.Args):
		return fmt.Sprintf("args %q, want %q", q.Args, p.Args)
	case p.PPID != 0 && len(q.Ancestors) > 0 && q.Ancestors[0].Key.PID != p.PPID:
		return fmt.Sprintf("parent %d, want %d", q.Ancestors[0].Key.PID, p.PPID)
	case p.Deleted && !q.Deleted:
		return "executable not told as deleted"
	case p.MemFD && !q.MemFD:
		return "executable not told as memfd"
	}
	return ""
}

// redacted stands in a recorded command line for what may be a secret.
const redacted = "[redacted]"

func sameArgs(q *activity.Process, want []string) bool {
	if len(q.Args) == len(want) {
		for i, a := range q.Args {
			if before, _, ok := strings.Cut(a, redacted); ok && strings.HasPrefix(want[i], before) {
				want = slices.Replace(slices.Clone(want), i, i+1, a)
			}
		}
	}
	if q.ArgsTruncated {
		return len(q.Args) <= len(want) && (len(q.Args) < 2 || slices.Equal(q.Args[:len(q.Args)-1], want[:len(q.Args)-1]))
	}
	return slices.Equal(q.Args, want)
}

func describe(e *activity.Event) string {
	s := fmt.Sprintf("%s %s %v %v pid %d start %d %s", e.Kind, e.Proto, e.Local, e.Remote, ownerKey(e).PID, ownerKey(e).Start, e.Provenance)
	if e.Process != nil {
		s += fmt.Sprintf(" exe %q args %q", e.Process.Exe, e.Process.Args)
	}
	return s
}

func (v *Verifier) example(format string, a ...any) {
	if len(v.rep.Examples) < maxExamples {
		v.rep.Examples = append(v.rep.Examples, fmt.Sprintf(format, a...))
	}
}

// Report returns the comparison of all that was added so far. What was not met
// is missing; Lost says how many of each kind the recorder itself declared.
func (v *Verifier) Report() *Report {
	r := v.rep
	r.Rows = make(map[Row]Count, len(v.rep.Rows))
	for k, c := range v.rep.Rows {
		r.Rows[k] = c
	}
	r.Examples = slices.Clone(v.rep.Examples)
	for i := range v.wants {
		x := &v.wants[i]
		if v.met[i] || x.May {
			continue
		}
		row := Row{x.Kind, x.End}
		c := r.Rows[row]
		c.Missing++
		r.Rows[row] = c
		if len(r.Examples) < maxExamples {
			r.Examples = append(r.Examples, fmt.Sprintf("%s: missing: %s %s %v %v", x.Case, x.Kind, x.Proto, x.Local, x.Remote))
		}
	}
	return &r
}
