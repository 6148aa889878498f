package interest

import (
	"net/netip"
	"slices"
)

// netSet is a set of prefixes that is asked in constant time, however many it
// has: a list of indicators may have thousands. Its zero value is empty.
type netSet struct {
	prefixes map[netip.Prefix]struct{}
	bits     []int // the lengths that there are, of either family
}

func (s *netSet) add(p netip.Prefix) {
	if s.prefixes == nil {
		s.prefixes = map[netip.Prefix]struct{}{}
	}
	s.prefixes[p.Masked()] = struct{}{}
	if !slices.Contains(s.bits, p.Bits()) {
		s.bits = append(s.bits, p.Bits())
	}
}

func (s *netSet) has(a netip.Addr) bool {
	a = a.WithZone("")
	for _, n := range s.bits {
		p, err := a.Prefix(n) // fails where the family has no such length
		if err != nil {
			continue
		}
		if _, ok := s.prefixes[p]; ok {
			return true
		}
	}
	return false
}

// parsePrefix reads an address or a CIDR. An IPv4 address in IPv6 form is the
// IPv4 one, as events have it.
func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}
