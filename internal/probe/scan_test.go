package probe

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
)

// model is a network that a test makes up, with a clock of its own: a wire on
// which a minute passes at once, and the same each time.
type model struct {
	clock time.Time
	rng   *rand.Rand
	plan  func(Target) Sign // what each port does: Accepted, Reset, ICMP, Reply or Silence

	rtt   time.Duration
	loss  float64        // of questions
	rate  float64        // packets a second that the way takes; 0: any
	depth int            // packets that may wait for it
	icmp  *bucket        // errors that the host gives; nil: all
	room  int            // sockets
	self  map[uint16]int // times that a port is met by ourselves

	arriving arrivals
	last     sock
	open     map[sock]bool
	most     int // sockets at once
	sends    int
	free     time.Time // when the way has no more waiting
}

func newModel(seed uint64, plan func(Target) Sign) *model {
	return &model{clock: time.Unix(1e9, 0), rng: rand.New(rand.NewPCG(seed, 1)), plan: plan, room: 20000, open: map[sock]bool{}}
}

// arrivals are events on their way, by their time.
type arrivals []event

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(event)) }
func (a *arrivals) Pop() any {
	e := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return e
}

func (m *model) now() time.Time { return m.clock }
func (m *model) budget() int    { return m.room }
func (m *model) wake()          {}
func (m *model) close() error   { return nil }

func (m *model) take(sock) (net.Conn, error) { return nil, net.ErrClosed }

func (m *model) drop(c sock) {
	if !m.open[c] {
		panic("a socket is dropped that is not open")
	}
	delete(m.open, c)
}

func (m *model) connect(j *job) (sock, error) {
	if len(m.open) >= m.room {
		return noSock, errBusy
	}
	m.last++
	m.open[m.last] = true
	m.most = max(m.most, len(m.open))
	m.ask(event{job: j, sock: m.last}, j.target)
	return m.last, nil
}

func (m *model) send(t Target) error {
	m.ask(event{udp: key(t), sock: noSock}, t)
	return nil
}

// ask sends a question: five microseconds of work, and perhaps an answer later.
func (m *model) ask(e event, t Target) {
	m.sends++
	m.clock = m.clock.Add(5 * time.Microsecond)
	if m.rng.Float64() < m.loss {
		return
	}
	arrives := m.clock.Add(m.rtt / 2)
	if m.rate > 0 { // it waits behind what is on its way, or finds no room
		each := time.Duration(float64(time.Second) / m.rate)
		if m.free.Before(m.clock) {
			m.free = m.clock
		}
		if m.free.Sub(m.clock) > time.Duration(m.depth)*each {
			return
		}
		m.free = m.free.Add(each)
		arrives = m.free.Add(m.rtt / 2)
	}
	e.sign = m.plan(t)
	e.at = arrives.Add(m.rtt / 2)
	if m.self[t.Port] > 0 {
		m.self[t.Port]--
		e.sign = NoSign
	}
	switch e.sign {
	case Silence:
		return
	case ICMP:
		if m.icmp != nil && !m.icmp.take(arrives) {
			return
		}
		e.icmp = icmpError{Type: 3, Code: 3, From: t.Addr}
	}
	heap.Push(&m.arriving, e)
}

// poll lets time pass until something comes.
func (m *model) poll(until time.Time, each func(event)) error {
	if len(m.arriving) == 0 && until.IsZero() {
		return errors.New("waits for ever, and nothing is to come")
	}
	if len(m.arriving) == 0 || !until.IsZero() && until.Before(m.arriving[0].at) {
		if until.After(m.clock) {
			m.clock = until
		}
		return nil
	}
	if at := m.arriving[0].at; at.After(m.clock) {
		m.clock = at
	}
	for len(m.arriving) > 0 && !m.arriving[0].at.After(m.clock) {
		if e := heap.Pop(&m.arriving).(event); e.sock == noSock || m.open[e.sock] {
			each(e)
		}
	}
	return nil
}

// host is the address that models are at.
func host() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 2}) }

// ports are n targets, from port 1.
func ports(proto Proto, n int) []Target {
	ts := make([]Target, n)
	for i := range ts {
		ts[i] = Target{Addr: host(), Proto: proto, Port: uint16(i + 1)}
	}
	return ts
}

