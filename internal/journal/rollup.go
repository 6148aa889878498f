package journal

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxPeers bounds the addresses of a segment's roll-up: those with fewer events
// are counted together, under no address.
const maxPeers = 4096

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
	remote  netip.Addr
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

	key rollupKey // the key of at
	at  *tally
}

func newRollup() *rollup {
	return &rollup{keys: make(map[rollupKey]*tally), peers: make(map[peerKey]*tally)}
}

func (r *rollup) add(e *activity.Event) {
	t := tally{events: 1, rx: e.Rx, tx: e.Tx, first: e.Time, last: e.Time}
	k := rollupKey{hour: e.Time - mod(e.Time, int64(time.Hour)), service: e.Service(), proto: e.Proto, kind: e.Kind, reason: e.Reason}
	if e.Process != nil {
		k.process = e.Process.ID
	}
	if r.at == nil || r.key != k {
		r.key, r.at = k, entry(r.keys, k)
	}
	r.at.add(t)
	if a := e.Remote.Addr(); a.IsValid() && !a.IsUnspecified() {
		entry(r.peers, peerKey{k.process, a}).add(t)
	}
}

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

func (r *rollup) write(dir string) error {
	if err := writeTable(dir, rollupFile, each(r.rows())); err != nil {
		return err
	}
	return writeTable(dir, peersFile, each(r.peerRows()))
}

func each[T any](rows []T) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for _, r := range rows {
			if !yield(r) {
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
	slices.SortFunc(rows, func(a, b Rollup) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Process, b.Process),
			cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return rows
}

func (r *rollup) peerRows() []Peer {
	rows := make([]Peer, 0, len(r.peers))
	for k, t := range r.peers {
		rows = append(rows, Peer{uint64(k.process), addrText(k.remote), t.events, t.rx, t.tx, t.first, t.last})
	}
	slices.SortFunc(rows, func(a, b Peer) int { return cmp.Or(cmp.Compare(b.Events, a.Events), comparePeers(a, b)) })
	if len(rows) > maxPeers {
		rows = cutPeers(rows)
	}
	slices.SortFunc(rows, comparePeers)
	return rows
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.WithZone("").String()
}

func comparePeers(a, b Peer) int {
	return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Remote, b.Remote))
}

// cutPeers keeps the most frequent and sums the others under no process and no
// address.
func cutPeers(rows []Peer) []Peer {
	var t tally
	for _, p := range rows[maxPeers-1:] {
		t.add(tally{p.Events, p.Rx, p.Tx, p.First, p.Last})
	}
	return append(rows[:maxPeers-1], Peer{Events: t.events, Rx: t.rx, Tx: t.tx, First: t.first, Last: t.last})
}

// readRollup gives the rows of a segment's roll-ups to two functions.
func readRollup(dir string, visit func(*Rollup) error, visitPeer func(*Peer) error) error {
	if visit != nil {
		if err := readTable(filepath.Join(dir, rollupFile), visit); err != nil {
			return err
		}
	}
	if visitPeer != nil {
		return readTable(filepath.Join(dir, peersFile), visitPeer)
	}
	return nil
}
