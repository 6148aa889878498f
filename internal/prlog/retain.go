package prlog

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// oldSet is a set in the directory.
type oldSet struct {
	suffix string
	names  []string
	size   int64
	last   time.Time // modification of its newest file
}

// retain removes the sets that MaxAge and MaxTotal do not keep, but never the
// one being written.
func (w *Writer) retain(now time.Time) error {
	if w.cfg.MaxAge == 0 && w.cfg.MaxTotal == 0 {
		return nil
	}
	sets, err := listSets(w.cfg.Dir)
	if err != nil {
		return fmt.Errorf("classic logs: retention: %w", err)
	}
	var total int64
	for _, s := range sets {
		total += s.size
	}
	var errs []error
	for _, s := range sets {
		// A set that stays, because it is not ours, still counts in the total: the
		// bound is on the directory.
		old := w.cfg.MaxAge > 0 && now.Sub(s.last) > w.cfg.MaxAge
		big := w.cfg.MaxTotal > 0 && total > w.cfg.MaxTotal
		if !old && !big || s.suffix == w.set.suffix || !s.ours(w.cfg.Dir) {
			continue
		}
		total -= s.size
		for _, name := range s.names {
			errs = append(errs, os.Remove(filepath.Join(w.cfg.Dir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("classic logs: retention: %w", err)
	}
	return nil
}

// listSets returns the sets of dir, the oldest first.
func listSets(dir string) ([]*oldSet, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	byName := map[string]*oldSet{}
	var sets []*oldSet
	for _, e := range entries {
		_, suffix, ok := ParseName(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		s := byName[suffix]
		if s == nil {
			s = &oldSet{suffix: suffix}
			byName[suffix] = s
			sets = append(sets, s)
		}
		s.names = append(s.names, e.Name())
		s.size += info.Size()
		if info.ModTime().After(s.last) {
			s.last = info.ModTime()
		}
	}
	slices.SortFunc(sets, func(a, b *oldSet) int {
		return cmp.Or(a.last.Compare(b.last), cmp.Compare(len(a.suffix), len(b.suffix)), strings.Compare(a.suffix, b.suffix))
	})
	return sets, nil
}

// ours reports whether every file of the set was written by this program.
func (s *oldSet) ours(dir string) bool {
	for _, name := range s.names {
		if !ourFile(filepath.Join(dir, name)) {
			return false
		}
	}
	return true
}

// ourFile reads the first line. A file that stayed empty, because the disk was
// full, is ours as well: the original is not at work here.
func ourFile(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	line, _, err := bufio.NewReaderSize(f, 256).ReadLine()
	return len(line) == 0 && err != nil || strings.HasPrefix(string(line), versionLine)
}
