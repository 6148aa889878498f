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

type rollupKey struct {
	hour    int64
	process activity.ProcessID
	service uint16
	proto   activity.Proto
	kind    activity.Kind
	reason  activity.Reason
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

// rollup gathers both roll-ups of one segment. Its events come sorted by
// service port, so that the same key follows itself often.
type rollup struct {
	keys  map[rollupKey]*tally
	peers map[peerKey]*tally
	rest  tally // of peers beyond maxTracked

	key rollupKey // the key of at
	at  *tally
}

func newRollup() *rollup {
	return &rollup{keys: make(map[rollupKey]*tally), peers: make(map[peerKey]*tally)}
}

func (r *rollup) add(e *activity.Event) {
	t := tally{events: 1, rx: e.Rx, tx: e.Tx, first: e.Time, last: e.Time}
	k := rollupKey{hour: e.Time - mod(e.Time, nsPerHour), service: e.Service(), proto: e.Proto, kind: e.Kind, reason: e.Reason}
	if e.Process != nil {
		k.process = e.Process.ID
	}
	if r.at == nil || r.key != k {
		r.key, r.at = k, entry(r.keys, k)
	}
	r.at.add(t)
	if a := e.Remote.Addr(); a.IsValid() && !a.IsUnspecified() {
		r.peer(peerKey{k.process, a.As16()}).add(t)
	}
}

func (r *rollup) peer(k peerKey) *tally {
	t := r.peers[k]
	if t == nil {
		if len(r.peers) >= maxTracked {
			return &r.rest
		}
		t = new(tally)
		r.peers[k] = t
	}
	return t
}

const nsPerHour = int64(time.Hour)

// mod is the non-negative remainder, also for times before 1970.
func mod(v, m int64) int64 {
	if v %= m; v < 0 {
		v += m
	}
	return v
}

func entry[K comparable](m map[K]*tally, k K) *tally {
	t := m[k]
	if t == nil {
		t = new(tally)
		m[k] = t
	}
	return t
}

func (r *rollup) write(dir string, codec *zstdCodec) error {
	if err := writeTable(dir, rollupFile, codec, each(r.rows())); err != nil {
		return err
	}
	return writeTable(dir, peersFile, codec, each(r.peerRows()))
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
	rows := make([]Rollup, 0, len(r.keys))
	for k, t := range r.keys {
		rows = append(rows, Rollup{k.hour, k.proto.String(), uint32(k.service), uint64(k.process), k.kind.String(), k.reason.String(),
			t.events, t.rx, t.tx, t.first, t.last})
	}
	slices.SortFunc(rows, compareRollups)
	return rows
}

// peerRows lists the most frequent peers, and the others together under no
// process and no address.
func (r *rollup) peerRows() []Peer {
	rows := make([]Peer, 0, min(len(r.peers), maxPeers))
	least := r.leastFrequent()
	rest := r.rest
	for k, t := range r.peers {
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
	for _, t := range r.peers {
		with[min(t.events, 255)]++
	}
	n := 0
	for least := uint64(255); least > 0; least-- {
		if n += with[least]; n >= maxPeers {
			return least + 1
		}
	}
	return 0
}
