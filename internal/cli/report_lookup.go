package cli

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Reverse look-ups: how many at a time, at most, and how long all of them take.
const (
	maxLookups    = 16
	maxResolved   = 1000
	lookupTimeout = 5 * time.Second
)

// hostNames asks the name server for the names of addresses, "" where there is
// none or the time is up. Only the first maxResolved are asked for.
func hostNames(ctx context.Context, addrs []netip.Addr) []string {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return lookUp(ctx, addrs, net.DefaultResolver.LookupAddr)
}

func lookUp(ctx context.Context, addrs []netip.Addr, ask func(context.Context, string) ([]string, error)) []string {
	names := make([]string, len(addrs))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(maxLookups, len(addrs)) {
		group.Go(func() {
			for i := range next {
				if found, err := ask(ctx, addrs[i].String()); err == nil && len(found) > 0 {
					names[i] = strings.TrimSuffix(found[0], ".")
				}
			}
		})
	}
	for i := range min(len(addrs), maxResolved) {
		next <- i
	}
	close(next)
	group.Wait()
	return names
}
