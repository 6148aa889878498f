package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/testutil"
)

// counted is a TCP service that serves each connection by serve, told its number
// from 0 on, and counts them.
type counted struct {
	port  uint16
	all   atomic.Int32
	asked atomic.Int32 // of all, those that said something
}

func serveCounted(t *testing.T, serve func(c net.Conn, n int)) *counted {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &counted{port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	var group sync.WaitGroup
	t.Cleanup(func() { l.Close(); group.Wait() })
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(s.all.Add(1)) - 1
			group.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				serve(&hearing{Conn: c, s: s}, n)
			})
		}
	})
	return s
}

// hearing counts the connections on which something is said.
type hearing struct {
	net.Conn
	s     *counted
	heard bool
}

func (c *hearing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard {
		c.heard = true
		c.s.asked.Add(1)
	}
	return n, err
}

// speak says a greeting after a while, unless the peer leaves, and then answers a
// protocol, or whatever is asked by what else says.
func speak(after time.Duration, greet, protocol, otherwise string) func(net.Conn, int) {
	return func(c net.Conn, _ int) {
		_ = c.SetReadDeadline(time.Now().Add(after))
		b := make([]byte, 100)
		n := 0
		if after > 0 {
			n, _ = c.Read(b)
		}
		if n > 0 && greet != "" { // it has been interrupted: it says its greeting late
			time.Sleep(after)
		}
		_, _ = io.WriteString(c, greet)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for {
			switch asked := string(b[:n]); {
			case n == 0:
			case asked == protocol:
				_, _ = io.WriteString(c, protocol+"!")
			case otherwise == "close":
				return
			default:
				_, _ = io.WriteString(c, otherwise)
			}
			var err error
			if n, err = c.Read(b); err != nil {
				return
			}
		}
	}
}

