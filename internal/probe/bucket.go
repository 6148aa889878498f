package probe

import (
	"context"
	"sync"
	"time"
)

// bucket is a cap on a rate: a token bucket. It is safe for concurrent use.
type bucket struct {
	mu     sync.Mutex
	rate   float64 // tokens a second
	burst  float64
	tokens float64 // negative: what was sent before its time
	last   time.Time
}

// newBucket holds up to 10 ms of a rate, and one token at least.
func newBucket(rate float64) *bucket {
	b := max(rate/100, 1)
	return &bucket{rate: rate, burst: b, tokens: b}
}

// take takes a token, if there is one.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.last.IsZero() {
		b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// owe takes a token whether there is one or not: whoever takes the next waits for
// it. It is for what cannot wait, in the midst of a conversation.
func (b *bucket) owe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens--
}

// wait takes a token as soon as there is one, or ends with ctx.
func (b *bucket) wait(ctx context.Context) error {
	for !b.take(time.Now()) {
		now := time.Now()
		t := time.NewTimer(b.next(now).Sub(now))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// next is when there will be a token.
func (b *bucket) next(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens >= 1 {
		return now
	}
	return now.Add(time.Duration((1 - b.tokens) / b.rate * float64(time.Second)))
}
