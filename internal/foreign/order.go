package foreign

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// inMemory is how many events are sorted at a time: about 25 MB.
const inMemory = 1 << 16

// InOrder yields the events of seq in the order of time, those of one instant as
// they came. Zeek writes a connection when it has ended, and several files may
// overlap. What does not fit in memory waits in files in dir ("" the system's),
// which are gone when the last event was yielded. Errors of seq are yielded as
// they come, before the events; any that is not about one record also ends the
// order. Events and processes are the caller's to keep; of an event's processes
// only its owner survives.
func InOrder(seq iter.Seq2[*activity.Event, error], dir string) iter.Seq2[*activity.Event, error] {
	return inOrder(seq, dir, inMemory)
}

func inOrder(seq iter.Seq2[*activity.Event, error], dir string, room int) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		s := sorter{dir: dir, room: room}
		defer s.close()
		for e, err := range seq {
			if err == nil {
				err = s.add(e)
				if err == nil {
					continue
				}
				yield(nil, err)
				return
			}
			if !yield(nil, err) {
				return
			}
		}
		for e, err := range s.merged() {
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// sorter gathers events into runs, each sorted, all but the last one in files.
//
//	in memory, room events -> sorted -> run 1 (file) ┐
//	                          sorted -> run 2 (file) ├ merged by a heap -> out
//	the last ones             sorted -> in memory    ┘
type sorter struct {
	dir    string
	room   int
	events []*activity.Event
	runs   []*os.File
}

func (s *sorter) add(e *activity.Event) error {
	if len(s.events) >= s.room {
		if err := s.spill(); err != nil {
			return fmt.Errorf("sort events: %w", err)
		}
	}
	c := *e
	s.events = append(s.events, &c)
	return nil
}

func (s *sorter) sort() {
	slices.SortStableFunc(s.events, func(a, b *activity.Event) int { return cmp.Compare(a.Time, b.Time) })
}

// spill writes the events in memory to a file of their own.
func (s *sorter) spill() error {
	s.sort()
	f, err := os.CreateTemp(s.dir, "portreporter-sort-*.tmp")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 64<<10)
	var b []byte
	for _, e := range s.events {
		// The process stands beside each of its events: a table of all that a long
		// log names would not be bounded.
		b = appendFrame(b[:0], func(b []byte) []byte { return activity.AppendEvent(b, e) })
		b = appendFrame(b, func(b []byte) []byte {
			if e.Process == nil {
				return b
			}
			return activity.AppendProcess(b, e.Process)
		})
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	clear(s.events) // the array stays, and would hold them
	s.events = s.events[:0]
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// appendFrame appends a body behind its length.
func appendFrame(b []byte, body func([]byte) []byte) []byte {
	at := len(b)
	b = body(append(b, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// close removes what is left of the runs.
func (s *sorter) close() {
	for _, f := range s.runs {
		f.Close()
		os.Remove(f.Name())
	}
}

// merged yields the events of all runs.
func (s *sorter) merged() iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		s.sort()
		var h cursors
		for i, f := range s.runs {
			c := &cursor{run: i, r: bufio.NewReaderSize(f, 64<<10)}
			if err := c.advance(); err != nil { // a run has at least one event
				yield(nil, fmt.Errorf("sort events: %w", err))
				return
			}
			h = append(h, c)
		}
		if len(s.events) > 0 {
			h = append(h, &cursor{run: len(s.runs), memory: s.events[1:], event: s.events[0]})
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].event, nil) {
				return
			}
			switch err := h[0].advance(); {
			case err == io.EOF:
				heap.Pop(&h)
			case err != nil:
				yield(nil, fmt.Errorf("sort events: %w", err))
				return
			default:
				heap.Fix(&h, 0)
			}
		}
	}
}

// cursor walks one run.
type cursor struct {
	run    int
	event  *activity.Event
	r      *bufio.Reader // of a file
	memory []*activity.Event
	buf    []byte
}

// advance takes the next event; io.EOF ends the run.
func (c *cursor) advance() error {
	if c.r == nil {
		if len(c.memory) == 0 {
			return io.EOF
		}
		c.event, c.memory = c.memory[0], c.memory[1:]
		return nil
	}
	if err := c.frame(); err != nil {
		return err
	}
	e := &activity.Event{}
	if err := activity.DecodeEvent(c.buf, e, nil); err != nil {
		return err
	}
	if err := c.frame(); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	e.Process = nil
	if len(c.buf) > 0 {
		p, err := activity.DecodeProcess(c.buf)
		if err != nil {
			return err
		}
		e.Process = p
	}
	c.event = e
	return nil
}

func (c *cursor) frame() error {
	var n [4]byte
	if _, err := io.ReadFull(c.r, n[:]); err != nil {
		return err
	}
	c.buf = slices.Grow(c.buf[:0], int(binary.LittleEndian.Uint32(n[:])))[:binary.LittleEndian.Uint32(n[:])]
	_, err := io.ReadFull(c.r, c.buf)
	return err
}

// cursors is a heap by time, then by run, which is the order of arrival.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].event.Time, h[j].event.Time), cmp.Compare(h[i].run, h[j].run)) < 0
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
