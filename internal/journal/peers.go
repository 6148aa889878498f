package journal

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/bits"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go/bloom/xxhash"

	"github.com/portreporter/portreporter/internal/activity"
)

// TopPeers counts the events that q asks for between each process and each
// remote address, and returns the n most frequent pairs, exactly. Pairs of one
// count are in the order of process and address. Process 0 is unknown; events
// without a remote address are not counted. Only the columns that it takes are
// read, of the whole record twice. What cannot be read is joined in the error,
// beside the count of the rest.
//
// The first time, pairs are counted in an array by a hash: what a place counts
// is no less than what any of its pairs does. The second time, pairs themselves
// are counted, those of the highest places. When n of them have as many events
// as the lowest of these places, no other pair can have more; and when not, it
// is done again with all places that have as many as the nth pair.
func (r *Reader) TopPeers(ctx context.Context, q Query, n int) ([]Peer, error) {
	if n <= 0 || q.Never {
		return nil, ctx.Err()
	}
	c := peerCount{r: r, q: &q}
	for {
		peers, err := c.top(ctx, n)
		if !errors.Is(err, errGone) {
			return peers, err
		}
	}
}

// places is the size of the array: it fits in a processor's cache.
const places = 1 << 20

// peerCount counts pairs.
type peerCount struct {
	r      *Reader
	q      *Query
	pieces []piece
	places []uint32
	faults []error // of the latest pass
}

func (c *peerCount) top(ctx context.Context, n int) (peers []Peer, err error) {
	if c.pieces, err = c.r.following(pos{}); err != nil {
		return nil, err
	}
	if err := c.sketch(ctx); err != nil {
		return nil, err
	}
	return c.best(ctx, n)
}

// best returns the n most frequent pairs by the places.
func (c *peerCount) best(ctx context.Context, n int) (peers []Peer, err error) {
	for least := c.nth(8 * n); ; {
		if peers, err = c.exactly(ctx, least); err != nil {
			return nil, err
		}
		k := min(n, len(peers)) // at least n places count, so that fewer pairs are all there are
		if k == 0 || peers[k-1].Events >= uint64(least) || least == 1 {
			return peers[:k], errors.Join(c.faults...)
		}
		least = uint32(peers[k-1].Events)
	}
}

// nth returns the nth highest count of a place, at least 1.
func (c *peerCount) nth(n int) uint32 {
	counts := slices.DeleteFunc(slices.Clone(c.places), func(v uint32) bool { return v == 0 })
	if len(counts) <= n {
		return 1
	}
	slices.Sort(counts)
	return counts[len(counts)-n]
}

// pass does work for each piece on several processors.
func (c *peerCount) pass(ctx context.Context, work func(g *groupReader, i int) error) (err error) {
	c.faults = nil
	do := func(_ context.Context, g *groupReader, i int) (struct{}, error) { return struct{}{}, work(g, i) }
	inOrder(ctx, len(c.pieces), do, func(i int, _ struct{}, e error) bool {
		if e = c.r.fault(c.pieces[i], e); errors.Is(e, errGone) {
			err = e
		} else if e != nil {
			c.faults = append(c.faults, e)
		}
		err = cmp.Or(err, ctx.Err())
		return err == nil
	})
	return err
}

// placeOf returns a pair's place. remote is the address as text.
func placeOf(process, remote uint64) uint32 {
	hi, lo := bits.Mul64(process^0x9e3779b97f4a7c15, remote|1)
	return uint32((hi ^ lo ^ remote) * 0xd6e8feb86659fd93 >> 44)
}

func hashOf(remote []byte) uint64 { return xxhash.Sum64(remote) }

// sketch fills the places.
func (c *peerCount) sketch(ctx context.Context) error {
	var mu sync.Mutex
	counts := make(map[*groupReader][]uint32) // each worker's own
	err := c.pass(ctx, func(g *groupReader, i int) error {
		mu.Lock()
		own := counts[g]
		if own == nil {
			own = make([]uint32, places)
			counts[g] = own
		}
		mu.Unlock()
		return c.eachPair(ctx, g, i, func(p *pairPage) error {
			for _, row := range p.rows {
				if at, ok := p.place(row); ok && own[at] != math.MaxUint32 {
					own[at]++
				}
			}
			return nil
		})
	})
	c.places = nil
	for _, own := range counts {
		if c.places == nil {
			c.places = own
			continue
		}
		for i, v := range own {
			c.places[i] += min(v, math.MaxUint32-c.places[i])
		}
	}
	return err
}

