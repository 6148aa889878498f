package cli

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// How long names are waited for: those that rules name, all together, and that
// of one address.
const (
	forwardPatience = 2 * time.Second
	reversePatience = 500 * time.Millisecond
	maxNames        = 8192 // addresses whose names are remembered
)

// addrNames knows names of addresses: those of the hosts that rules name, which
// are looked up when the rules are loaded, and, if so configured, those that
// the DNS gives to any address that rules ask about. It may be used by any
// goroutine.
type addrNames struct {
	reverse bool
	lookup  interface { // net.Resolver
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
		LookupAddr(ctx context.Context, addr string) ([]string, error)
	}

	mu      sync.Mutex
	forward map[netip.Addr][]string // guarded by mu
	found   map[netip.Addr][]string // by reverse look-ups; guarded by mu
}

func newAddrNames(reverse bool) *addrNames {
	return &addrNames{reverse: reverse, lookup: net.DefaultResolver, found: map[netip.Addr][]string{}}
}

// lookUp finds the addresses of hosts, and forgets those that it knew. A name
// that has none now, or is not answered for, is not found.
func (n *addrNames) lookUp(ctx context.Context, hosts []string) {
	ctx, cancel := context.WithTimeout(ctx, forwardPatience)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	forward := map[netip.Addr][]string{}
	few := make(chan struct{}, 16)
	for _, h := range hosts {
		if strings.HasPrefix(h, "*.") {
			continue
		}
		wg.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			addrs, err := n.lookup.LookupNetIP(ctx, "ip", h)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range addrs {
				forward[a.Unmap()] = append(forward[a.Unmap()], h)
			}
		})
	}
	wg.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forward = forward
}

// of is interest.Options.Names.
func (n *addrNames) of(a netip.Addr) []string {
	a = a.WithZone("")
	n.mu.Lock()
	names := n.forward[a]
	found, known := n.found[a]
	n.mu.Unlock()
	if !n.reverse {
		return names
	}
	if !known {
		found = n.ask(a)
	}
	return append(names[:len(names):len(names)], found...)
}

// ask looks an address up, and remembers the answer, also that there is none.
func (n *addrNames) ask(a netip.Addr) (names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), reversePatience)
	defer cancel()
	if answers, err := n.lookup.LookupAddr(ctx, a.String()); err == nil {
		for _, name := range answers {
			names = append(names, strings.ToLower(strings.TrimSuffix(name, ".")))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.found) >= maxNames {
		clear(n.found)
	}
	n.found[a] = names
	return names
}
