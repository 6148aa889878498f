package filter

import (
	"math"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// KindSet is a set of kinds; the empty one stands for all of them.
type KindSet uint32

// Has reports whether the set has k.
func (s KindSet) Has(k activity.Kind) bool { return s == 0 || s>>k&1 != 0 }

// PortRange is a closed range of ports.
type PortRange struct{ Lo, Hi uint16 }

// Hints is what every matching event satisfies, so that a store can skip what
// does not. It may let through events that do not match, never the other way.
type Hints struct {
	From, To int64          // UTC ns, From inclusive, To exclusive; 0 open
	Ports    []PortRange    // one of the two ports is in one of them; nil any
	Addrs    []netip.Prefix // one of the two addresses is in one of them; nil any
	Kinds    KindSet        // the event's kind is of the set
	Never    bool           // nothing matches
}

// TimeOnly reports whether the expression asks for nothing but the time that
// its hints' From and To bound.
func (x *Expr) TimeOnly() bool {
	isTime := func(n *node) bool { return n.op == opTerm && n.term.field.class == classTime }
	if x.root.op != opAnd {
		return isTime(&x.root)
	}
	for i := range x.root.kids {
		if !isTime(&x.root.kids[i]) {
			return false
		}
	}
	return true
}

// Hints derives the push-down. The caller owns the result.
func (x *Expr) Hints() Hints {
	b := x.root.bound(false)
	h := Hints{From: max(b.from, 0), To: b.to, Ports: b.ports, Addrs: b.addrs, Kinds: KindSet(b.kinds), Never: b.kinds == 0 || b.from >= b.to}
	if b.to == math.MaxInt64 {
		h.To = 0
	}
	if b.kinds == allKinds {
		h.Kinds = 0
	}
	return h
}

const allKinds = 1<<activity.NumKinds - 1

// bound is Hints while it is derived: open is the extreme, and no kind none.
type bound struct {
	from, to int64
	ports    []PortRange
	addrs    []netip.Prefix
	kinds    uint64
}

func anything() bound { return bound{from: math.MinInt64, to: math.MaxInt64, kinds: allKinds} }

// bound bounds the node, or its negation.
func (n *node) bound(not bool) bound {
	switch n.op {
	case opTerm:
		if not {
			return n.term.boundNot()
		}
		return n.term.bound()
	case opNot:
		return n.kids[0].bound(!not)
	}
	if (n.op == opAnd) == not { // De Morgan: any of the kids suffices
		b := bound{from: math.MaxInt64, to: math.MinInt64}
		for i := range n.kids {
			k := n.kids[i].bound(not)
			if i == 0 {
				b = k
			} else {
				b = b.either(k)
			}
		}
		return b
	}
	b := anything()
	for i := range n.kids {
		b = b.both(n.kids[i].bound(not))
	}
	return b
}

// both bounds what satisfies a and b. Of two bounds on "one of the ports" the
// narrower is kept: an event may satisfy each with another port.
func (a bound) both(b bound) bound {
	a.from, a.to, a.kinds = max(a.from, b.from), min(a.to, b.to), a.kinds&b.kinds
	if a.ports == nil || b.ports != nil && width(b.ports) < width(a.ports) {
		a.ports = b.ports
	}
	if a.addrs == nil || b.addrs != nil && broadest(b.addrs) > broadest(a.addrs) {
		a.addrs = b.addrs
	}
	return a
}

func (a bound) either(b bound) bound {
	a.from, a.to, a.kinds = min(a.from, b.from), max(a.to, b.to), a.kinds|b.kinds
	if a.ports == nil || b.ports == nil {
		a.ports = nil
	} else {
		a.ports = append(a.ports[:len(a.ports):len(a.ports)], b.ports...)
	}
	if a.addrs == nil || b.addrs == nil {
		a.addrs = nil
	} else {
		a.addrs = append(a.addrs[:len(a.addrs):len(a.addrs)], b.addrs...)
	}
	return a
}

func width(ps []PortRange) (n int) {
	for _, p := range ps {
		n += int(p.Hi) - int(p.Lo) + 1
	}
	return n
}

// broadest is the length of the shortest prefix, as if all were IPv6.
func broadest(ps []netip.Prefix) int {
	least := 128
	for _, p := range ps {
		least = min(least, p.Bits()+128-p.Addr().BitLen())
	}
	return least
}

func (t *term) bound() bound {
	b := anything()
	switch {
	case t.field.class == classTime:
		b.from, b.to = t.from, t.to
	case t.field.id == fKind && !t.any:
		b.kinds = t.set & allKinds
	case t.field.id == fKind:
		b.kinds = allKinds &^ 1
	case t.field.class == classPort && !t.any:
		b.ports = portRanges(t.spans)
	case t.field.class == classAddr && !t.any:
		b.addrs, b.ports = t.addrBound()
	}
	return b
}

// boundNot bounds the events that the term is false of.
func (t *term) boundNot() bound {
	b := anything()
	switch {
	case t.field.class == classTime && t.to == math.MaxInt64:
		b.to = t.from
	case t.field.class == classTime && t.from == math.MinInt64:
		b.from = t.to
	case t.field.id == fKind && !t.any:
		b.kinds = allKinds &^ t.set
	case t.field.id == fKind:
		b.kinds = 1
	}
	return b
}

func portRanges(spans []span) []PortRange {
	ps := []PortRange{} // not nil: no port at all, as in port<0
	for _, s := range spans {
		if s.lo <= 65535 {
			ps = append(ps, PortRange{uint16(s.lo), uint16(min(s.hi, 65535))})
		}
	}
	return ps
}

// addrBound gives the prefixes and ports of an address term where every value
// has them.
func (t *term) addrBound() (addrs []netip.Prefix, ports []PortRange) {
	allAddrs, allPorts := true, true
	for i := range t.addrs {
		p := &t.addrs[i]
		if p.ports != nil {
			ports = append(ports, portRanges([]span{*p.ports})...)
		} else {
			allPorts = false
		}
		if p.prefix.IsValid() {
			addrs = append(addrs, p.prefix)
		} else if ps := p.scope.prefixes(); ps != nil {
			addrs = append(addrs, ps...)
		} else {
			allAddrs = false
		}
	}
	if !allAddrs {
		addrs = nil
	}
	if !allPorts {
		ports = nil
	}
	return addrs, ports
}
