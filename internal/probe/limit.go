package probe

import "time"

// limit follows a host that limits its ICMP errors, as all do: Linux answers six
// closed ports of one asker at once and then one a second (icmp_ratelimit), and
// as many in all as icmp_msgs_per_sec says. A port that is silent then may be
// closed all the same.
//
// Silent ports are asked again in passes. A pass needs no pace of its own to be
// right: only closed ports use up what the host allows, so each pass proves as
// many as were allowed in its time. When a pass that began a second after the last
// error brings none, the host had one to give and nobody to give it to: the rest
// is silent indeed.
type limit struct {
	icmp  int       // port unreachables in all
	last  time.Time // the last of them
	since time.Time // the first pass that asked again

	pass  int       // port unreachables in this pass
	size  int       // ports asked in it
	began time.Time //
	start time.Time // when the next send of this pass is due
	gap   time.Duration
}

const (
	// A host that sent fewer errors than this is not at its limit: Linux's burst
	// is 6 (net/ipv4/icmp.c), others allow more.
	limitBurst = 5
	// After so long, a limited host has an error to give again (icmp_ratelimit).
	limitRest = time.Second
)

// error counts a port unreachable.
func (l *limit) error(now time.Time) {
	l.icmp++
	l.pass++
	l.last = now
}

// outcome is what becomes of the silent ports at the end of a pass.
type outcome uint8

const (
	proven  outcome = iota // silent
	gaveUp                 // perhaps silent, perhaps limited
	another                // to be asked again
)

// judge ends a pass, at now.
func (l *limit) judge(now time.Time, patience time.Duration) outcome {
	switch {
	case l.icmp < limitBurst:
		return proven
	case l.pass == 0 && !l.began.Before(l.last.Add(limitRest)):
		return proven
	case !l.since.IsZero() && now.Sub(l.since) >= patience:
		return gaveUp
	}
	return another
}

// next begins a pass over n ports: at once while many are being proven, else when
// the host has rested; as fast as the last one proved, and in a second at most.
func (l *limit) next(now time.Time, n int) {
	rate := float64(n)
	if took := now.Sub(l.began).Seconds(); took > 0 && l.size > 0 {
		rate = max(rate, 1.2*float64(l.pass)/took)
	}
	start := now
	if l.pass < max(20, l.size/10) {
		start = l.last.Add(limitRest)
	}
	if start.Before(now) {
		start = now
	}
	if l.since.IsZero() {
		l.since = now
	}
	l.pass, l.size, l.began, l.start = 0, n, start, start
	l.gap = time.Duration(float64(time.Second) / rate)
}

// due says whether the pass may send now, and counts it as sent. Where no pass
// has begun, as by TCP, it always may.
func (l *limit) due(now time.Time) bool {
	if now.Before(l.start) {
		return false
	}
	// What was late is caught up with, but not a whole burst of it.
	l.start = l.start.Add(l.gap)
	if late := now.Add(-20 * time.Millisecond); l.start.Before(late) {
		l.start = late
	}
	return true
}
