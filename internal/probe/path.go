package probe

import (
	"math"
	"net/netip"
	"time"
)

// How long a try waits, and how many are under way to one address.
const (
	firstWait = time.Second            // before any round trip is known, RFC 6298 section 2
	minWait   = 100 * time.Millisecond // the floor: a busy host's scheduling, not the wire
	maxWait   = 3 * time.Second

	firstWindow = 512 // of SYNs: some 35 kB at once, no more than a web page's first flight
	minWindow   = 16
	maxWindow   = 4096
	maxTries    = 8
)

// path is what a run learns of the way to one address: how long it is, and how
// much it loses.
type path struct {
	addr   netip.Addr
	srtt   time.Duration
	rttvar time.Duration
	least  time.Duration // the shortest round trip
	lanes  [2]lane       // TCP, UDP
	active bool          // in scan.active
}

func newPath(addr netip.Addr) *path {
	p := &path{addr: addr}
	for i := range p.lanes {
		p.lanes[i].window.size = firstWindow
	}
	return p
}

// sample takes a round trip in, by RFC 6298 section 2.
func (p *path) sample(rtt time.Duration) {
	if p.srtt == 0 {
		p.srtt, p.rttvar, p.least = max(rtt, 1), rtt/2, rtt
		return
	}
	p.least = min(p.least, rtt)
	p.rttvar += (max(rtt-p.srtt, p.srtt-rtt) - p.rttvar) / 4
	p.srtt = max(p.srtt+(rtt-p.srtt)/8, 1)
}

// queued says whether packets wait on the way, as before a jam they do.
func (p *path) queued() bool { return p.srtt > p.least*5/4+5*time.Millisecond }

// wait is how long a try may stay unanswered.
func (p *path) wait() time.Duration {
	if p.srtt == 0 {
		return firstWait
	}
	return min(max(p.srtt+4*p.rttvar, minWait), maxWait)
}

// idle says whether nothing of the path is under way or to be done.
func (p *path) idle() bool {
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.out > 0 || len(l.silent) > 0 || !l.again.empty() || !l.fresh.empty() {
			return false
		}
	}
	return true
}

// lane is one transport of a path.
type lane struct {
	fresh  fifo[*job] // not asked yet
	again  fifo[*job] // to be asked once more
	flight fifo[try]  // asked, in that order; the answered ones are still in it
	out    int        // of flight, those that may yet be answered
	window window
	silent []*job // UDP: unanswered, until it is known what that means
	limit  limit  // UDP
}

// try is one question under way.
type try struct {
	job *job
	seq int // the job's at that time
	at  time.Time
}

// live says whether the try still waits: its job is not done, nor asked anew.
func (t try) live() bool { return t.job.flying && t.job.seq == t.seq }

// window is how many tries may be under way. It doubles each round until something
// is lost, and yields in proportion to what is lost, as in RFC 8257 (DCTCP), so that
// a path which always loses a little is not taken for a jammed one.
//
// Silence alone is no loss: a firewall that drops is silent too. What second tries
// meet tells which it is.
type window struct {
	size   float64
	jammed bool // it has lost once: it grows slowly since

	answered, lost int     // in all
	seconds, heard float64 // second tries that ended of late, and those of them that were answered

	began            time.Time // this round
	answers, silents int       // in it
	recent           float64   // the part that was lost in the last one
	next             time.Time // the next try, at the earliest
	gap              time.Duration
}

// answer counts an answer to the n-th try.
func (w *window) answer(n int) {
	w.answered++
	w.answers++
	w.lost += n - 1
	if n > 1 {
		w.seconds++
		w.heard++
	}
}

// silence counts that the n-th try has waited long enough.
func (w *window) silence(n int) {
	w.silents++
	if n > 1 {
		w.seconds++
	}
}

// turn ends the round when it has lasted a wait.
func (w *window) turn(now time.Time, p *path, wait time.Duration) {
	took := now.Sub(w.began)
	if took < wait {
		return
	}
	if !w.began.IsZero() {
		w.round(float64(w.answers)*p.srtt.Seconds()/took.Seconds(), p.queued())
	}
	w.seconds, w.heard = w.seconds*3/4, w.heard*3/4 // what was long ago tells little
	w.answers, w.silents, w.began = 0, 0, now
	if w.gap = 0; w.jammed {
		w.gap = time.Duration(float64(p.srtt) / w.size)
	}
}

// due says whether a try may be sent now, and counts it. On a path that was jammed
// they leave at even gaps: those that were lost together are not to meet again.
func (w *window) due(now time.Time) bool {
	if now.Before(w.next) {
		return false
	}
	w.next = w.next.Add(w.gap)
	if late := now.Add(-8 * w.gap); w.next.Before(late) {
		w.next = late
	}
	return true
}

// round ends a round, in which held were under way on the average, of those that
// were answered.
func (w *window) round(held float64, queued bool) {
	silent := float64(w.silents) / float64(max(w.answers+w.silents, 1))
	if w.answers > 0 && silent > 0.1 && w.seconds == 0 {
		return // what it means is not known yet
	}
	f := silent * w.heard / max(w.seconds, 1) // the part that was loss
	w.recent = f
	switch {
	case f > 0.1:
		w.size = min(w.size*(1-f), held*1.25)
		w.jammed = true
	case f > 0.01 && queued:
		w.size *= 1 - f
		w.jammed = true
	case f > 0.01:
		w.size *= 1.05
		w.jammed = true
	case w.jammed:
		w.size *= 1.1
	default:
		w.size *= 2
	}
	w.size = min(max(w.size, minWindow), maxWindow)
}

// need is how often a silent port is asked: base, and more on a path that loses
// p of what is sent, until p^n is below one in ten million: of 65,535 ports, hardly
// ever one is wrongly called silent.
func (w *window) need(base int) int {
	if w.lost == 0 {
		return base
	}
	p := max(w.recent, float64(w.lost)/float64(w.lost+w.answered))
	return max(base, min(maxTries, int(math.Ceil(math.Log(1e-7)/math.Log(p)))))
}

// fifo is a queue that keeps its room.
type fifo[T any] struct {
	v    []T
	head int
}

func (q *fifo[T]) push(v T)    { q.v = append(q.v, v) }
func (q *fifo[T]) empty() bool { return q.head == len(q.v) }
func (q *fifo[T]) len() int    { return len(q.v) - q.head }
func (q *fifo[T]) front() *T   { return &q.v[q.head] }

// unpop puts back what pop has just given.
func (q *fifo[T]) unpop(v T) {
	if q.head == 0 {
		q.v = append([]T{v}, q.v...)
		return
	}
	q.head--
	q.v[q.head] = v
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.v[q.head]
	q.v[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.v):
		q.v, q.head = q.v[:0], 0
	case q.head > 4096 && q.head > len(q.v)/2:
		q.v = append(q.v[:0], q.v[q.head:]...)
		q.head = 0
	}
	return v
}
