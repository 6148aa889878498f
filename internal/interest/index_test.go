package interest

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestBounds(t *testing.T) {
	for _, c := range []struct{ prefix, lo, after string }{
		{"10.0.0.0/8", "10.0.0.0", "11.0.0.0"},
		{"10.1.2.3/8", "10.0.0.0", "11.0.0.0"},
		{"192.0.2.7/32", "192.0.2.7", "192.0.2.8"},
		{"0.0.0.0/0", "0.0.0.0", "::"}, // addresses of IPv6 order after those of IPv4
		{"255.255.255.255/32", "255.255.255.255", "::"},
		{"2001:db8::/32", "2001:db8::", "2001:db9::"},
		{"::/0", "::", "invalid IP"},
		{"ff00::/8", "ff00::", "invalid IP"},
		{"::1/128", "::1", "::2"},
	} {
		lo, after := bounds(netip.MustParsePrefix(c.prefix))
		if lo.String() != c.lo || after.String() != c.after {
			t.Errorf("%s: from %s to before %s, want %s and %s", c.prefix, lo, after, c.lo, c.after)
		}
	}
}

// has reports whether a set has a rule.
func (b ruleSet) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }

// TestPortRanges compares the table with asking each range.
func TestPortRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		n := 1 + r.IntN(130)
		type span struct {
			lo, hi uint16
			rule   int
		}
		var all []span
		anywhere := map[int]bool{}
		c := newCuts[uint16](n)
		for i := range n {
			switch r.IntN(4) {
			case 0:
				anywhere[i] = true
				c.anywhere(i)
				continue
			case 1: // no port at all
				continue
			}
			for range 1 + r.IntN(3) { // they may overlap
				lo := pick[uint16](r, 0, 1, 22, 80, 65535, uint16(r.IntN(65536)))
				hi := lo + uint16(r.IntN(min(300, 65536-int(lo))))
				all = append(all, span{lo, hi, i})
				c.add(i, lo, hi+1, hi < 65535)
			}
		}
		x := ranges[uint16]{compare: cmp.Compare[uint16]}
		x.build(c)
		for range 300 {
			p := pick[uint16](r, 0, 22, 65534, 65535, uint16(r.IntN(65536)))
			if len(all) > 0 && r.IntN(2) == 0 {
				p = all[r.IntN(len(all))].hi + uint16(r.IntN(2))
			}
			set := x.at(p)
			for i := range n {
				want := anywhere[i]
				for _, s := range all {
					want = want || s.rule == i && s.lo <= p && p <= s.hi
				}
				if set.has(i) != want {
					t.Fatalf("port %d, rule %d: %v", p, i, !want)
				}
			}
		}
	}
}

// TestAddrRanges does the same for networks, which may lie within each other.
func TestAddrRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{pick[byte](r, 0, 10, 255), byte(r.IntN(256)), pick[byte](r, 0, 255), byte(r.IntN(256))})
		}
		var b [16]byte
		b[0], b[1], b[15] = pick[byte](r, 0, 0x20, 0xff), byte(r.IntN(3)), byte(r.IntN(256))
		return netip.AddrFrom16(b)
	}
	for range 100 {
		n := 1 + r.IntN(70)
		all := make([][]netip.Prefix, n)
		c := newCuts[netip.Addr](n)
		for i := range n {
			for range r.IntN(4) {
				a := random()
				p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
				all[i] = append(all[i], p)
				lo, after := bounds(p)
				c.add(i, lo, after, after.IsValid())
			}
		}
		x := ranges[netip.Addr]{compare: netip.Addr.Compare}
		x.build(c)
		for range 200 {
			a := random()
			if ps := all[r.IntN(n)]; len(ps) > 0 {
				if lo, after := bounds(ps[0]); r.IntN(2) == 0 {
					a = pick(r, lo, lo.Prev(), after)
				}
			}
			if !a.IsValid() {
				continue
			}
			set := x.at(a)
			for i := range n {
				want := false
				for _, p := range all[i] {
					want = want || p.Contains(a)
				}
				if set.has(i) != want {
					t.Fatalf("%v, rule %d of %v: %v", a, i, all[i], !want)
				}
			}
		}
		if set := x.at(netip.Addr{}); set.has(0) {
			t.Fatal("no address is in a network")
		}
	}
}
