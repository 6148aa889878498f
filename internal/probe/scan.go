package probe

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

// job is one target of a scan.
type job struct {
	target Target
	path   *path
	start  time.Time // of the first try
	sent   time.Time // the last one
	tries  int
	self   int    // how often it met ourselves
	seq    int    // tries, those included: tells one from the next
	flying bool   // counted in its lane's out
	done   bool   //
	socks  []sock // TCP: of all tries, so that a late answer is heard too
}

func (j *job) lane() *lane { return &j.path.lanes[lanOf(j.target.Proto)] }

func lanOf(p Proto) int {
	if p == UDP {
		return 1
	}
	return 0
}

// key is how an event of UDP names a target: what comes back has no zone.
func key(t Target) netip.AddrPort { return netip.AddrPortFrom(t.Addr.WithZone(""), t.Port) }

const (
	lookahead = 8192                  // targets taken before their turn, so that a slow host does not hold the others up
	quantum   = 64                    // tries sent between two looks at what came back
	maxSelf   = 16                    // meetings with ourselves one after the other, which nobody will see
	breath    = 10 * time.Millisecond // until there may be a socket again
)

// options are a Runner's, with their defaults.
type options struct {
	tries    [2]int // TCP, UDP
	wait     time.Duration
	slow     bool
	patience time.Duration
	rate     float64 // tries a second
}

// scan finds verdicts: it sends, waits, asks again, and learns how fast it may.
// It belongs to one goroutine.
type scan struct {
	wire    wire
	opt     options
	targets func() (Target, bool)
	divert  func(Target) bool                   // takes a target that needs no scan
	backlog func() int                          // targets diverted and not yet done
	found   func(*job, Verdict, Evidence, sock) // owns the socket

	paths     map[netip.Addr]*path
	active    []*path
	turn      int // of active, who is served next
	udp       map[netip.AddrPort]*job
	datagrams atomic.Int64 // UDP targets so far
	held      int          // jobs that wait for their first try
	ended     bool         // no more targets
	sockets   int
	rate      *bucket
	stuck     time.Time // no socket is to be had before
}

func newScan(w wire, opt options) *scan {
	return &scan{wire: w, opt: opt, paths: map[netip.Addr]*path{}, udp: map[netip.AddrPort]*job{}, rate: newBucket(opt.rate)}
}

