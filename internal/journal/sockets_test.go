package journal

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSocketTable compares the table with a map, also for cookies that want the
// same place.
func TestSocketTable(t *testing.T) {
	for name, cookie := range map[string]func(*rand.Rand) uint64{
		"counted":    func(r *rand.Rand) uint64 { return 1 + r.Uint64N(500) },
		"far apart":  func(r *rand.Rand) uint64 { return (1 + r.Uint64N(500)) << 40 },
		"any":        func(r *rand.Rand) uint64 { return 1 + r.Uint64()>>r.Uint64N(60) },
		"same place": func(r *rand.Rand) uint64 { return 64 * (1 + r.Uint64N(2000)) },
	} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 3))
			table := newSocketTable(0)
			ended, added := map[uint64]uint64{}, map[uint64][]uint64{}
			for range 20_000 {
				c, seq := cookie(rnd), 1+rnd.Uint64N(1e6)
				if rnd.IntN(2) == 0 {
					table.end(c, seq)
					ended[c] = max(ended[c], seq)
				} else {
					table.add(c, seq, int(seq%1000))
					added[c] = append(added[c], seq)
				}
			}
			seen := 0
			for i := range table.slots {
				s := &table.slots[i]
				if s.cookie == 0 {
					continue
				}
				seen++
				var got, want []uint64
				table.left(s, func(r socketRow) { got = append(got, r.seq) })
				for _, seq := range added[s.cookie] {
					if seq > ended[s.cookie] {
						want = append(want, seq)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) || s.ended != ended[s.cookie] {
					t.Fatalf("cookie %d: %v after %d, want %v after %d", s.cookie, got, s.ended, want, ended[s.cookie])
				}
			}
			all := map[uint64]bool{}
			for c := range ended {
				all[c] = true
			}
			for c := range added {
				all[c] = true
			}
			if seen != len(all) || seen != table.used {
				t.Errorf("%d sockets, %d by its own count, want %d", seen, table.used, len(all))
			}
		})
	}
}
