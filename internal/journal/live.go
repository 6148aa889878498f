package journal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// CorruptError tells of a stretch of the record that cannot be read. Reading
// goes on after it.
type CorruptError struct {
	Name  string // live log, or segment and file
	From  int64  // byte offsets; both 0 when the whole is meant
	To    int64
	Cause error // nil for bytes that are no frame
}

func (e *CorruptError) Error() string {
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("read %s: %v", e.Name, e.Cause)
	default:
		return fmt.Sprintf("read %s: bytes %d to %d are damaged", e.Name, e.From, e.To)
	}
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Cause }

// liveLog is a live log in memory: at most SegmentRows events.
type liveLog struct {
	head   header
	data   []byte
	events []span // bodies of the event frames, in order
	procs  map[activity.ProcessID]*activity.Process
	sets   []span // bodies of the module set frames
	damage []span
	tail   int // whole frames end here; what follows is torn, or still being written
	size   int
}

// readLive reads a live log, perhaps one that is being written.
func readLive(path string) (*liveLog, error) { return new(liveLog).read(path) }

// read is readLive into l, whose memory is used again.
func (l *liveLog) read(path string) (*liveLog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > maxLiveFile {
		return nil, fmt.Errorf("live log of %d bytes", st.Size())
	}
	data := slices.Grow(l.data[:0], int(st.Size()))[:st.Size()]
	n, err := io.ReadFull(f, data)
	if err != nil && n == len(data) {
		return nil, err
	}
	l.parse(data[:n])
	// The name is what the order of the record goes by; the header may be damaged.
	l.head.first = firstOf(filepath.Base(path))
	return l, nil
}

// parseLive reads what it can: it never fails, and names the damage.
func parseLive(data []byte) *liveLog {
	l := new(liveLog)
	l.parse(data)
	return l
}

func (l *liveLog) parse(data []byte) {
	events := slices.Grow(l.events[:0], len(data)/80) // most events take 80 to 100 bytes, and processes their part
	*l = liveLog{data: data, size: len(data), procs: make(map[activity.ProcessID]*activity.Process), events: events}
	s := newScanner(data)
	for {
		typ, body, ok := s.next()
		if !ok {
			break
		}
		at := span{int32(s.off - len(body)), int32(s.off)}
		if err := l.take(typ, body, at); err != nil {
			l.damage = append(l.damage, span{at.from - frameHead - 1, at.to})
		}
	}
	l.damage = append(l.damage, s.skipped...)
	l.tail = s.off
}

func (l *liveLog) take(typ byte, body []byte, at span) (err error) {
	switch typ {
	case frameEvent:
		l.events = append(l.events, at)
	case frameHeader:
		l.head, err = parseHeader(body)
	case frameProcess:
		var p *activity.Process
		if p, err = activity.DecodeProcess(body); err == nil {
			if q := l.procs[p.ID]; q == nil || q.Rev <= p.Rev {
				l.procs[p.ID] = p
			}
		}
	case frameModules:
		l.sets = append(l.sets, at)
	}
	return err
}

// modules decodes all module sets.
func (l *liveLog) modules() map[activity.ModuleSetID]*activity.ModuleSet {
	m := make(map[activity.ModuleSetID]*activity.ModuleSet)
	for s := range l.eachModules {
		m[s.ID] = &activity.ModuleSet{ID: s.ID, Modules: slices.Clone(s.Modules)}
	}
	return m
}

func (l *liveLog) process(id activity.ProcessID) *activity.Process { return l.procs[id] }

// eachModules decodes the module sets one after the other, by id, each into the
// memory of the one before: together they may be larger than the events.
func (l *liveLog) eachModules(yield func(*activity.ModuleSet) bool) {
	id := func(at span) uint64 { return binary.LittleEndian.Uint64(l.data[at.from:]) }
	sets := slices.DeleteFunc(slices.Clone(l.sets), func(at span) bool { return at.to-at.from < 8 })
	slices.SortStableFunc(sets, func(a, b span) int { return cmp.Compare(id(a), id(b)) })
	sets = slices.CompactFunc(sets, func(a, b span) bool { return id(a) == id(b) })
	texts := make(map[string]string) // sets share most of theirs
	text := func(b []byte) string {
		s, ok := texts[string(b)]
		if !ok {
			s = string(b)
			texts[s] = s
		}
		return s
	}
	var s activity.ModuleSet
	for _, at := range sets {
		if s.Decode(l.data[at.from:at.to], text) == nil && !yield(&s) {
			return
		}
	}
}

// event decodes the i-th event.
func (l *liveLog) event(i int, e *activity.Event) error {
	at := l.events[i]
	return activity.DecodeEvent(l.data[at.from:at.to], e, l.process)
}

// ranges returns the positions of the events that decode.
func (l *liveLog) ranges() (rs []span64) {
	var e activity.Event
	for _, at := range l.events {
		if activity.DecodeEventHead(l.data[at.from:at.to], &e) == nil {
			rs = addPos(rs, pos{l.head.first.epoch, e.Seq}, e.Time)
		}
	}
	return rs
}
