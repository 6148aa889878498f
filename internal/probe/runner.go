package probe

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ErrSourcePort is wrapped where a socket of another program holds the source
// port that was asked for.
var ErrSourcePort = errors.New("port is already in use")

// sourceError names the source port in an error of bind.
func sourceError(port uint16, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		err = ErrSourcePort
	}
	if err != nil {
		err = fmt.Errorf("source port %d: %w", port, err)
	}
	return err
}

// Runner tests targets. The zero value finds verdicts alone, with PortQry's tries.
// It is safe for concurrent use as long as nobody changes it.
type Runner struct {
	Probers []Prober // who may ask what answers: probe/all's
	Guess   bool     // where neither service name nor port number says who: ask all that are likely

	TCPTries int           // before silence is FILTERED; 0: 3. More on a path that loses packets
	UDPTries int           // before silence is LISTENING or FILTERED; 0: 1
	Wait     time.Duration // of each try; 0: by the path's round trips, 100 ms to 3 s
	SlowLink bool          // waits twice as long by UDP
	Patience time.Duration // for a host that limits its ICMP errors, which UDP verdicts rest on; 0: 30 s

	Rate       int    // tries, and connections and datagrams of questions, a second, all targets together; 0: 100,000
	SourcePort uint16 // of every first question, and of the others while it is free; 0: any
}

const (
	defaultRate     = 100_000
	defaultPatience = 30 * time.Second
	maxAsking       = 128 // services asked at once

	// Of a silent UDP port all that is likely is asked in tests of so many UDP ports
	// or fewer, of all hosts together, as each gets a dozen datagrams and two seconds.
	fewPorts = 32
)

func (r *Runner) options() options {
	o := options{tries: [2]int{r.TCPTries, r.UDPTries}, wait: r.Wait, slow: r.SlowLink, patience: r.Patience, rate: float64(r.Rate)}
	for i, n := range [2]int{3, 1} {
		if o.tries[i] <= 0 {
			o.tries[i] = n
		}
	}
	if o.patience <= 0 {
		o.patience = defaultPatience
	}
	if o.rate <= 0 {
		o.rate = defaultRate
	}
	return o
}

// Run tests the targets and calls each with every Result as it comes, in no order
// and never two at once; a slow each slows the test. It returns when all are
// tested, or ctx is done: then with its error, and the targets not told are not
// tested. A target that cannot be tested is a Result with NoVerdict.
func (r *Runner) Run(ctx context.Context, targets iter.Seq[Target], each func(Result)) error {
	w, err := newWire(r.SourcePort)
	if err != nil {
		return fmt.Errorf("test ports: %w", err)
	}
	defer w.close()
	defer context.AfterFunc(ctx, w.wake)()

	next, stop := iter.Pull(targets)
	defer stop()
	s := newScan(w, r.options())
	a := newAskers(ctx, r, s, each)
	defer a.stop()
	s.targets, s.divert, s.backlog, s.found = next, a.divert, a.waiting.len, a.found
	return s.run(ctx, a.pending)
}

// askers asks the services that a scan finds, some at once.
type askers struct {
	runner *Runner
	scan   *scan
	each   func(Result)
	ctx    context.Context // of the askers
	cancel context.CancelFunc
	group  sync.WaitGroup

	waiting fifo[*question]
	asking  int // under way, told or not
	slots   map[netip.Addr]chan struct{}

	mu   sync.Mutex
	told []Result // by those that are done
}

// question is a port whose service is to be asked.
type question struct {
	result  Result
	probers []Prober    // who ask, one after the other
	guess   func() bool // whether then whoever may is to ask
	conn    net.Conn    // TCP: the one that the verdict rests on; nil: gone
	wait    time.Duration
	path    time.Duration // of wait, the way's
	rate    *bucket
	slots   chan struct{} // the host's
}