// verdicts runs a scan on the model, and holds it to one verdict a target and no
// socket left over. It returns them, and the time that passed.
func verdicts(t *testing.T, m *model, r Runner, targets []Target) (map[Target]Result, time.Duration) {
	t.Helper()
	got := map[Target]Result{}
	s := newScan(m, r.options())
	s.divert = func(Target) bool { return false }
	s.backlog = func() int { return 0 }
	s.targets = func() (Target, bool) {
		if len(targets) == 0 {
			return Target{}, false
		}
		v := targets[0]
		targets = targets[1:]
		return v, true
	}
	s.found = func(j *job, v Verdict, e Evidence, c sock) {
		if _, twice := got[j.target]; twice {
			t.Errorf("%v twice", j.target)
		}
		if c != noSock {
			m.drop(c)
		}
		got[j.target] = Result{Target: j.target, Verdict: v, Evidence: e}
	}
	n, start := len(targets), m.clock
	if err := s.run(context.Background(), func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	if len(got) != n || len(m.open) != 0 || s.sockets != 0 || s.held != 0 {
		t.Fatalf("%d verdicts on %d targets, %d sockets left (%d counted)", len(got), n, len(m.open), s.sockets)
	}
	return got, m.clock.Sub(start)
}

// count counts the verdicts.
func count(got map[Target]Result) map[Verdict]int {
	n := map[Verdict]int{}
	for _, r := range got {
		n[r.Verdict]++
	}
	return n
}

// few says what is at some ports, and closed or silent at all others.
func few(others Sign, what Sign, at ...uint16) func(Target) Sign {
	is := map[uint16]bool{}
	for _, p := range at {
		is[p] = true
	}
	return func(t Target) Sign {
		if is[t.Port] {
			return what
		}
		return others
	}
}

// TestScanTimes: how long a scan takes is bounded by the path, with verdicts that
// are right to the last port.
func TestScanTimes(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(*model)
		plan func(Target) Sign
		run  Runner
		n    int
		want map[Verdict]int
		most time.Duration
	}{
		{name: "near", n: 65535, plan: few(Reset, Accepted, 22, 80, 443), most: 800 * time.Millisecond,
			want: map[Verdict]int{Listening: 3, NotListening: 65532}},
		{name: "50 ms away", n: 65535, plan: few(Reset, Accepted, 22, 80, 443), most: 2 * time.Second,
			make: func(m *model) { m.rtt = 50 * time.Millisecond },
			want: map[Verdict]int{Listening: 3, NotListening: 65532}},
		{name: "dropped", n: 10000, plan: few(Silence, Accepted, 22, 80, 443), most: 1700 * time.Millisecond,
			make: func(m *model) { m.rtt = time.Millisecond },
			want: map[Verdict]int{Listening: 3, Filtered: 9997}},
		{name: "all silent", n: 1, plan: few(Silence, Accepted), most: 3100 * time.Millisecond,
			want: map[Verdict]int{Filtered: 1}},
		{name: "loses 5 %", n: 65535, plan: few(Reset, Accepted, 22, 80, 443), most: 8 * time.Second,
			make: func(m *model) { m.rtt, m.loss = 10*time.Millisecond, 0.05 },
			want: map[Verdict]int{Listening: 3, NotListening: 65532}},
		{name: "narrow", n: 65535, plan: few(Reset, Accepted, 22, 80, 443), most: 16 * time.Second, // 6.6 s at best
			make: func(m *model) { m.rtt, m.rate, m.depth = 20*time.Millisecond, 10000, 500 },
			want: map[Verdict]int{Listening: 3, NotListening: 65532}},
		{name: "four sockets", n: 300, plan: few(Silence, Accepted, 22, 80), most: 80 * time.Second,
			make: func(m *model) { m.rtt, m.room = time.Millisecond, 4 },
			want: map[Verdict]int{Listening: 2, Filtered: 298}},
		{name: "one try", n: 100, run: Runner{TCPTries: 1, Wait: 50 * time.Millisecond}, plan: few(Silence, Accepted), most: 60 * time.Millisecond,
			want: map[Verdict]int{Filtered: 100}},
		{name: "udp", n: 65535, plan: few(ICMP, Reply, 53), most: 1100 * time.Millisecond,
			want: map[Verdict]int{Listening: 1, NotListening: 65534}},
		{name: "udp behind 1,000 errors a second", n: 2000, plan: few(ICMP, Silence, 500, 1701), most: 4500 * time.Millisecond,
			make: func(m *model) { b := bucket{rate: 1000, burst: 50, tokens: 50}; m.icmp = &b },
			want: map[Verdict]int{ListeningOrFiltered: 2, NotListening: 1998}},
		{name: "udp behind one error a second", n: 30, plan: few(ICMP, Silence, 5), most: 30 * time.Second,
			make: func(m *model) { b := bucket{rate: 1, burst: 6, tokens: 6}; m.icmp = &b },
			want: map[Verdict]int{ListeningOrFiltered: 1, NotListening: 29}},
		{name: "udp that is silent", n: 1000, plan: few(Silence, ICMP, 7), most: 3 * time.Second,
			want: map[Verdict]int{ListeningOrFiltered: 999, NotListening: 1}},
		{name: "udp slow link", n: 1, run: Runner{SlowLink: true}, plan: few(Silence, ICMP), most: 2100 * time.Millisecond,
			want: map[Verdict]int{ListeningOrFiltered: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(1, tc.plan)
			if tc.make != nil {
				tc.make(m)
			}
			targets := ports(TCP, tc.n)
			if tc.want[ListeningOrFiltered]+tc.want[Listening]*0 > 0 || tc.name[:3] == "udp" {
				targets = ports(UDP, tc.n)
			}
			got, took := verdicts(t, m, tc.run, targets)
			if n := count(got); fmt.Sprint(n) != fmt.Sprint(tc.want) {
				t.Errorf("%v, want %v", n, tc.want)
			}
			if took > tc.most {
				t.Errorf("took %v, more than %v", took, tc.most)
			}
			if m.most > m.room {
				t.Errorf("%d sockets, of %d", m.most, m.room)
			}
			t.Logf("%v, %d sends, %d sockets", took, m.sends, m.most)
		})
	}
}
