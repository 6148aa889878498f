package analyse

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// Bounds of what is remembered of destinations.
const (
	maxLearned = 4_000_000
	maxNew     = 100_000
)

// Destination is where a program connects to.
type Destination struct {
	Process     *activity.Process // the first one that did; nil unknown
	Proto       activity.Proto
	Remote      netip.AddrPort
	Count       uint64
	First, Last int64 // UTC ns
}

// Destinations finds where programs connect to that they did not connect to
// before. Programs are told by what they are, as by Diff. Its zero value is ready
// for use.
type Destinations struct {
	learned  map[uint64]struct{}
	new      map[uint64]*Destination
	seed     maphash.Seed
	overflow bool

	last        *activity.Process // program's
	lastProgram program
}

// Learn takes an event of the time to compare with.
func (d *Destinations) Learn(e *activity.Event) {
	k, ok := d.key(e)
	if !ok {
		return
	}
	if len(d.learned) >= maxLearned {
		d.overflow = true
		return
	}
	d.learned[k] = struct{}{}
	delete(d.new, k)
}

// Watch takes an event of the time in which new ones are looked for.
func (d *Destinations) Watch(e *activity.Event) {
	k, ok := d.key(e)
	if !ok {
		return
	}
	if _, known := d.learned[k]; known {
		return
	}
	at := d.new[k]
	if at == nil {
		if len(d.new) >= maxNew {
			d.overflow = true
			return
		}
		at = &Destination{Process: e.Process, Proto: e.Proto, Remote: e.Remote, First: e.Time}
		d.new[k] = at
	}
	at.Count++
	at.First, at.Last = min(at.First, e.Time), max(at.Last, e.Time)
}

// New lists the new destinations by program, the first first. whole is false if
// there were more than can be remembered: then some may be missing, or not be
// new.
func (d *Destinations) New() (all []Destination, whole bool) {
	for _, n := range d.new {
		all = append(all, *n)
	}
	first := map[program]int64{}
	for i := range all {
		who := programOf(all[i].Process)
		if at, ok := first[who]; !ok || all[i].First < at {
			first[who] = all[i].First
		}
	}
	slices.SortFunc(all, func(a, b Destination) int {
		x, y := programOf(a.Process), programOf(b.Process)
		return cmp.Or(cmp.Compare(first[x], first[y]), cmp.Compare(x.exe, y.exe), cmp.Compare(x.user, y.user), cmp.Compare(x.unit, y.unit),
			cmp.Compare(x.container, y.container), cmp.Compare(a.First, b.First), a.Remote.Compare(b.Remote), cmp.Compare(a.Proto, b.Proto))
	})
	return all, !d.overflow
}

// key names a program and where it connects to. Two of them are the same by
// chance once in 2^64.
func (d *Destinations) key(e *activity.Event) (uint64, bool) {
	outbound := e.Kind == activity.KindConnect || e.Kind == activity.KindFlow && e.Flags&activity.FlagInbound == 0
	if !outbound || !e.Remote.IsValid() {
		return 0, false
	}
	if d.learned == nil {
		d.learned, d.new, d.seed = map[uint64]struct{}{}, map[uint64]*Destination{}, maphash.MakeSeed()
	}
	if d.last == nil || d.last != e.Process {
		d.last, d.lastProgram = e.Process, programOf(e.Process)
	}
	return maphash.Comparable(d.seed, struct {
		who    program
		proto  activity.Proto
		remote netip.AddrPort
	}{d.lastProgram, e.Proto, e.Remote}), true
}
