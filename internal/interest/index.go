package interest

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// The index answers which rules may be about an event without asking them. Of
// each of four things that an event has, it knows the set of rules that this
// does not rule out, a bit for each rule:
//
//	its kind            a table
//	its two ports       a table of ranges; either port may be the one
//	its two addresses   the same
//	its process         worked out once for each image, and remembered (matcher.go)
//
// What is in all four sets is asked in full. Since few rules name neither a
// port, nor an address, nor anything of the process, that is rarely any.
type index struct {
	kinds [activity.NumKinds]ruleSet
	ports ranges[uint16]
	addrs ranges[netip.Addr]
}

// ruleSet is a set of rules by their number.
type ruleSet []uint64

// newRuleSet returns an empty set for n rules.
func newRuleSet(n int) ruleSet { return make(ruleSet, (n+63)/64) }
func (b ruleSet) set(i int)    { b[i/64] |= 1 << (i % 64) }
func (b ruleSet) drop(i int)   { b[i/64] &^= 1 << (i % 64) }

// newIndex sorts the rules into the tables. A rule that cannot match anything is
// in none.
func newIndex(rules []rule) *index {
	x := &index{ports: ranges[uint16]{compare: cmp.Compare[uint16]}, addrs: ranges[netip.Addr]{compare: netip.Addr.Compare}}
	ports, addrs := newCuts[uint16](len(rules)), newCuts[netip.Addr](len(rules))
	for k := range x.kinds {
		x.kinds[k] = newRuleSet(len(rules))
	}
	for i := range rules {
		r := &rules[i]
		for k := range x.kinds {
			if r.kinds.Has(activity.Kind(k)) && r.hints.Kinds.Has(activity.Kind(k)) && !r.hints.Never {
				x.kinds[k].set(i)
			}
		}
		addPorts(ports, i, r)
		addAddrs(addrs, i, r)
	}
	x.ports.build(ports)
	x.addrs.build(addrs)
	return x
}

// addPorts takes the narrower of two conditions: rules with a service have it
// beside what their expression says.
func addPorts(c *cuts[uint16], i int, r *rule) {
	ranges := r.hints.Ports
	if r.service != nil {
		ranges = nil
		for _, p := range r.service {
			ranges = append(ranges, p.PortRange)
		}
	}
	if ranges == nil {
		c.anywhere(i)
	}
	for _, p := range ranges {
		c.add(i, p.Lo, p.Hi+1, p.Hi < 65535)
	}
}

// addAddrs does the same for addresses: an exact set is narrower than what an
// expression bounds.
func addAddrs(c *cuts[netip.Addr], i int, r *rule) {
	prefixes := r.hints.Addrs
	if r.nets != nil {
		prefixes = slices.Collect(maps.Keys(r.nets.prefixes))
	}
	if prefixes == nil {
		c.anywhere(i)
	}
	for _, p := range prefixes {
		lo, after := bounds(p)
		c.add(i, lo, after, after.IsValid())
	}
}

// bounds gives the first address of a prefix, and the one after its last, which
// is not valid at the end of all addresses. Addresses order by family first.
func bounds(p netip.Prefix) (lo, after netip.Addr) {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	hi, _ := netip.AddrFromSlice(last)
	after = hi.Next()
	if !after.IsValid() && p.Addr().Is4() {
		after = netip.IPv6Unspecified() // which orders next after 255.255.255.255
	}
	return p.Addr(), after
}

// cuts collects the ranges of rules, from which ranges are built.
type cuts[T any] struct {
	all    ruleSet // rules with no range: they are everywhere
	points []cut[T]
}

// cut is where the range of a rule begins or is over.
type cut[T any] struct {
	at   T
	rule int
	step int // +1 begins, -1 over
}

func newCuts[T any](n int) *cuts[T] { return &cuts[T]{all: newRuleSet(n)} }

func (c *cuts[T]) anywhere(rule int) { c.all.set(rule) }

// add adds a range; without ends it goes on to the last value there is.
func (c *cuts[T]) add(rule int, from, after T, ends bool) {
	c.points = append(c.points, cut[T]{from, rule, 1})
	if ends {
		c.points = append(c.points, cut[T]{after, rule, -1})
	}
}

// ranges finds the set that a value is in.
type ranges[T any] struct {
	compare func(a, b T) int
	starts  []T       // ascending
	sets    []ruleSet // sets[i] from starts[i-1] to before starts[i]
}

// build sweeps over the cuts in order, counting for each rule how many of its
// ranges are open.
func (r *ranges[T]) build(c *cuts[T]) {
	slices.SortFunc(c.points, func(a, b cut[T]) int { return r.compare(a.at, b.at) })
	open := make([]int, len(c.all)*64)
	now := slices.Clone(c.all)
	r.starts, r.sets = nil, []ruleSet{slices.Clone(now)}
	for i := 0; i < len(c.points); {
		at := c.points[i].at
		for ; i < len(c.points) && r.compare(c.points[i].at, at) == 0; i++ {
			p := c.points[i]
			if open[p.rule] += p.step; open[p.rule] > 0 {
				now.set(p.rule)
			} else {
				now.drop(p.rule)
			}
		}
		r.starts, r.sets = append(r.starts, at), append(r.sets, slices.Clone(now))
	}
}

// at returns the set of the range that v lies in. The result is shared and not
// to be changed.
func (r *ranges[T]) at(v T) ruleSet {
	lo, hi := 0, len(r.starts) // starts[lo-1] <= v < starts[hi]
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); r.compare(r.starts[mid], v) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return r.sets[lo]
}

// kindSet is the set of some kinds.
func kindSet(kinds ...activity.Kind) (s filter.KindSet) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}
