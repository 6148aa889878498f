package probe

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestWait: the wait follows the round trips between its bounds.
func TestWait(t *testing.T) {
	for _, tc := range []struct {
		rtts []time.Duration
		want time.Duration
	}{
		{nil, firstWait},
		{[]time.Duration{time.Millisecond}, minWait},
		{[]time.Duration{200 * time.Millisecond}, 600 * time.Millisecond}, // RFC 6298: R + 4 * R/2
		{[]time.Duration{10 * time.Second}, maxWait},
	} {
		p := newPath(host())
		for _, rtt := range tc.rtts {
			p.sample(rtt)
		}
		if got := p.wait(); got != tc.want {
			t.Errorf("after %v: %v, want %v", tc.rtts, got, tc.want)
		}
	}
	p := newPath(host())
	for range 200 {
		p.sample(200 * time.Millisecond)
	}
	if got := p.wait(); got < 200*time.Millisecond || got > 220*time.Millisecond {
		t.Errorf("a steady path waits %v", got)
	}
}

// TestFIFO holds the queue to a slice.
func TestFIFO(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var q fifo[int]
	var naive []int
	for i := range 100_000 {
		switch n := rng.IntN(10); {
		case n < 5:
			q.push(i)
			naive = append(naive, i)
		case len(naive) == 0:
		case n < 9 || i > 90_000:
			if got := q.pop(); got != naive[0] {
				t.Fatalf("step %d: %d, want %d", i, got, naive[0])
			}
			naive = naive[1:]
		default:
			q.unpop(q.pop())
		}
		if q.len() != len(naive) || q.empty() != (len(naive) == 0) || !q.empty() && *q.front() != naive[0] {
			t.Fatalf("step %d: %d in the queue, want %d", i, q.len(), len(naive))
		}
	}
}