// stutter says a text a byte at a time, and then answers a protocol.
func stutter(gap time.Duration, greet, protocol string) func(net.Conn, int) {
	return func(c net.Conn, n int) {
		for i := range greet {
			if _, err := io.WriteString(c, greet[i:i+1]); err != nil {
				return
			}
			if i == len(greet)-1 {
				break // what comes now is a question
			}
			_ = c.SetReadDeadline(time.Now().Add(gap))
			if _, err := c.Read(make([]byte, 100)); err == io.EOF {
				return
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		both(c, protocol)
	}
}

// many are probers of mute protocols beside those of fakes.
func many(g *gauge) []Prober {
	ps := fakes()
	for i := range ps {
		f := ps[i].(fake)
		f.gauge = g
		ps[i] = f
	}
	for _, name := range []string{"amqp", "dns", "kafka", "memcached", "mongodb", "netbios", "postgresql", "redis", "smb", "zz"} {
		ps = append(ps, fake{name: name, ports: []Port{{TCP, 7, name}}, gauge: g})
	}
	return append(ps,
		fake{name: "smtp", ports: []Port{{TCP, 8, "smtp"}}, greet: "220 mail\r\n", gauge: g},
		fake{name: "ftp", ports: []Port{{TCP, 9, "ftp"}}, greet: "220 FTP\r\n", gauge: g},
		inside{fake{name: "etcd", ports: []Port{{TCP, 7, "etcd"}}, gauge: g}})
}

// inside runs in HTTP.
type inside struct{ fake }

func (inside) Carrier() string { return "http" }

// TestGuess: who answers at an unusual port is found, over no more connections
// than it takes, and nobody who has greeted is asked by strangers.
func TestGuess(t *testing.T) {
	testutil.NoLeaks(t)
	const greet = "SSH-2.0-x\r\n"
	const short = 200 * time.Millisecond
	for _, tc := range []struct {
		name  string
		serve func(net.Conn, int)
		want  string
		wait  time.Duration // the Runner's
		all   int           // connections at most
		asked int           // of those, on how many we may have spoken
	}{
		{"greets at once", speak(0, greet, "ssh", ""), "ssh: understood", 0, 1, 1},
		{"greets after the head start", speak(400*time.Millisecond, greet, "ssh", ""), "ssh: understood", 0, 18, 17},
		{"greets late", speak(2*time.Second, greet, "ssh", ""), "ssh: understood", 0, 20, 19},
		{"greets late and closes on what others ask", speak(2*time.Second, "", "", "close"), "-", short, 18, 17},
		{"nobody knows its greeting", speak(0, "hello\r\n", "other", ""), ": hello", 0, 1, 0},
		{"mute until asked", speak(0, "", "redis", ""), "redis: understood", 0, 18, 17},
		{"closes on garbage", speak(0, "", "postgresql", "close"), "postgresql: understood", 0, 18, 17},
		{"complains to HTTP", speak(0, "", "redis", "-ERR unknown command\r\n"), "redis: understood", 0, 10, 9},
		{"complains to HTTP, last in order", speak(0, "", "memcached", "ERROR\r\n"), "memcached: understood", 0, 10, 9},
		{"answers garbage", speak(0, "", "", "\x00\x01\x02"), ": ", short, 18, 17},
		{"octets unasked", speak(0, "\xff\xfd\x18", "other", ""), ": \xff\xfd\x18", short, 18, 17},
		{"TLS alone", speak(0, "", "tls", "close"), "tls: understood", 0, 18, 17},
		{"HTTP alone", speak(0, "", "http", "close"), "http: understood", 0, 18, 17},
		{"speaks to browsers too", func(c net.Conn, n int) { both(c, "http", "etcd") }, "etcd: understood", 0, 18, 17},
		{"TLS, and HTTP in it", func(c net.Conn, n int) { both(c, "tls", "http") }, "http: understood", 0, 18, 17},
		{"takes sessions too", func(c net.Conn, n int) { both(c, "netbios", "smb") }, "smb: understood", 0, 18, 17},
		{"a byte a second", stutter(time.Second, "220 slow.example ESMTP\r\n", ""), ": 2", short, 3, 2},
		{"stutters", stutter(50*time.Millisecond, greet, "ssh"), "ssh: understood", 0, 1, 1},
		{"leaves its prompt unended", speak(0, "Password: ", "other", ""), ": Password: ", short, 1, 0},
		{"turns the first away", func(c net.Conn, n int) {
			if n > 0 {
				speak(0, greet, "ssh", "")(c, n)
			}
		}, "ssh: understood", 0, 2, 1},
		{"has too many clients", speak(0, "421 too many connections\r\n", "", "close"), ": 421 too many connections", 0, 2, 0},
		{"turns all away", func(net.Conn, int) {}, "-", 0, 2, 0},
		{"mute", speak(0, "", "", ""), "-", short, 18, 17},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := serveCounted(t, tc.serve)
			target := Target{Addr: loopback4(), Proto: TCP, Port: s.port}
			var g gauge
			r := run(t, &Runner{Probers: many(&g), Guess: true, Wait: tc.wait}, target)[target]
			if got := summary(r); !strings.HasPrefix(got, tc.want) || r.Verdict != Listening {
				t.Errorf("%v, answer %q, want %q", r.Verdict, got, tc.want)
			}
			if int(s.all.Load()) > tc.all || int(s.asked.Load()) > tc.asked || g.most > portWidth {
				t.Errorf("%d connections, %d of them asked, %d at once; want %d, %d, %d", s.all.Load(), s.asked.Load(), g.most, tc.all, tc.asked, portWidth)
			}
		})
	}
}

// both answers two protocols.
func both(c net.Conn, protocols ...string) {
	b := make([]byte, 100)
	n, _ := c.Read(b)
	if slices.Contains(protocols, string(b[:n])) {
		_, _ = io.WriteString(c, string(b[:n])+"!")
	}
}

// TestGuessHost: of a host, no more are asked at once than it can bear, however
// many ports it has.
func TestGuessHost(t *testing.T) {
	testutil.NoLeaks(t)
	var g gauge
	var targets []Target
	for range 12 {
		s := serveCounted(t, speak(0, "", "", ""))
		targets = append(targets, Target{Addr: loopback4(), Proto: TCP, Port: s.port})
	}
	run(t, &Runner{Probers: many(&g), Guess: true, Wait: 100 * time.Millisecond}, targets...)
	if g.most != hostWidth {
		t.Errorf("%d asked at once, want %d", g.most, hostWidth)
	}
}

