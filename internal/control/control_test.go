package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

var addrs = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

// pipes is a listener without an operating system, so that the protocol is
// tested the same everywhere.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) raw(t testing.TB) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	select {
	case p.conns <- server:
	case <-p.done:
		t.Fatal("the server has stopped")
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (p *pipes) dial(t testing.TB) *Client {
	t.Helper()
	c, err := newClient(t.Context(), p.raw(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorder is a Handler with fixed answers.
type recorder struct {
	socks  []activity.Socket
	recent []activity.Event
	set    *activity.ModuleSet
	err    error
	onList func()
}

func (r *recorder) Sockets() iter.Seq2[*activity.Socket, error] {
	return func(yield func(*activity.Socket, error) bool) {
		if r.onList != nil {
			r.onList()
		}
		for i := range r.socks {
			if !yield(&r.socks[i], nil) {
				return
			}
		}
		if r.err != nil {
			yield(nil, r.err)
		}
	}
}
func (r *recorder) Status() (any, error) { return map[string]any{"events": 7}, r.err }
func (r *recorder) Modules(id activity.ModuleSetID) *activity.ModuleSet {
	if r.set != nil && r.set.ID == id {
		return r.set
	}
	return nil
}

type recentRecorder struct{ recorder }

func (r *recentRecorder) Recent(n int) ([]activity.Event, error) {
	return r.recent[max(0, len(r.recent)-n):], nil
}

func allow(net.Conn) error { return nil }

// serve runs a server for the test, and checks at its end that no goroutine is
// left of it.
func serve(t testing.TB, h Handler) (*Server, *pipes, context.CancelFunc) {
	t.Helper()
	testutil.NoLeaks(t)
	p := newPipes()
	s := newServer(p, allow)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, p, cancel
}

func process(n int) *activity.Process {
	return &activity.Process{ID: activity.ProcessID(n + 1), Key: activity.ProcessKey{PID: uint32(n), Start: 5}, Name: fmt.Sprint("proc", n),
		Exe: fmt.Sprintf("/usr/sbin/proc%d", n), Args: []string{"proc", "-x"}, UID: 33, EUID: 33, GID: 33, LoginUID: activity.NoID, User: "www-data"}
}

// table returns n sockets that share n/10 processes.
func table(n int) []activity.Socket {
	procs := make([]*activity.Process, n/10+1)
	for i := range procs {
		procs[i] = process(i)
	}
	socks := make([]activity.Socket, n)
	for i := range socks {
		p := procs[i%len(procs)]
		socks[i] = activity.Socket{Cookie: uint64(i + 1), Proto: activity.TCP, State: activity.StateEstablished, NetNS: 4026531833, Inode: uint64(i + 9),
			Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 443),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), uint16(30000+i)),
			Since:  1764016910191786123, Role: activity.RoleAcceptor, Tier: activity.TierEBPF, Owner: p.Key, Process: p, Holders: []activity.ProcessKey{p.Key}}
	}
	return socks
}

func collect[T any](t testing.TB, seq iter.Seq2[*T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *v)
	}
	return all
}

func TestAnswers(t *testing.T) {
	h := &recorder{socks: table(2500), set: &activity.ModuleSet{ID: 9, Modules: []activity.Module{{Path: "/lib/x.so", Base: 4096}}}}
	h.socks[3].Others = []*activity.Process{process(9001)}
	_, p, _ := serve(t, h)
	c := p.dial(t)
	for range 2 { // a connection serves one request after another
		if d := cmp.Diff(h.socks, collect(t, c.List(t.Context())), addrs); d != "" {
			t.Errorf("list: -want +got\n%s", d)
		}
		var status struct{ Events int }
		if err := c.Status(t.Context(), &status); err != nil || status.Events != 7 {
			t.Errorf("status: %+v, %v", status, err)
		}
		for id, want := range map[activity.ModuleSetID]*activity.ModuleSet{9: h.set, 10: nil} {
			got, err := c.Modules(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("modules %d: -want +got\n%s", id, d)
			}
		}
	}
	if c.PID() == 0 {
		t.Error("no pid in the hello")
	}
}

func TestListSharesProcesses(t *testing.T) {
	_, p, _ := serve(t, &recorder{socks: table(100)})
	seen := map[activity.ProcessID]*activity.Process{}
	for s, err := range p.dial(t).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if q := seen[s.Process.ID]; q != nil && q != s.Process {
			t.Fatalf("process %d was copied", s.Process.Key.PID)
		}
		seen[s.Process.ID] = s.Process
	}
}

