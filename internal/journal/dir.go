package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names within the journal's directory. Segments are directories.
const (
	lockName  = "lock"
	hostName  = "host"
	epochName = "epoch"
	chainName = "chain.jsonl"
	tmpSuffix = ".tmp"

	fileMode = 0o640
	dirMode  = 0o750
)

// pos is a place in the record: events are numbered from 1 in each epoch.
type pos struct{ epoch, seq uint64 }

func (p pos) compare(q pos) int {
	return cmp.Or(cmp.Compare(p.epoch, q.epoch), cmp.Compare(p.seq, q.seq))
}

func (p pos) less(q pos) bool { return p.compare(q) < 0 }

// next is the least position after p, in p's epoch.
func (p pos) next() pos { return pos{p.epoch, p.seq + 1} }

// piece is a live log or a sealed segment, as its name tells.
type piece struct {
	name  string
	live  bool
	first pos
	last  pos // segments only
}

func liveName(first pos) string { return fmt.Sprintf("live-%06d-%012d.prj", first.epoch, first.seq) }

func segmentName(first, last pos) string {
	return fmt.Sprintf("seg-%06d-%012d-%06d-%012d", first.epoch, first.seq, last.epoch, last.seq)
}

// parseName reads the name of a live log or a segment; ok is false for every
// name that this package would not have given.
func parseName(name string) (p piece, ok bool) {
	if s, found := strings.CutPrefix(name, "live-"); found {
		s, found = strings.CutSuffix(s, ".prj")
		n := numbers(s)
		if !found || len(n) != 2 {
			return piece{}, false
		}
		p = piece{name: name, live: true, first: pos{n[0], n[1]}}
		return p, name == liveName(p.first)
	}
	s, found := strings.CutPrefix(name, "seg-")
	n := numbers(s)
	if !found || len(n) != 4 {
		return piece{}, false
	}
	p = piece{name: name, first: pos{n[0], n[1]}, last: pos{n[2], n[3]}}
	return p, name == segmentName(p.first, p.last) && !p.last.less(p.first)
}

func numbers(s string) (ns []uint64) {
	for part := range strings.SplitSeq(s, "-") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || len(ns) == 4 {
			return nil
		}
		ns = append(ns, n)
	}
	return ns
}

// listing is what a directory holds: the pieces to read, in order of position,
// and what they supersede (left by a crash, or by a sealing under way).
type listing struct {
	pieces     []piece
	superseded []piece
}

// list reads the directory. A segment supersedes the live logs and the
// segments whose positions it covers.
func list(dir string) (listing, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return listing{}, fmt.Errorf("list journal: %w", err)
	}
	var all []piece
	for _, e := range entries {
		if p, ok := parseName(e.Name()); ok && p.live != e.IsDir() {
			all = append(all, p)
		}
	}
	return arrange(all), nil
}

func arrange(all []piece) (l listing) {
	// Of pieces that begin at one position the longest comes first, live logs last.
	slices.SortFunc(all, func(a, b piece) int { return cmp.Or(a.first.compare(b.first), b.last.compare(a.last)) })
	var covered pos
	for _, p := range all {
		end := p.last
		if p.live {
			end = p.first
		}
		if len(l.pieces) > 0 && !covered.less(end) {
			l.superseded = append(l.superseded, p)
			continue
		}
		l.pieces = append(l.pieces, p)
		if !p.live && covered.less(p.last) {
			covered = p.last
		}
	}
	return l
}

// removeTmp removes what was never finished.
func removeTmp(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix))
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, os.RemoveAll(n))
	}
	return errors.Join(errs...)
}

// removeSegment takes a segment away as a whole: a reader finds all of it or
// none, and a crash leaves only a name that the next Open removes.
func removeSegment(dir, name string) error {
	path := filepath.Join(dir, name)
	if err := os.Rename(path, path+tmpSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove segment: %w", err)
	}
	if err := os.RemoveAll(path + tmpSuffix); err != nil {
		return fmt.Errorf("remove segment: %w", err)
	}
	return nil
}

// writeFileAtomic replaces a small file so that a crash leaves the old or the
// new one.
func writeFileAtomic(path string, data []byte) error {
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}
