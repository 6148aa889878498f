package probe

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strings"
)

// MaxTargets is how many targets there may be without being allowed: one host's
// usual ports, or one port of a small network. More is a scan, which is to be
// meant.
const MaxTargets = 4096

// TooManyError is that there would be more targets than allowed.
type TooManyError struct {
	Count uint64 // at least
	Limit int
}

// Error tells both numbers.
func (e *TooManyError) Error() string {
	n := fmt.Sprint(e.Count)
	if e.Count == math.MaxUint64 {
		n = "an unbounded number of"
	}
	return fmt.Sprintf("%s targets are more than %d: that must be allowed", n, e.Limit)
}

// Host is a host to test, by the addresses that stand for it.
type Host struct {
	Name  string       // as the user wrote it; "" in a network or a range
	Addrs []netip.Addr // unmapped, each once, in the resolver's order
}

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve finds the hosts of a list such as
//
//	web1.example.com,192.0.2.7,[2001:db8::7],192.0.2.0/24,192.0.2.10-20,fe80::1%eth0
//
// with every address of a name. Networks and ranges of more than limit addresses
// in all are refused with a *TooManyError; a limit of 0 is MaxTargets, and a
// negative one none, but for 16 million.
func Resolve(ctx context.Context, names Resolver, list string, limit int) ([]Host, error) {
	var hosts []Host
	left := most(limit)
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
		first, n, err := span(word)
		if err != nil {
			return nil, err
		}
		switch {
		case n > uint64(left):
			return nil, &TooManyError{n, most(limit)}
		case n > 0:
			left -= int(n)
			for range n {
				hosts = append(hosts, Host{Addrs: []netip.Addr{first}})
				first = first.Next()
			}
			if n == 1 {
				hosts[len(hosts)-1].Name = word
			}
		default:
			h, err := lookup(ctx, names, word)
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("no host in %q", list)
	}
	return hosts, nil
}

func most(limit int) int {
	switch {
	case limit == 0:
		return MaxTargets
	case limit < 0:
		return 1 << 24
	}
	return limit
}

// span is the first address and the number of addresses of a word that holds
// addresses; 0 for a name.
func span(word string) (netip.Addr, uint64, error) {
	if p, err := netip.ParsePrefix(word); err == nil {
		host := p.Addr().BitLen() - p.Bits()
		if host > 63 {
			return netip.Addr{}, math.MaxUint64, nil
		}
		return p.Masked().Addr().Unmap(), 1 << host, nil
	}
	if strings.Contains(word, "/") {
		return netip.Addr{}, 0, fmt.Errorf("network %q: want an address and a number of bits, such as 192.0.2.0/24", word)
	}
	if a, err := address(word); err == nil {
		return a, 1, nil
	}
	from, to, ok := strings.Cut(word, "-")
	first, err := address(from)
	if !ok || err != nil {
		return netip.Addr{}, 0, nil // names hold hyphens too
	}
	last, err := address(to)
	if i := strings.LastIndexByte(from, '.'); err != nil && i >= 0 { // 192.0.2.10-20
		last, err = address(from[:i+1] + to)
	}
	if err != nil || last.BitLen() != first.BitLen() || last.Less(first) {
		return netip.Addr{}, 0, fmt.Errorf("range %q: want two addresses, the lower one first", word)
	}
	return first, between(first, last), nil
}

// address parses an address, bare or in the brackets of a URL.
func address(s string) (netip.Addr, error) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err
}

// between counts the addresses from one to another, both included.
func between(first, last netip.Addr) uint64 {
	n := new(big.Int).Sub(new(big.Int).SetBytes(last.AsSlice()), new(big.Int).SetBytes(first.AsSlice()))
	if n.Add(n, big.NewInt(1)); n.IsUint64() {
		return n.Uint64()
	}
	return math.MaxUint64
}

func lookup(ctx context.Context, names Resolver, name string) (Host, error) {
	addrs, err := names.LookupNetIP(ctx, "ip", strings.TrimSuffix(name, "."))
	if err != nil {
		return Host{}, fmt.Errorf("resolve %q: %w", name, err)
	}
	h := Host{Name: name}
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(h.Addrs, a) {
			h.Addrs = append(h.Addrs, a)
		}
	}
	if len(h.Addrs) == 0 {
		return Host{}, fmt.Errorf("resolve %q: it has no address", name)
	}
	return h, nil
}

// Targets is every port of every address of the hosts, port by port, so that no
// host gets all at once; a port's Name becomes the target's Service. More than
// limit (as in Resolve) are refused with a *TooManyError.
func Targets(hosts []Host, ports []Port, limit int) (iter.Seq[Target], error) {
	n := 0
	for _, h := range hosts {
		n += len(h.Addrs)
	}
	if count := uint64(n) * uint64(len(ports)); limit >= 0 && count > uint64(most(limit)) {
		return nil, &TooManyError{count, most(limit)}
	}
	return func(yield func(Target) bool) {
		for _, p := range ports {
			for _, h := range hosts {
				for _, a := range h.Addrs {
					if !yield(Target{Host: h.Name, Addr: a, Proto: p.Proto, Port: p.Port, Service: p.Name}) {
						return
					}
				}
			}
		}
	}, nil
}