func TestHandlerErrorKeepsConnection(t *testing.T) {
	h := &recorder{err: errors.New("table is being rebuilt")}
	_, p, _ := serve(t, h)
	c := p.dial(t)
	for range 3 {
		var last error
		for _, last = range c.List(t.Context()) {
		}
		if last == nil || last.Error() != "list: table is being rebuilt" {
			t.Errorf("list: %v", last)
		}
		if err := c.Status(t.Context(), new(any)); err == nil || err.Error() != "status: table is being rebuilt" {
			t.Errorf("status: %v", err)
		}
	}
}

func TestListStopsEarly(t *testing.T) {
	_, p, _ := serve(t, &recorder{socks: table(50_000)})
	n := 0
	for _, err := range p.dial(t).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 10 {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d sockets", n)
	}
}

func TestConcurrentClients(t *testing.T) {
	h := &recorder{socks: table(1000)}
	_, p, _ := serve(t, h)
	var g sync.WaitGroup
	for range 16 {
		c := p.dial(t)
		g.Go(func() {
			for range 4 {
				n := 0
				for _, err := range c.List(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					n++
				}
				if n != 1000 {
					t.Errorf("%d sockets", n)
				}
			}
		})
	}
	g.Wait()
}

func TestTooManyClients(t *testing.T) {
	_, p, _ := serve(t, &recorder{})
	var all []*Client
	for range maxClients {
		all = append(all, p.dial(t))
	}
	if _, err := newClient(t.Context(), p.raw(t)); err == nil || !strings.Contains(err.Error(), "64 clients are connected already") {
		t.Errorf("client 65: %v", err)
	}
	// One leaves; sooner or later the server has noticed.
	all[0].Close()
	for end := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		if _, err := newClient(t.Context(), p.raw(t)); err == nil {
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestContextInterrupts(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := &recorder{onList: func() { close(entered); <-release }}
	_, p, _ := serve(t, h)
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	c := p.dial(t)
	go func() { <-entered; cancel() }()
	var last error
	for _, last = range c.List(ctx) {
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("list: %v", last)
	}
	if err := c.Status(t.Context(), new(any)); err == nil {
		t.Error("a connection with an unread answer was used again")
	}
}

// TestHungRecorder: who asks a recorder that takes the connection and then says
// nothing is told so, at each place where it can fall silent.
func TestHungRecorder(t *testing.T) {
	hello := appendHello(nil, 7)
	for _, c := range []struct {
		name string
		says []byte
	}{
		{"nothing", nil},
		{"hello only", hello},
		{"half a frame", hello[:3]},
		{"half an answer", appendFrame(bytes.Clone(hello), frameSockets)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer server.Close()
				go io.Copy(io.Discard, server)
				go server.Write(c.says)
				_, err := listOf(t, client)
				if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "did not answer within 5s") {
					t.Errorf("got %v, want %v", err, ErrNoAnswer)
				}
			})
		})
	}
}

func listOf(t *testing.T, conn net.Conn) (n int, err error) {
	c, err := newClient(t.Context(), conn)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for _, err = range c.List(t.Context()) {
		n++
	}
	return n, err
}

// TestFollowIsPatient: events may be as far apart as they like.
func TestFollowIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go io.Copy(io.Discard, server)
		go func() {
			defer server.Close()
			server.Write(appendFrame(appendHello(nil, 7), frameBegin))
			time.Sleep(24 * time.Hour) // of the test's own clock
			server.Write(appendFrame(nil, frameEnd))
		}()
		c, err := newClient(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range c.Follow(t.Context(), 0) {
			t.Error(err)
		}
	})
}

func TestRefusesStranger(t *testing.T) {
	p := newPipes()
	s := newServer(p, func(net.Conn) error { return fmt.Errorf("%w: uid 1000; run this as root", ErrPermission) })
	done := make(chan error)
	go func() { done <- s.Serve(t.Context(), &recorder{}) }()
	if _, err := newClient(t.Context(), p.raw(t)); !errors.Is(err, ErrPermission) ||
		err.Error() != "connect to the recorder: permission denied: uid 1000; run this as root" {
		t.Errorf("error: %v", err)
	}
	s.Close()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// Where there is no control socket the recorder has a nil Server.
func TestNilServer(t *testing.T) {
	var s *Server
	s.Publish(&activity.Event{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Out of descriptors, accept(2) fails for a while: the server is there again
// afterwards.
func TestAcceptErrors(t *testing.T) {
	p := &failingPipes{pipes: newPipes(), fail: 2}
	s := newServer(p, allow)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), &recorder{}) }()
	if err := p.dial(t).Status(t.Context(), new(any)); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type failingPipes struct {
	*pipes
	fail int
}

func (p *failingPipes) Accept() (net.Conn, error) {
	if p.fail > 0 {
		p.fail--
		return nil, errors.New("too many open files")
	}
	return p.pipes.Accept()
}
