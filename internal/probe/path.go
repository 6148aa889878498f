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
	lanes  [2]lane // TCP, UDP
	active bool    // in scan.active

	guessed int // silent UDP ports of which all that is likely was asked
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
		p.srtt, p.rttvar = max(rtt, 1), rtt/2
		return
	}
	p.rttvar += (max(rtt-p.srtt, p.srtt-rtt) - p.rttvar) / 4
	p.srtt = max(p.srtt+(rtt-p.srtt)/8, 1)
}

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

// window is how many tries may be under way: it doubles each round while nothing
// is lost, whether the host answers or is silent (a firewall that drops loses
// nothing), and yields in proportion to what was lost, as in RFC 8257 (DCTCP), so
// that a path which always loses a little is not taken for a jammed one.
type window struct {
	size           float64
	answered, lost int // in all
	a, l           int // in this round
	end            time.Time
}

// answer counts an answer, and the tries before it that were lost.
func (w *window) answer(lost int) {
	w.answered++
	w.lost += lost
	w.a++
	w.l += lost
}

// turn ends the round when its time has come.
func (w *window) turn(now time.Time, wait time.Duration) {
	if now.Before(w.end) {
		return
	}
	if !w.end.IsZero() {
		if f := float64(w.l) / float64(max(w.a+w.l, 1)); f < 0.01 {
			w.size = min(w.size*2, maxWindow)
		} else {
			w.size = min(max(w.size*(1-f/2)*1.05, minWindow), maxWindow)
		}
	}
	w.a, w.l, w.end = 0, 0, now.Add(wait)
}

// need is how often a silent port is asked: base, and more on a path that loses
// p of what is sent, until p^n is below one in a hundred thousand: fewer than one
// port of 65,535 is wrongly called silent.
func (w *window) need(base int) int {
	if w.lost == 0 {
		return base
	}
	p := float64(w.lost) / float64(w.lost+w.answered)
	return max(base, min(maxTries, int(math.Ceil(math.Log(1e-5)/math.Log(p)))))
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
