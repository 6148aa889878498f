package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// Fault says what is wrong with a part of the record.
type Fault string

// The faults.
const (
	FaultChain      Fault = "chain"      // a chain record was changed, or one is missing before it
	FaultMissing    Fault = "missing"    // the chain tells of it, and it is gone
	FaultChanged    Fault = "changed"    // it is not what was sealed
	FaultUnrecorded Fault = "unrecorded" // it is there, and the chain doesn't tell of it: the chain was cut short, or it was put there
	FaultDamaged    Fault = "damaged"    // a live log has bytes that are no frame
	FaultHole       Fault = "hole"       // sequence numbers are missing: lost events have none
)

// Problem is one thing that Verify found.
type Problem struct {
	Fault  Fault
	Name   string // file or segment
	Detail string
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Fault, p.Name, p.Detail) }

// Report is what Verify found.
type Report struct {
	Records  int       // of the chain
	Segments int       // there and recorded
	Live     int       // live logs
	Events   uint64    // in both
	Removed  int       // segments that retention removed
	Head     string    // SHA-256 of the chain's last record: kept elsewhere, it proves later that nothing was cut off
	Problems []Problem // none: the record is whole
}

// Verify walks the chain and compares it with the directory: sums of all sealed
// files, frames of live logs, and the continuity of sequence numbers. A chain
// that was cut short together with all that the cut records tell of can only be
// seen by comparing Head with one kept elsewhere.
func Verify(ctx context.Context, dir string) (*Report, error) {
	for try := 0; ; try++ {
		v := &verifier{dir: dir, segments: make(map[string]*record), live: make(map[string]bool)}
		if err := v.run(ctx); err != nil {
			return nil, err
		}
		// A recorder may have sealed, merged or removed meanwhile: look again.
		if len(v.report.Problems) == 0 || try == 3 || v.unmoved() {
			return &v.report, nil
		}
	}
}

type verifier struct {
	dir      string
	report   Report
	size     int64              // of the chain when it was read
	segments map[string]*record // that should be there
	live     map[string]bool    // live logs that should be there
	ranges   []span64           // of everything ever sealed, and of live logs
}

func (v *verifier) problem(f Fault, name, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{f, name, fmt.Sprintf(format, args...)})
}

func (v *verifier) unmoved() bool {
	st, err := os.Stat(filepath.Join(v.dir, chainName))
	return err == nil && st.Size() == v.size
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.readChain(); err != nil {
		return err
	}
	l, err := list(v.dir)
	if err != nil {
		return err
	}
	for _, p := range append(l.pieces, l.superseded...) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.live {
			v.checkLive(p)
		} else {
			v.checkSegment(p)
		}
	}
	for _, name := range sortedKeys(v.segments) {
		v.problem(FaultMissing, name, "the chain's record %d tells of it", v.segments[name].N)
	}
	for _, name := range sortedKeys(v.live) {
		v.problem(FaultMissing, name, "it was begun and not sealed")
	}
	v.checkContinuity()
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// readChain checks the chain's own links and replays it.
func (v *verifier) readChain() error {
	f, err := os.Open(filepath.Join(v.dir, chainName))
	if errors.Is(err, fs.ErrNotExist) {
		v.problem(FaultMissing, chainName, "there is no chain")
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	next := uint64(1)
	for l, err := range chainLines(f) {
		if err != nil {
			v.problem(FaultChain, chainName, "after record %d: %v", v.report.Records, err)
			break
		}
		v.size = l.end
		v.report.Records++
		switch {
		case l.err != nil:
			v.problem(FaultChain, chainName, "line %d: %v", v.report.Records, l.err)
		case l.rec.N != next || l.rec.Prev != v.report.Head:
			v.problem(FaultChain, chainName, "record %d does not follow what is before it", l.rec.N)
		}
		if l.err == nil {
			next = l.rec.N
			v.replay(&l.rec)
		}
		next++
		v.report.Head = l.sum
	}
	return nil
}

func (v *verifier) replay(r *record) {
	switch r.Op {
	case opOpen:
		v.live[r.Live] = true
	case opEmpty:
		delete(v.live, r.Live)
	case opSeal:
		v.ranges = append(v.ranges, r.Ranges...)
		for _, name := range r.Inputs {
			delete(v.live, name)
		}
		v.segments[r.Segment] = r
	case opMerge:
		for _, name := range r.Inputs {
			delete(v.segments, name)
		}
		v.segments[r.Segment] = r
	case opRemove:
		delete(v.segments, r.Segment)
		v.report.Removed++
	}
}

func (v *verifier) checkSegment(p piece) {
	r := v.segments[p.name]
	delete(v.segments, p.name)
	if r == nil {
		v.problem(FaultUnrecorded, p.name, "the chain has no record of it")
		return
	}
	v.report.Segments++
	v.report.Events += count(r.Ranges)
	for _, want := range r.Files {
		got, err := sumFile(filepath.Join(v.dir, p.name, want.Name))
		name := p.name + "/" + want.Name
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.problem(FaultMissing, name, "the chain's record %d tells of it", r.N)
		case err != nil:
			v.problem(FaultChanged, name, "%v", err)
		case got.SHA256 != want.SHA256:
			v.problem(FaultChanged, name, "%d bytes with SHA-256 %.16s..., sealed were %d with %.16s...", got.Bytes, got.SHA256, want.Bytes, want.SHA256)
		}
	}
	for _, g := range r.Ranges {
		if n := g.Last - g.First + 1; n != g.Count {
			v.problem(FaultHole, p.name, "%d of the %d events of epoch %d are missing", n-g.Count, n, g.Epoch)
		}
	}
}

func (v *verifier) checkLive(p piece) {
	known := v.live[p.name]
	delete(v.live, p.name)
	l, err := readLive(filepath.Join(v.dir, p.name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		v.problem(FaultDamaged, p.name, "%v", err)
		return
	}
	if !known {
		v.problem(FaultUnrecorded, p.name, "the chain has no record of it")
	}
	v.report.Live++
	v.report.Events += uint64(len(l.events))
	for _, d := range l.damage {
		v.problem(FaultDamaged, p.name, "bytes %d to %d", d.from, d.to)
	}
	v.liveContinuity(p, l)
}

func (v *verifier) liveContinuity(p piece, l *liveLog) {
	want := p.first.seq
	var rs []span64
	var e activity.Event
	for i := range l.events {
		if l.event(i, &e) != nil {
			continue
		}
		if e.Seq != want {
			v.problem(FaultHole, p.name, "event %d of epoch %d is where %d should be", e.Seq, p.first.epoch, want)
		}
		want = e.Seq + 1
		rs = addPos(rs, pos{p.first.epoch, e.Seq}, e.Time)
	}
	v.ranges = append(v.ranges, rs...)
}

// checkContinuity looks for sequence numbers that no piece ever had.
func (v *verifier) checkContinuity() {
	slices.SortFunc(v.ranges, func(a, b span64) int { return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.First, b.First)) })
	var at pos
	for _, r := range v.ranges {
		if r.Epoch != at.epoch {
			at = pos{r.Epoch, 0}
		}
		if r.First > at.seq+1 {
			v.problem(FaultHole, fmt.Sprintf("epoch %d", r.Epoch), "events %d to %d are in no live log and no segment", at.seq+1, r.First-1)
		}
		at.seq = max(at.seq, r.Last)
	}
}
