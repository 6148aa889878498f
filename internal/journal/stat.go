package journal

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Stats is the size of a journal.
type Stats struct {
	Bytes    int64 // of everything in the directory
	Events   uint64
	Segments int
	Live     int   // live logs
	Oldest   int64 // time of the earliest event, UTC ns; 0 without events
	Newest   int64

	BytesPerEvent float64 // sealed only, as live logs shrink; 0 unknown
	BytesPerDay   float64 // at the average rate of the whole record; 0 unknown
}

// Stat measures the journal in dir. Pieces that cannot be read are left out and
// told in the error.
func Stat(dir string) (s Stats, err error) {
	r := Reader{dir: dir}
	l, err := list(dir)
	if err != nil {
		return s, err
	}
	var errs []error
	var sealed int64
	var sealedEvents uint64
	for _, p := range l.pieces {
		rs, err := r.ranges(p)
		if err != nil {
			if err := r.fault(p, err); !errors.Is(err, errGone) {
				errs = append(errs, err)
			}
			continue
		}
		s.add(rs)
		if p.live {
			s.Live++
			continue
		}
		s.Segments++
		n, err := dirBytes(filepath.Join(dir, p.name))
		errs = append(errs, err)
		sealed, sealedEvents = sealed+n, sealedEvents+count(rs)
	}
	if sealedEvents > 0 {
		s.BytesPerEvent = float64(sealed) / float64(sealedEvents)
		if d := time.Duration(s.Newest - s.Oldest); d > 0 {
			s.BytesPerDay = s.BytesPerEvent * float64(s.Events) / d.Hours() * 24
		}
	}
	s.Bytes, err = dirBytes(dir)
	return s, errors.Join(append(errs, err)...)
}

func (s *Stats) add(rs []span64) {
	for _, r := range rs {
		if s.Events == 0 {
			s.Oldest, s.Newest = r.From, r.To
		}
		s.Oldest, s.Newest = min(s.Oldest, r.From), max(s.Newest, r.To)
		s.Events += r.Count
	}
}

// Exists reports whether dir holds a journal.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, chainName))
	return err == nil
}
