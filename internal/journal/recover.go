package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// recover makes good what an earlier run left and finds this run's epoch.
func (w *Writer) recover() error {
	dir := w.cfg.Dir
	if err := removeTmp(dir); err != nil {
		return fmt.Errorf("recover journal: %w", err)
	}
	recorded, removed := make(map[string]bool), make(map[string]bool)
	var newest uint64
	c, err := openChain(dir, func(r *record) {
		switch r.Op {
		case opSeal, opMerge:
			recorded[r.Segment] = true
		case opRemove:
			removed[r.Segment] = true
		case opOpen:
			if p, ok := parseName(r.Live); ok {
				newest = max(newest, p.first.epoch)
			}
		}
	})
	if err != nil {
		return err
	}
	w.chain = c
	if err = w.recoverPieces(recorded, removed, &newest); err == nil {
		err = w.identify(newest)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("recover journal: %w", err), c.close())
	}
	return nil
}

// recoverPieces finishes, or undoes, the sealing, merging or removal that a
// crash broke off, and makes the live logs left over sealable.
func (w *Writer) recoverPieces(recorded, removed map[string]bool, newest *uint64) error {
	l, err := list(w.cfg.Dir)
	if err != nil {
		return err
	}
	origin := make(map[pos]bool) // positions at which a source for sealing or merging begins
	for _, p := range append(l.pieces, l.superseded...) {
		*newest = max(*newest, p.first.epoch, p.last.epoch)
		origin[p.first] = origin[p.first] || p.live || recorded[p.name]
	}
	for _, p := range append(l.pieces, l.superseded...) {
		if p.live {
			continue
		}
		// Without its chain record a sealing didn't happen: it is done again from
		// what it was made of. A removal that the chain records did.
		if removed[p.name] || !recorded[p.name] && origin[p.first] {
			if err := removeSegment(w.cfg.Dir, p.name); err != nil {
				return err
			}
		}
	}
	if l, err = list(w.cfg.Dir); err != nil {
		return err
	}
	for _, p := range l.superseded {
		if err := w.discard(p); err != nil {
			return err
		}
	}
	for _, p := range l.pieces {
		if p.live {
			if err := w.adopt(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard removes a piece that a segment covers.
func (w *Writer) discard(p piece) error {
	if !p.live {
		return removeSegment(w.cfg.Dir, p.name)
	}
	return os.Remove(filepath.Join(w.cfg.Dir, p.name))
}

// adopt cuts the torn tail of a live log that an earlier run left, and queues it
// for sealing; without any event it is removed.
func (w *Writer) adopt(p piece) error {
	path := filepath.Join(w.cfg.Dir, p.name)
	l, err := readLive(path)
	if err != nil {
		return err
	}
	if len(l.events) == 0 {
		if len(l.damage) > 0 {
			return nil // kept as evidence: Verify and the reader tell of it
		}
		return w.removeEmpty(p.name)
	}
	if l.tail < l.size {
		if err := os.Truncate(path, int64(l.tail)); err != nil {
			return err
		}
	}
	w.rotated = append(w.rotated, p.name)
	return nil
}

// removeEmpty removes a live log that holds no event, and says so in the chain,
// which knows that it was begun.
func (w *Writer) removeEmpty(name string) error {
	if err := w.chain.append(record{Time: w.cfg.Now().UnixNano(), Op: opEmpty, Live: name}, true); err != nil {
		return err
	}
	return os.Remove(filepath.Join(w.cfg.Dir, name))
}

// identify reads or makes the host's identity and takes the next epoch.
func (w *Writer) identify(newest uint64) error {
	id, err := hostID(filepath.Join(w.cfg.Dir, hostName), w.cfg.HostName)
	if err != nil {
		return err
	}
	path := filepath.Join(w.cfg.Dir, epochName)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// An unreadable number is no reason not to record: the names tell it too.
	if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil {
		newest = max(newest, n)
	}
	w.last = pos{epoch: newest + 1}
	w.head = header{host: id, hostName: w.cfg.HostName, boot: w.cfg.BootID}
	return writeFileAtomic(path, fmt.Appendf(nil, "%d\n", w.last.epoch))
}

// hostID reads the host file: 32 hexadecimal digits, and the host's name for
// people. A missing one is made.
func hostID(path, name string) (id [16]byte, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		text, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
		d, err := hex.DecodeString(text)
		if err != nil || len(d) != len(id) {
			return id, fmt.Errorf("%s: no host id in %.40q", path, b)
		}
		return [16]byte(d), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	rand.Read(id[:]) // never fails: crypto/rand
	return id, writeFileAtomic(path, fmt.Appendf(nil, "%x\n%s\n", id, strings.ReplaceAll(name, "\n", " ")))
}
