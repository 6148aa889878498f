package journal

import (
	"net/netip"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxPeers bounds the addresses of a segment's roll-up: those with fewer events
// are counted together, under no address. maxTracked bounds those that it
// counts, in memory.
const (
	maxPeers   = 4096
	maxTracked = 1 << 16
)

// Rollup counts the events of one hour, protocol, service port, process and
// outcome, which is a kind and its reason.
type Rollup struct {
	Hour    int64  `parquet:"hour,timestamp(nanosecond),delta"` // its beginning, UTC ns
	Proto   string `parquet:"proto,dict"`
	Service uint32 `parquet:"service_port,uint(16)"`
	Process uint64 `parquet:"process,dict"` // 0 unknown
	Kind    string `parquet:"kind,dict"`
	Reason  string `parquet:"reason,dict"`
	Events  uint64 `parquet:"events"`
	Rx      uint64 `parquet:"rx"`
	Tx      uint64 `parquet:"tx"`
	First   int64  `parquet:"first,timestamp(nanosecond)"`
	Last    int64  `parquet:"last,timestamp(nanosecond)"`
}

// Peer counts the events between one process and one remote address. The row
// with no address stands for the less frequent ones of all processes.
type Peer struct {
	Process uint64 `parquet:"process,dict"`
	Remote  string `parquet:"remote_ip"`
	Events  uint64 `parquet:"events"`
	Rx      uint64 `parquet:"rx"`
	Tx      uint64 `parquet:"tx"`
	First   int64  `parquet:"first,timestamp(nanosecond)"`
	Last    int64  `parquet:"last,timestamp(nanosecond)"`
}

// rollupKey is hour, process, and the rest of a Rollup's key packed: plain words,
// which hash faster than a struct of parts.
type rollupKey [3]uint64

func rollupKeyOf(e *activity.Event) rollupKey {
	k := rollupKey{uint64(e.Time - mod(e.Time, nsPerHour)), 0, uint64(e.Service())<<24 | uint64(e.Proto)<<16 | uint64(e.Kind)<<8 | uint64(e.Reason)}
	if e.Process != nil {
		k[1] = uint64(e.Process.ID)
	}
	return k
}

func (k rollupKey) row(t tally) Rollup {
	return Rollup{int64(k[0]), activity.Proto(k[2] >> 16).String(), uint32(k[2] >> 24), k[1], activity.Kind(k[2] >> 8).String(), activity.Reason(k[2]).String(),
		t.events, t.rx, t.tx, t.first, t.last}
}

type peerKey struct {
	process activity.ProcessID
	remote  [16]byte // IPv4 mapped: hashes faster than a netip.Addr
}

// tally is what both roll-ups count.
type tally struct {
	events, rx, tx uint64
	first, last    int64
}

func (t *tally) add(u tally) {
	if t.events == 0 {
		t.first, t.last = u.first, u.last
	}
	t.first, t.last = min(t.first, u.first), max(t.last, u.last)
	t.events, t.rx, t.tx = t.events+u.events, t.rx+u.rx, t.tx+u.tx
}

// tallies counts by key. Keys and counts hold no pointers, which the garbage
// collector would have to follow.
type tallies[K comparable] struct {
	index map[K]int32 // into list
	list  []tally
}

// of returns the tally of k, to be used before the next call.
func (c *tallies[K]) of(k K) *tally {
	i, ok := c.index[k]
	if !ok {
		if c.index == nil {
			c.index = make(map[K]int32)
		}
		i = int32(len(c.list))
		c.index[k] = i
		c.list = append(c.list, tally{})
	}
	return &c.list[i]
}

// reset forgets all, and keeps the memory.
func (c *tallies[K]) reset() {
	clear(c.index)
	c.list = c.list[:0]
}

// rollup gathers both roll-ups of one segment. Its events come sorted by
// service port, so that the same key follows itself often.
type rollup struct {
	keys  tallies[rollupKey]
	peers tallies[peerKey]
	rest  tally // of peers beyond maxTracked
}

func (r *rollup) reset() {
	r.keys.reset()
	r.peers.reset()
	r.rest = tally{}
}

func (r *rollup) add(e *activity.Event) {
	t := tally{events: 1, rx: e.Rx, tx: e.Tx, first: e.Time, last: e.Time}
	k := rollupKeyOf(e)
	r.keys.of(k).add(t)
	if a := e.Remote.Addr(); a.IsValid() && !a.IsUnspecified() {
		r.peer(peerKey{activity.ProcessID(k[1]), a.As16()}).add(t)
	}
}

func (r *rollup) peer(k peerKey) *tally {
	if len(r.peers.list) >= maxTracked {
		if _, ok := r.peers.index[k]; !ok {
			return &r.rest
		}
	}
	return r.peers.of(k)
}

const nsPerHour = int64(time.Hour)

// mod is the non-negative remainder, also for times before 1970.
func mod(v, m int64) int64 {
	if v %= m; v < 0 {
		v += m
	}
	return v
}

func (r *rollup) write(dir string, codec *zstdCodec) error {
	rows, peers := r.rows(), r.peerRows()
	if err := writeTable(dir, rollupFile, codec, len(rows), each(rows)); err != nil {
		return err
	}
	return writeTable(dir, peersFile, codec, len(peers), each(peers))
}

func each[T any](rows []T) func(yield func(*T) bool) {
	return func(yield func(*T) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}

func (r *rollup) rows() []Rollup {
	rows := make([]Rollup, 0, len(r.keys.list))
	for k, i := range r.keys.index {
		rows = append(rows, k.row(r.keys.list[i]))
	}
	slices.SortFunc(rows, compareRollups)
	return rows
}

// peerRows lists the most frequent peers, and the others together under no
// process and no address.
func (r *rollup) peerRows() []Peer {
	rows := make([]Peer, 0, min(len(r.peers.list), maxPeers))
	least := r.leastFrequent()
	rest := r.rest
	for k, i := range r.peers.index {
		t := &r.peers.list[i]
		if t.events < least || len(rows) == maxPeers-1 {
			rest.add(*t)
			continue
		}
		rows = append(rows, Peer{uint64(k.process), netip.AddrFrom16(k.remote).Unmap().String(), t.events, t.rx, t.tx, t.first, t.last})
	}
	if rest.events > 0 {
		rows = append(rows, Peer{Events: rest.events, Rx: rest.rx, Tx: rest.tx, First: rest.first, Last: rest.last})
	}
	slices.SortFunc(rows, comparePeers)
	return rows
}

// leastFrequent returns the number of events from which a peer has a row of its
// own, so that there are fewer than maxPeers of them where that can be. Counts
// over 255 are told apart no further.
func (r *rollup) leastFrequent() uint64 {
	var with [256]int
	for i := range r.peers.list {
		with[min(r.peers.list[i].events, 255)]++
	}
	n := 0
	for least := uint64(255); least > 0; least-- {
		if n += with[least]; n >= maxPeers {
			return least + 1
		}
	}
	return 0
}