// run scans until all is done, or ctx is. pending is asked after each look at the
// wire whether the caller has work of its own under way, whose end wakes the wire.
func (s *scan) run(ctx context.Context, pending func() bool) error {
	for ctx.Err() == nil {
		now := s.wire.now()
		s.expire(now)
		sent := s.fill(now)
		waits := pending()
		if s.ended && len(s.active) == 0 && !waits {
			return nil
		}
		until := now
		if sent < quantum {
			until = s.deadline(now)
		}
		if err := s.wire.poll(until, s.handle); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// take takes targets in, as far as there is room.
func (s *scan) take() {
	for !s.ended && s.held+s.backlog() < lookahead {
		t, ok := s.targets()
		if !ok {
			s.ended = true
			return
		}
		if t.Proto == UDP {
			s.datagrams.Add(1)
		}
		if s.divert(t) {
			continue
		}
		p := s.paths[t.Addr]
		if p == nil {
			p = newPath(t.Addr)
			s.paths[t.Addr] = p
		}
		j := &job{target: t, path: p}
		j.lane().fresh.push(j)
		s.held++
		if !p.active {
			p.active = true
			s.active = append(s.active, p)
		}
	}
}

// fill sends what may be sent now, about a quantum at most, and returns how much
// that was. The paths take turns.
func (s *scan) fill(now time.Time) (sent int) {
	s.take()
	for n := len(s.active); n > 0 && sent < quantum && !now.Before(s.stuck); n-- {
		s.turn = (s.turn + 1) % len(s.active)
		share := max(quantum/len(s.active), 4)
		for i := range s.active[s.turn].lanes {
			sent += s.serve(s.active[s.turn], i, now, share)
		}
	}
	return sent
}

// serve sends up to n tries of a lane.
func (s *scan) serve(p *path, i int, now time.Time, n int) (sent int) {
	l := &p.lanes[i]
	if l.fresh.empty() && l.again.empty() {
		return 0
	}
	l.window.turn(now, p, s.wait(p, i))
	for sent < n && l.out < int(l.window.size) && l.window.due(now) {
		j := l.next(now)
		if j == nil {
			break
		}
		if !s.rate.take(now) {
			l.back(j)
			break
		}
		if j.seq == 0 {
			s.held--
		}
		if !s.ask(j, now) {
			break
		}
		sent++
	}
	return sent
}

// next is the job to be asked next: one to be asked again before a new one.
func (l *lane) next(now time.Time) *job {
	for !l.again.empty() && l.limit.due(now) {
		if j := l.again.pop(); !j.done { // it may have been answered late
			return j
		}
	}
	if l.fresh.empty() {
		return nil
	}
	return l.fresh.pop()
}

// back takes a job back that next has given.
func (l *lane) back(j *job) {
	if j.seq > 0 {
		l.again.push(j)
		return
	}
	l.fresh.unpop(j)
}

// ask makes one try. When there is no socket for it, it returns false, and the
// job will be asked again.
func (s *scan) ask(j *job, now time.Time) bool {
	l := j.lane()
	if j.start.IsZero() {
		j.start = now
	}
	err := s.send(j)
	if errors.Is(err, errBusy) {
		j.seq++
		l.again.push(j)
		s.stuck = now.Add(breath)
		return false
	}
	j.tries++
	j.seq++
	j.sent = now
	if err != nil {
		s.finish(j, event{sign: LocalFail, err: err, at: now})
		return true
	}
	j.flying = true
	l.out++
	l.flight.push(try{j, j.seq, now})
	return true
}

// send sends a try's packet.
func (s *scan) send(j *job) error {
	if j.target.Proto == UDP {
		s.udp[key(j.target)] = j
		return s.wire.send(j.target)
	}
	if s.sockets >= s.wire.budget() {
		s.drop(j, noSock) // the earlier tries' go first
		if s.sockets >= s.wire.budget() {
			return errBusy
		}
	}
	c, err := s.wire.connect(j)
	if err != nil {
		return err
	}
	s.sockets++
	j.socks = append(j.socks, c)
	return nil
}

// drop ends the job's sockets, but one, which is no longer the scan's.
func (s *scan) drop(j *job, but sock) {
	for _, c := range j.socks {
		s.sockets--
		if c != but {
			s.wire.drop(c)
		}
	}
	j.socks = j.socks[:0]
}

// handle takes an event in.
func (s *scan) handle(e event) {
	j := e.job
	if j == nil {
		j = s.udp[e.udp]
	}
	if j == nil || j.done {
		return
	}
	if e.sign == NoSign {
		s.met(j, e)
		return
	}
	l := j.lane()
	switch {
	case e.sign == LocalFail:
	case j.target.Proto == UDP:
		j.path.sample(e.at.Sub(j.sent))
		if e.sign == ICMP && e.icmp.portUnreachable() {
			l.limit.error(e.at)
		}
	case len(j.socks) > 0 && e.sock != j.socks[len(j.socks)-1]: // it was late, and not lost
		j.path.sample(e.at.Sub(j.start))
		j.sent = j.start
	default:
		j.path.sample(e.at.Sub(j.sent))
		l.window.answer(j.tries)
	}
	s.finish(j, e)
}

// met asks again, at no cost, after a connection turned out to be one of ours
// with ourselves: on loopback, the kernel may choose the very port that is asked
// as the source, and a SYN that meets a SYN is a connection (RFC 9293 section 3.5).
func (s *scan) met(j *job, e event) {
	s.drop(j, noSock)
	if j.self++; j.self > maxSelf {
		s.finish(j, event{sign: LocalFail, err: errors.New("connects to itself"), at: e.at})
		return
	}
	j.land()
	j.tries--
	j.lane().again.push(j)
}

// land takes the job's try out of the count of those under way.
func (j *job) land() {
	if j.flying {
		j.flying = false
		j.lane().out--
	}
}

// finish tells a job's verdict.
func (s *scan) finish(j *job, e event) {
	j.land()
	j.done = true
	keep := noSock
	if e.sign == Accepted {
		keep = e.sock
	}
	s.drop(j, keep)
	if j.target.Proto == UDP {
		delete(s.udp, key(j.target))
	}
	v, ev := judge(j.target, e)
	ev.Tries = j.tries
	if ev.Sign != Silence && ev.Sign != LocalFail {
		ev.RTT = e.at.Sub(j.sent)
	}
	s.found(j, v, ev, keep)
}

// wait is how long a try may stay unanswered.
func (s *scan) wait(p *path, lane int) time.Duration {
	w := s.opt.wait
	if w == 0 {
		w = p.wait()
	}
	if s.opt.slow && lane == 1 {
		w *= 2
	}
	return w
}

// expire ends the tries that have waited long enough, and the paths that have
// nothing left to do.
func (s *scan) expire(now time.Time) {
	keep := s.active[:0]
	for _, p := range s.active {
		for i := range p.lanes {
			s.expireLane(p, i, now)
		}
		if p.active = !p.idle(); p.active {
			keep = append(keep, p)
		}
	}
	clear(s.active[len(keep):])
	s.active = keep
}

func (s *scan) expireLane(p *path, i int, now time.Time) {
	l := &p.lanes[i]
	wait := s.wait(p, i)
	for !l.flight.empty() {
		t := l.flight.front()
		if t.live() && now.Sub(t.at) < wait {
			break
		}
		if t := l.flight.pop(); t.live() {
			t.job.land()
			s.silent(l, t.job, now)
		}
	}
	if len(l.silent) > 0 && l.out == 0 && l.fresh.empty() && l.again.empty() {
		s.pass(l, now)
	}
}

// silent decides on a job whose try was not answered.
func (s *scan) silent(l *lane, j *job, now time.Time) {
	l.window.silence(j.tries)
	switch {
	case j.tries < l.window.need(s.opt.tries[lanOf(j.target.Proto)]):
		l.again.push(j)
	case j.target.Proto == UDP:
		l.silent = append(l.silent, j)
	default:
		s.finish(j, event{at: now})
	}
}

// pass ends a pass over the silent UDP ports of a host, and begins another.
func (s *scan) pass(l *lane, now time.Time) {
	v := l.limit.judge(now, s.opt.patience)
	if v == another {
		l.limit.next(now, len(l.silent))
		for _, j := range l.silent {
			l.again.push(j)
		}
	} else {
		for _, j := range l.silent {
			s.finish(j, event{at: now, limited: v == gaveUp})
		}
	}
	clear(l.silent)
	l.silent = l.silent[:0]
}

// deadline is when something is to be done though nothing comes: the zero time
// when there is no such thing.
func (s *scan) deadline(now time.Time) (at time.Time) {
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, p := range s.active {
		if p.idle() {
			return now // it has failed at once; expire takes it away
		}
		for i := range p.lanes {
			l := &p.lanes[i]
			for !l.flight.empty() && !l.flight.front().live() {
				l.flight.pop()
			}
			if !l.flight.empty() {
				earlier(l.flight.front().at.Add(s.wait(p, i)))
			}
			if l.out < int(l.window.size) && !(l.fresh.empty() && l.again.empty()) {
				earlier(l.ready(s.rate.next(now), s.stuck))
			}
		}
	}
	return at
}

// ready is when a lane that has something to send may do so.
func (l *lane) ready(rate, stuck time.Time) time.Time {
	at := rate
	for _, t := range []time.Time{stuck, l.window.next} {
		if t.After(at) {
			at = t
		}
	}
	if l.fresh.empty() && l.limit.start.After(at) {
		at = l.limit.start
	}
	return at
}
