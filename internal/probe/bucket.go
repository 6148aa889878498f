package probe

import "time"

// bucket is a cap on a rate: a token bucket.
type bucket struct {
	rate   float64 // tokens a second
	burst  float64
	tokens float64
	last   time.Time
}

// newBucket holds up to 10 ms of a rate, and one token at least.
func newBucket(rate float64) bucket {
	b := max(rate/100, 1)
	return bucket{rate: rate, burst: b, tokens: b}
}

// take takes a token, if there is one.
func (b *bucket) take(now time.Time) bool {
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

// next is when there will be a token.
func (b *bucket) next(now time.Time) time.Time {
	if b.tokens >= 1 {
		return now
	}
	return now.Add(time.Duration((1 - b.tokens) / b.rate * float64(time.Second)))
}