func newAskers(ctx context.Context, r *Runner, s *scan, each func(Result)) *askers {
	a := &askers{runner: r, scan: s, each: each, slots: map[netip.Addr]chan struct{}{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// stop ends the askers and waits for them.
func (a *askers) stop() {
	a.cancel()
	a.group.Wait()
	for !a.waiting.empty() {
		if q := a.waiting.pop(); q.conn != nil {
			q.conn.Close()
		}
	}
}

// divert takes a UDP target that a Prober is there for: its own question is the
// better first one, as a service is silent to an empty datagram, and one (IKE's
// NAT traversal) is denied by its own host then.
func (a *askers) divert(t Target) bool {
	if t.Proto != UDP {
		return false
	}
	ps := known(a.runner.Probers, t)
	if len(ps) == 0 {
		return false
	}
	a.ask(&question{result: Result{Target: t, Start: a.scan.wire.now()}, probers: ps, guess: a.mayGuess(t, ListeningOrFiltered)})
	return true
}

// times finds how long a service's answer may take: a second to think, and the
// path.
func (a *askers) times(q *question) {
	t := q.result.Target
	if p := a.scan.paths[t.Addr]; p != nil {
		q.path = min(p.srtt+4*p.rttvar, maxWait)
	}
	q.wait = time.Second + q.path
	if a.runner.Wait > 0 {
		q.wait = a.runner.Wait
	}
	if a.runner.SlowLink && t.Proto == UDP {
		q.wait *= 2
	}
}

// found takes a verdict of the scan.
func (a *askers) found(j *job, v Verdict, e Evidence, c sock) {
	now := a.scan.wire.now()
	q := &question{result: Result{Target: j.target, Verdict: v, Evidence: e, Start: j.start, Took: now.Sub(j.start)}}
	may := v == Listening || v == ListeningOrFiltered
	if may {
		q.probers, q.guess = known(a.runner.Probers, j.target), a.mayGuess(j.target, v)
	}
	if len(q.probers) == 0 && !(may && q.guess()) {
		if c != noSock {
			a.scan.wire.drop(c)
		}
		a.each(q.result)
		return
	}
	if c != noSock && a.asking < maxAsking {
		q.conn, _ = a.scan.wire.take(c) // it may have ended meanwhile: then another is made
	} else if c != noSock {
		a.scan.wire.drop(c)
	}
	a.ask(q)
}

// mayGuess says when asked whether all that is likely may be asked of a port: of
// silent UDP ports where they are few, and not where silence is the service's
// nature.
func (a *askers) mayGuess(t Target, v Verdict) func() bool {
	return func() bool {
		if !a.runner.Guess || len(a.runner.Probers) == 0 {
			return false
		}
		return v != ListeningOrFiltered || a.scan.datagrams.Load() <= fewPorts && !mute(t.Service)
	}
}

// mute says whether services of this name answer no stranger: log servers, NetBIOS
// datagrams, DHCP (whose answers go to other ports).
func mute(service string) bool {
	return slices.Contains([]string{"syslog", "netbios-dgm", "discard", "bootps", "bootpc"}, service)
}

// ask has a question asked, now or when another is done.
func (a *askers) ask(q *question) {
	if a.asking >= maxAsking {
		a.waiting.push(q)
		return
	}
	a.asking++
	a.times(q)
	q.rate, q.slots = a.scan.rate, a.slotsOf(q.result.Target.Addr)
	a.group.Go(func() {
		d := newDialer(q, a.runner.SourcePort)
		r := identify(a.ctx, d, q, a.runner.Probers)
		a.mu.Lock()
		a.told = append(a.told, r)
		a.mu.Unlock()
		a.scan.wire.wake()
	})
}

// slotsOf are a host's slots.
func (a *askers) slotsOf(host netip.Addr) chan struct{} {
	s := a.slots[host]
	if s == nil {
		s = make(chan struct{}, hostWidth)
		a.slots[host] = s
	}
	return s
}

// pending tells the results that are there, and whether more are to come.
func (a *askers) pending() bool {
	a.mu.Lock()
	told := a.told
	a.told = nil
	a.mu.Unlock()
	a.asking -= len(told)
	for _, r := range told {
		if a.ctx.Err() == nil { // else the questions were cut short
			a.each(r)
		}
	}
	for !a.waiting.empty() && a.asking < maxAsking {
		a.ask(a.waiting.pop())
	}
	return a.asking > 0
}