// TestGuessCancel: a test that is cancelled leaves nothing behind, whatever the
// service is at.
func TestGuessCancel(t *testing.T) {
	testutil.NoLeaks(t)
	for _, after := range []int32{1, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		var connections atomic.Int32
		s := serveCounted(t, func(c net.Conn, n int) {
			if connections.Add(1) >= after {
				cancel()
			}
			_, _ = io.Copy(io.Discard, c)
		})
		err := (&Runner{Probers: many(nil), Guess: true}).Run(ctx, slices.Values([]Target{{Addr: loopback4(), Proto: TCP, Port: s.port}}), func(Result) {})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

// TestAskTwice: a service that turns us away at its own port is asked once more,
// and what it said stays the answer when it does so again.
func TestAskTwice(t *testing.T) {
	testutil.NoLeaks(t)
	for _, tc := range []struct {
		name  string
		serve func(net.Conn, int)
		port  string
		want  string
		all   int32
	}{
		{"closes, once", func(c net.Conn, n int) {
			if n > 0 {
				speak(0, "220 FTP\r\n", "ftp", "close")(c, n)
			}
		}, "ftp", "ftp: understood", 2},
		{"is full, once", func(c net.Conn, n int) {
			if n == 0 {
				_, _ = io.WriteString(c, "421 too many\r\n")
				return
			}
			speak(0, "220 FTP\r\n", "ftp", "close")(c, n)
		}, "ftp", "ftp: understood", 2},
		{"is full", func(c net.Conn, n int) { _, _ = io.WriteString(c, "421 too many\r\n"); _, _ = io.Copy(io.Discard, c) }, "ftp", ": 421 too many", 2},
		{"closes", func(net.Conn, int) {}, "ftp", "-", 2},
		{"closes on those who speak first", func(net.Conn, int) {}, "redis", "-", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := serveCounted(t, tc.serve)
			target := Target{Addr: loopback4(), Proto: TCP, Port: s.port, Service: tc.port}
			r := run(t, &Runner{Probers: many(nil)}, target)[target]
			if got := summary(r); got != tc.want || s.all.Load() != tc.all {
				t.Errorf("answer %q over %d connections, want %q over %d", got, s.all.Load(), tc.want, tc.all)
			}
		})
	}
}

// TestLikely: the order in which strangers ask.
func TestLikely(t *testing.T) {
	names := func(ps []Prober) (names string) {
		for _, p := range ps {
			names += p.Protocol() + " "
		}
		return names
	}
	if diff := cmp.Diff("http tls redis dns postgresql mongodb memcached amqp smb kafka other udp zz netbios ", names(likely(many(nil)))); diff != "" {
		t.Error(diff)
	}
	ps := append(many(nil), fake{name: "ldap", ports: []Port{{UDP, 1, "ldap"}}}, fake{name: "stun", ports: []Port{{UDP, 1, "stun"}}})
	if diff := cmp.Diff("stun other udp ", names(strangersUDP(ps))); diff != "" {
		t.Error(diff)
	}
}

// TestRatePaid: each connection that asks or listens is paid for, but the scan's,
// and so is each datagram.
func TestRatePaid(t *testing.T) {
	s := serveCounted(t, speak(0, "", "redis", "close"))
	const some = 1000
	b := &bucket{rate: 1e-9, burst: some, tokens: some}
	q := &question{
		result: Result{Target: Target{Addr: loopback4(), Proto: TCP, Port: s.port}, Verdict: Listening},
		guess:  func() bool { return true }, wait: time.Second, rate: b, slots: make(chan struct{}, 2),
	}
	if r := identify(t.Context(), newDialer(q, 0), q, many(nil)); r.Answer == nil || r.Asked != "redis" {
		t.Fatalf("answer %+v", r.Answer)
	}
	if paid, sent := some-int(b.tokens), int(s.all.Load()); paid < sent || sent < 3 || paid > sent+2*portWidth {
		t.Errorf("%d paid for %d connections", paid, sent)
	}
	udp := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "nothing"), Service: "udp"}
	b = &bucket{rate: 1e-9, burst: some, tokens: some}
	q = &question{result: Result{Target: udp}, probers: known(fakes(), udp), guess: func() bool { return true }, wait: 50 * time.Millisecond, rate: b}
	r := identify(t.Context(), newDialer(q, 0), q, fakes())
	if paid := some - int(b.tokens); paid != r.Evidence.Tries || paid == 0 {
		t.Errorf("%d paid for %d datagrams", paid, r.Evidence.Tries)
	}
}

// TestBucket: what was owed is waited for by the next.
func TestBucket(t *testing.T) {
	b, now := newBucket(10), time.Unix(1, 0)
	take := func(after time.Duration, want bool) {
		t.Helper()
		if now = now.Add(after); b.take(now) != want {
			t.Errorf("after %v: %v", after, !want)
		}
	}
	take(0, true)
	take(0, false)
	take(100*time.Millisecond, true)
	b.owe()
	b.owe()
	take(200*time.Millisecond, false)
	if at := b.next(now); at.Sub(now).Round(time.Millisecond) != 100*time.Millisecond {
		t.Errorf("next in %v", at.Sub(now))
	}
	take(101*time.Millisecond, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b = &bucket{rate: 1e-9}
	if err := b.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
