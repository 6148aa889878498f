package journal

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// allPeers is TopPeers done the obvious way.
func allPeers(events []*activity.Event, q *Query) []Peer {
	all := map[peerKey]*Peer{}
	for _, e := range events {
		if a := e.Remote.Addr(); !q.within(e) || !q.match(e) || !a.IsValid() || a.IsUnspecified() {
			continue
		}
		k, _ := peerOf(e)
		p := all[k]
		if p == nil {
			p = &Peer{Process: uint64(k.process), Remote: e.Remote.Addr().String(), First: e.Time, Last: e.Time}
			all[k] = p
		}
		p.Events, p.Rx, p.Tx, p.First, p.Last = p.Events+1, p.Rx+e.Rx, p.Tx+e.Tx, min(p.First, e.Time), max(p.Last, e.Time)
	}
	var peers []Peer
	for _, p := range all {
		peers = append(peers, *p)
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		if a.Events != b.Events {
			return int(b.Events) - int(a.Events)
		}
		return comparePeers(a, b)
	})
	return peers
}

func TestTopPeersProperty(t *testing.T) {
	for seed := range uint64(unlessShort(4, 1)) {
		dir, runs := crowded(t, seed)
		events := slices.Concat(runs...)
		rnd := rand.New(rand.NewPCG(seed, 6))
		r, err := OpenReader(dir)
		check(t, err)
		for range unlessShort(15, 6) {
			q, n := randomQuery(rnd, events[len(runs[0]):]), 1+rnd.IntN(30)
			want := allPeers(events, &q)
			got, err := r.TopPeers(context.Background(), q, n)
			check(t, err)
			if d := cmp.Diff(want[:min(n, len(want))], got); d != "" && len(want) > 0 {
				t.Fatalf("top %d of %d: -want +got\n%s", n, len(want), d)
			}
		}
	}
}

// TestTopPeersCrowded: when places count several pairs, so that a rare pair
// seems frequent, the answer is the same.
func TestTopPeersCrowded(t *testing.T) {
	dir, want := sealedJournal(t, 500, 4)
	r, err := OpenReader(dir)
	check(t, err)
	for _, n := range []int{1, 3, 10} {
		c := peerCount{r: r, q: &Query{}}
		c.pieces, err = r.following(pos{})
		check(t, err, c.sketch(context.Background()))
		rare := 0
		for i := range c.places { // as if others were counted there too
			if c.places[i] == 1 {
				c.places[i] = 1000
				rare++
			}
		}
		got, err := c.best(context.Background(), n)
		check(t, err)
		if d := cmp.Diff(allPeers(want, &Query{})[:n], got); d != "" || rare < 8*n {
			t.Errorf("top %d, %d places too high: -want +got\n%s", n, rare, d)
		}
	}
}

func TestTopPeersNothing(t *testing.T) {
	dir, _ := sealedJournal(t, 100, 1)
	r, err := OpenReader(dir)
	check(t, err)
	for name, q := range map[string]Query{"no port": {Hints: filter.Hints{Ports: []filter.PortRange{{Lo: 1, Hi: 1}}}}, "never": {Hints: filter.Hints{Never: true}},
		"another address": {Hints: filter.Hints{Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}}}} {
		if got, err := r.TopPeers(context.Background(), q, 5); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.TopPeers(ctx, Query{}, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
