package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func event(seq uint64) activity.Event {
	p := process(int(seq % 7))
	return activity.Event{Time: int64(seq) * 1000, Seq: seq, Kind: activity.KindAccept, Proto: activity.TCP, Tier: activity.TierEBPF,
		Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:3000"), Owner: p.Key, Process: p}
}

func followers(s *Server) int {
	if fs := s.followers.Load(); fs != nil {
		return len(*fs)
	}
	return 0
}

// publishWhenFollowed runs publish as soon as n followers are there.
func publishWhenFollowed(s *Server, n int, publish func()) {
	go func() {
		for followers(s) < n {
			runtime.Gosched()
		}
		publish()
	}()
}

func TestFollow(t *testing.T) {
	s, p, _ := serve(t, &recorder{})
	const n = 500
	publishWhenFollowed(s, 2, func() {
		for i := range uint64(n) {
			e := event(i + 1)
			s.Publish(&e)
			e.Kind = activity.KindNone // Publish has copied it
		}
	})
	results := make(chan error, 2)
	for range 2 {
		c := p.dial(t)
		go func() { results <- expect(c.Follow(t.Context(), 0), 1, n) }()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// expect reads events first to last and leaves.
func expect(seq iter.Seq2[*activity.Event, error], first, last uint64) error {
	for e, err := range seq {
		if err != nil {
			return err
		}
		want := event(first)
		if d := cmp.Diff(&want, e, addrs); d != "" {
			return fmt.Errorf("event %d: -want +got\n%s", first, d)
		}
		if first == last {
			return nil
		}
		first++
	}
	return errors.New("follow ended early")
}

// Live events that the recent ones contain already are not told twice, and
// none falls between.
func TestFollowRecent(t *testing.T) {
	h := &publishing{}
	for i := range uint64(20) {
		h.recent = append(h.recent, event(i+1))
	}
	s, p, _ := serve(t, h)
	h.s = s
	if err := expect(p.dial(t).Follow(t.Context(), 10), 11, 25); err != nil {
		t.Error(err)
	}
}

// publishing publishes while the recent events are asked for: the last five of
// them and five newer ones.
type publishing struct {
	recentRecorder
	s *Server
}

func (h *publishing) Recent(n int) ([]activity.Event, error) {
	for i := uint64(16); i <= 25; i++ {
		e := event(i)
		h.s.Publish(&e)
	}
	return h.recentRecorder.Recent(n)
}

// A recorder that started anew counts from 1 again: its events are not taken
// for old ones.
func TestOverlapAcrossEpochs(t *testing.T) {
	old := []activity.Event{event(1), event(2)}
	e := event(1)
	e.Time += 5
	live := []*activity.Event{&e}
	if got := newOverlap(old).trim(live); len(got) != 1 {
		t.Errorf("trimmed to %d", len(got))
	}
	if got := newOverlap(old).trim([]*activity.Event{&old[1]}); len(got) != 0 {
		t.Errorf("kept %d", len(got))
	}
}

func TestFollowRecentUnsupported(t *testing.T) {
	_, p, _ := serve(t, &recorder{})
	var last error
	for _, last = range p.dial(t).Follow(t.Context(), 5) {
	}
	if !errors.Is(last, ErrUnsupported) {
		t.Errorf("follow: %v", last)
	}
}

// A follower that stops reading loses what does not fit its queue, and is told
// exactly what that was; the publisher never waits.
func TestSlowFollower(t *testing.T) {
	f := newFollower()
	const extra = 100
	for i := range uint64(queueLength + extra) {
		e := event(i + 1)
		if i%4 == 0 {
			e.Kind = activity.KindClose
		}
		f.put(&e)
	}
	got := f.take()
	if len(got) != queueLength+1 {
		t.Fatalf("%d events", len(got))
	}
	want := activity.Coverage{From: (queueLength + 1) * 1000, To: (queueLength + extra) * 1000, Reason: got[queueLength].Coverage.Reason}
	want.Lost[activity.KindClose], want.Lost[activity.KindAccept] = extra/4, extra-extra/4
	if d := cmp.Diff(&want, got[queueLength].Coverage); d != "" || got[queueLength].Kind != activity.KindGap {
		t.Errorf("gap: -want +got\n%s", d)
	}
	e := event(1)
	f.put(&e)
	if got := f.take(); len(got) != 1 || got[0] != &e {
		t.Errorf("after the gap: %v", got)
	}
}

// The same from end to end: made = read + declared lost.
func TestSlowFollowerDeclared(t *testing.T) {
	s, p, _ := serve(t, &recorder{})
	const made = 5 * queueLength
	published := make(chan struct{})
	publishWhenFollowed(s, 1, func() {
		defer close(published)
		for i := range uint64(made) {
			e := event(i + 1)
			s.Publish(&e)
		}
	})
	var read, lost, last uint64
	for e, err := range p.dial(t).Follow(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if read == 0 {
			<-published // not reading all the while
		}
		if e.Kind == activity.KindGap {
			if lost += e.Coverage.LostTotal(); read+lost == made {
				break
			}
			continue
		}
		if e.Seq <= last {
			t.Fatalf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		if read++; read+lost == made {
			break
		}
	}
	if read+lost != made || lost == 0 {
		t.Errorf("read %d, declared lost %d, made %d", read, lost, made)
	}
}

func TestFollowEndsWithServer(t *testing.T) {
	s, p, cancel := serve(t, &recorder{})
	publishWhenFollowed(s, 1, func() {
		e := activity.Event{Kind: activity.KindRecorderStop, Seq: 1, Coverage: &activity.Coverage{Reason: "stopped"}}
		s.Publish(&e)
		cancel()
	})
	got := collect(t, p.dial(t).Follow(t.Context(), 0))
	if len(got) != 1 || got[0].Kind != activity.KindRecorderStop || got[0].Coverage.Reason != "stopped" {
		t.Errorf("events: %+v", got)
	}
}

// A follower that has left is taken off the list though nothing is published.
func TestFollowerLeaves(t *testing.T) {
	s, p, _ := serve(t, &recorder{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for followers(s) == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	var last error
	for _, last = range p.dial(t).Follow(ctx, 0) {
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("follow: %v", last)
	}
	for followers(s) > 0 {
		runtime.Gosched()
	}
}

func TestForget(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	out := newSender(server, frameEvents)
	for i := range maxKnown {
		out.sent[activity.ProcessID(i)] = 0
	}
	done := make(chan error, 1)
	go func() { done <- out.forget() }()
	var buf []byte
	typ, _, err := readFrame(client, &buf, maxFrame)
	if err != nil || typ != frameForget {
		t.Errorf("frame %d, %v", typ, err)
	}
	if err := <-done; err != nil || len(out.sent) != 0 {
		t.Errorf("forget: %v, %d left", err, len(out.sent))
	}
}

func BenchmarkPublishNoFollower(b *testing.B) {
	s := newServer(newPipes(), allow)
	e := event(1)
	for b.Loop() {
		s.Publish(&e)
	}
}

func BenchmarkPublishOneFollower(b *testing.B) {
	s := newServer(newPipes(), allow)
	f := newFollower()
	s.follow(f, true)
	e := event(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Publish(&e)
		if i%1024 == 0 {
			f.take()
		}
	}
}
