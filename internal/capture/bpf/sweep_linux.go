//go:build amd64 || arm64

package bpf

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
)

// sweepEvery is how long an entry of the socket table may lie unused, at least,
// before it is swept out.
const sweepEvery = 10 * time.Second

// sweeper frees the entries of the kernel's table of TCP sockets whose socket is
// gone, and whose address nobody has used again: the hooks never do, as the next
// socket is mostly at the same address.
type sweeper struct {
	last   time.Time
	gone   map[uint64]uint64 // the last sweep's: address, and when its socket began
	failed uint64
}

// sweep deletes what was gone at the last sweep too, if that is long enough ago.
func (w *sweeper) sweep(now time.Time, s *scanner, table *ebpf.Map) error {
	if now.Sub(w.last) < sweepEvery {
		return nil
	}
	w.last = now
	gone := make(map[uint64]uint64, len(w.gone))
	var old []uint64
	err := s.lines(s.goneIter, int(unsafe.Sizeof(recorderRecGone{})), func(b []byte) bool {
		r, err := record[recorderRecGone](b)
		if err != nil {
			return false
		}
		if birth, before := w.gone[r.Address]; before && birth == r.Birth {
			old = append(old, r.Address)
		} else {
			gone[r.Address] = r.Birth
		}
		return true
	})
	w.gone = gone
	if err != nil || len(old) == 0 {
		return err
	}
	// A socket that takes over one of them at this very moment loses its entry, and
	// is told by the second chances.
	if _, err := table.BatchDelete(old, nil); err != nil {
		return fmt.Errorf("sweep the socket table: %w", err)
	}
	return nil
}
