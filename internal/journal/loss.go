package journal

import (
	"fmt"

	"github.com/portreporter/portreporter/internal/activity"
)

// loss is what could not be kept since writing began to fail. Lost events take
// no sequence numbers, so that every hole in those means tampering or damage;
// the gap event stands where they would.
type loss struct {
	active   bool
	from, to int64 // times of the first and the last lost event
	lost     [activity.NumKinds]uint64
	why      string
}

// drop counts an event for which there is no room.
func (w *Writer) drop(e *activity.Event) {
	e.Seq = 0
	l := &w.loss
	if !l.active {
		l.active, l.from, l.to = true, e.Time, e.Time
	}
	l.from, l.to = min(l.from, e.Time), max(l.to, e.Time)
	k := e.Kind
	if k >= activity.NumKinds {
		k = activity.KindNone
	}
	l.lost[k]++
	w.dropped[k].Add(1)
}

// failed notes why writing fails.
func (w *Writer) failed(err error) {
	w.err.Store(&err)
	why := "journal not writable"
	if diskFull(err) {
		why = "disk full"
	}
	w.loss.why = fmt.Sprintf("%s: %v", why, err)
}

// recovered, after everything buffered is written, writes the gap event if
// anything was lost.
func (w *Writer) recovered() error {
	if w.loss.active {
		l := w.loss
		w.loss = loss{}
		w.last.seq++
		w.frame(&activity.Event{Time: w.cfg.Now().UnixNano(), Seq: w.last.seq, Kind: activity.KindGap,
			Coverage: &activity.Coverage{From: l.from, To: l.to, Lost: l.lost, Reason: l.why}})
		if err := w.flush(); err != nil { // the gap event is in the buffer now
			w.failed(err)
			return err
		}
	}
	w.err.Store(nil)
	return nil
}

// Dropped counts by kind the events that were lost since Open because they could
// not be written. Each loss is in the record too, as a gap event, once writing
// works again.
func (w *Writer) Dropped() (n [activity.NumKinds]uint64) {
	for k := range n {
		n[k] = w.dropped[k].Load()
	}
	return n
}

// Err returns why the journal cannot be written at present, or nil.
func (w *Writer) Err() error {
	if p := w.err.Load(); p != nil {
		return *p
	}
	return nil
}
