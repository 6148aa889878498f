package journal

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// Summary is the whole record, or its hours from a time to another, counted.
type Summary struct {
	Rollups   []Rollup // one a key
	Peers     []Peer   // one a process and address; of the whole of the segments that touch the time
	Processes map[activity.ProcessID]*activity.Process
}

// Summary merges the roll-ups of the segments, and counts the live logs, without
// scanning sealed events. from and to (UTC ns; 0 open) select whole hours. What
// cannot be read is joined in the error, beside the sum of the rest.
func (r *Reader) Summary(ctx context.Context, from, to int64) (*Summary, error) {
	l, err := list(r.dir)
	if err != nil {
		return nil, err
	}
	s := summing{from: from, to: to, procs: make(map[activity.ProcessID]*activity.Process)}
	var errs []error
	for _, p := range l.pieces {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.fault(p, s.piece(filepath.Join(r.dir, p.name), p.live)); errors.Is(err, errGone) {
			return r.Summary(ctx, from, to)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return s.summary(), errors.Join(errs...)
}

// summing adds roll-ups up. Keys are rows without their numbers.
type summing struct {
	from, to int64
	keys     tallies[Rollup]
	peers    tallies[Peer]
	procs    map[activity.ProcessID]*activity.Process
}

func (s *summing) wants(hour int64) bool {
	return hour+nsPerHour > s.from && (s.to == 0 || hour < s.to)
}

func (s *summing) piece(path string, live bool) error {
	if live {
		return s.live(path)
	}
	any := false
	err := readTable(filepath.Join(path, rollupFile), func(r *Rollup) error {
		if s.wants(r.Hour) {
			any = true
			s.rollup(*r)
		}
		return nil
	})
	if err != nil || !any {
		return err
	}
	if err := readTable(filepath.Join(path, peersFile), func(p *Peer) error { s.peer(*p); return nil }); err != nil {
		return err
	}
	procs, err := openProcesses(path)
	s.learn(procs.all)
	return err
}

func (s *summing) live(path string) error {
	l, err := readLive(path)
	if err != nil {
		return err
	}
	var roll rollup
	var e activity.Event
	for i := range l.events {
		if l.event(i, &e) == nil && s.wants(e.Time-mod(e.Time, nsPerHour)) {
			roll.add(&e)
		}
	}
	for _, r := range roll.rows() {
		s.rollup(r)
	}
	for _, p := range roll.peerRows() {
		s.peer(p)
	}
	s.learn(maps.All(l.procs))
	return nil
}

func (s *summing) learn(procs iter.Seq2[activity.ProcessID, *activity.Process]) {
	for id, p := range procs {
		if q := s.procs[id]; q == nil || q.Rev <= p.Rev {
			s.procs[id] = p
		}
	}
}

func (s *summing) rollup(r Rollup) {
	t := tally{r.Events, r.Rx, r.Tx, r.First, r.Last}
	r.Events, r.Rx, r.Tx, r.First, r.Last = 0, 0, 0, 0, 0
	s.keys.of(r).add(t)
}

func (s *summing) peer(p Peer) {
	t := tally{p.Events, p.Rx, p.Tx, p.First, p.Last}
	p.Events, p.Rx, p.Tx, p.First, p.Last = 0, 0, 0, 0, 0
	s.peers.of(p).add(t)
}

func (s *summing) summary() *Summary {
	out := &Summary{Processes: s.procs}
	for r, i := range s.keys.index {
		t := &s.keys.list[i]
		r.Events, r.Rx, r.Tx, r.First, r.Last = t.events, t.rx, t.tx, t.first, t.last
		out.Rollups = append(out.Rollups, r)
	}
	for p, i := range s.peers.index {
		t := &s.peers.list[i]
		p.Events, p.Rx, p.Tx, p.First, p.Last = t.events, t.rx, t.tx, t.first, t.last
		out.Peers = append(out.Peers, p)
	}
	slices.SortFunc(out.Rollups, compareRollups)
	slices.SortFunc(out.Peers, comparePeers)
	return out
}

// compareRollups looks at the words only where the numbers are the same: they
// cost more to compare.
func compareRollups(a, b Rollup) int {
	if c := cmp.Or(cmp.Compare(a.Service, b.Service), strings.Compare(a.Proto, b.Proto), cmp.Compare(a.Process, b.Process), cmp.Compare(a.Hour, b.Hour)); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Reason, b.Reason))
}

func comparePeers(a, b Peer) int {
	return cmp.Or(cmp.Compare(a.Process, b.Process), cmp.Compare(a.Remote, b.Remote))
}