// exactly counts the pairs of places that have at least as many events.
func (c *peerCount) exactly(ctx context.Context, least uint32) ([]Peer, error) {
	var mu sync.Mutex
	var all tallies[peerKey]
	err := c.pass(ctx, func(g *groupReader, i int) error {
		var some tallies[peerKey]
		err := c.eachPair(ctx, g, i, func(p *pairPage) error { return p.details(least, &some) })
		mu.Lock()
		defer mu.Unlock()
		for k, at := range some.index {
			all.of(k).add(some.list[at])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	peers := make([]Peer, 0, len(all.list))
	for k, at := range all.index {
		t := all.list[at]
		peers = append(peers, Peer{uint64(k.process), netip.AddrFrom16(k.remote).Unmap().String(), t.events, t.rx, t.tx, t.first, t.last})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Or(cmp.Compare(b.Events, a.Events), comparePeers(a, b)) })
	return peers, nil
}

// eachPair gives the rows of a piece, as q wants them, some hundreds at a time.
func (c *peerCount) eachPair(ctx context.Context, g *groupReader, i int, visit func(*pairPage) error) error {
	path := filepath.Join(c.r.dir, c.pieces[i].name)
	if c.pieces[i].live || c.q.Match != nil {
		return c.eachEvent(ctx, g, i, visit)
	}
	s, err := openSegment(path)
	if err != nil {
		return err
	}
	defer s.close()
	p := pairPage{c: c, g: g}
	return guarded(func() error {
		return s.each(g, c.q, ctx.Err, func(first int, rows []int) error {
			if err := p.load(first, rows); err != nil {
				return err
			}
			return visit(&p)
		})
	})
}

// pairPage is rows of one page of a segment, or the events of a live log.
type pairPage struct {
	c    *peerCount
	g    *groupReader
	rows []int

	group         int // the first row of the row group, plus one
	procs, remote *chunkReader
	hashes        []uint64 // of the entries of remote, odd; 0 for unspecified addresses

	events []activity.Event // of a live log, instead of all that
}

// load turns to rows of a row group.
func (p *pairPage) load(first int, rows []int) (err error) {
	from, to := rows[0], rows[len(rows)-1]+1
	p.rows = rows
	if p.procs, err = p.g.seek(colProcess, from, to); err != nil {
		return err
	}
	if p.remote, err = p.g.seek(colRemoteIP, from, to); err != nil {
		return err
	}
	if p.group == first+1 {
		return nil
	}
	p.group = first + 1
	p.hashes = p.hashes[:0]
	for _, text := range p.remote.texts {
		h := hashOf(text) | 1
		if s := string(text); s == "0.0.0.0" || s == "::" {
			h = 0
		}
		p.hashes = append(p.hashes, h)
	}
	return nil
}

// place returns the place of a row's pair, if it has one.
func (p *pairPage) place(row int) (uint32, bool) {
	if p.events != nil {
		k, _ := peerOf(&p.events[row])
		a := p.events[row].Remote.Addr()
		return placeOf(uint64(k.process), hashOf([]byte(a.WithZone("").String()))|1), a.IsValid() && !a.IsUnspecified()
	}
	a := p.remote.codes[row-p.remote.from]
	if a < 0 || p.hashes[a] == 0 {
		return 0, false
	}
	id := uint64(0)
	if k := p.procs.codes[row-p.procs.from]; k >= 0 {
		id = uint64(p.procs.nums[k])
	}
	return placeOf(id, p.hashes[a]), true
}

// details counts the rows whose places have at least as many events.
func (p *pairPage) details(least uint32, into *tallies[peerKey]) error {
	var rows []int
	for _, row := range p.rows {
		if at, ok := p.place(row); ok && p.c.places[at] >= least {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if p.events != nil {
		for _, row := range rows {
			k, t := peerOf(&p.events[row])
			into.of(k).add(t)
		}
		return nil
	}
	var cols [3]*chunkReader
	for i, c := range []int{colTime, colRx, colTx} {
		var err error
		if cols[i], err = p.g.seek(c, p.rows[0], p.rows[len(p.rows)-1]+1); err != nil {
			return err
		}
	}
	for _, row := range rows {
		a := p.g.dec.addr(colRemoteIP, int64(p.remote.codes[row-p.remote.from]))
		id, _ := p.procs.at(row)
		time, _ := cols[0].at(row)
		rx, _ := cols[1].at(row)
		tx, _ := cols[2].at(row)
		into.of(peerKey{activity.ProcessID(id), a.As16()}).add(tally{1, uint64(rx), uint64(tx), time, time})
	}
	return p.g.dec.err
}

func peerOf(e *activity.Event) (peerKey, tally) {
	k := peerKey{remote: e.Remote.Addr().As16()}
	if e.Process != nil {
		k.process = e.Process.ID
	}
	return k, tally{1, e.Rx, e.Tx, e.Time, e.Time}
}

// eachEvent is eachPair of a live log, or where q needs whole events.
func (c *peerCount) eachEvent(ctx context.Context, g *groupReader, i int, visit func(*pairPage) error) error {
	p := pairPage{c: c, g: g}
	flush := func() error {
		p.rows = p.rows[:0]
		for i := range p.events {
			p.rows = append(p.rows, i)
		}
		err := visit(&p)
		p.events = p.events[:0]
		return err
	}
	var failed error
	take := func(_ pos, e *activity.Event, err error) bool {
		if err != nil {
			failed = cmp.Or(failed, err)
			return true
		}
		if p.events = append(p.events, *e); len(p.events) == rowBatch {
			err = flush()
			failed = cmp.Or(failed, err)
		}
		return err == nil
	}
	var sel *selection
	var err error
	if !c.pieces[i].live {
		sel, err = c.r.segment(ctx, g, c.pieces[i], pos{}, c.q)
	}
	if _, _, err = c.r.piece(ctx, c.pieces[i], sel, err, pos{}, c.q, take); err != nil {
		failed = cmp.Or(failed, err)
	}
	if len(p.events) > 0 {
		failed = cmp.Or(failed, flush())
	}
	return failed
}
