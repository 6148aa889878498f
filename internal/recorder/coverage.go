package recorder

import (
	"fmt"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// coverage keeps account of what the record is worth: it makes the events that
// say so.
type coverage struct {
	began      time.Time
	checked    time.Time // when losses were last looked at
	lost       [activity.NumKinds]uint64
	total      uint64
	tier       activity.Tier
	unreadable uint64 // observations that could not be understood
	wall       int64  // UTC ns at the last look at the clock
	mono       time.Time
}

func (c *coverage) begin(now time.Time) {
	c.began, c.checked, c.mono, c.wall = now, now, now, now.UnixNano()
}

func (c *coverage) event(kind activity.Kind, now time.Time, cov *activity.Coverage) *activity.Event {
	return &activity.Event{Kind: kind, Time: now.UnixNano(), Tier: c.tier, Coverage: cov}
}

func (c *coverage) start(info activity.SourceInfo, version string) *activity.Event {
	c.tier = info.Tier
	detail := fmt.Sprintf("%s, hook set %s, %s", version, info.Set, info.Detail)
	return c.event(activity.KindRecorderStart, c.began, &activity.Coverage{From: c.began.UnixNano(), Missing: info.Missing, Reason: info.Hint, Detail: detail})
}

func (c *coverage) stop(now time.Time, why string) *activity.Event {
	return c.event(activity.KindRecorderStop, now, &activity.Coverage{From: c.began.UnixNano(), To: now.UnixNano(), Lost: c.lost, Reason: why})
}

// loss makes a gap of what was lost since the last call, or nil.
func (c *coverage) loss(now time.Time, lost [activity.NumKinds]uint64) *activity.Event {
	from := c.checked
	c.checked = now
	lost[activity.KindNone] += c.unreadable
	cov := &activity.Coverage{From: from.UnixNano(), To: now.UnixNano(), Reason: "the kernel's ring was full"}
	for k := range lost {
		if lost[k] > c.lost[k] {
			cov.Lost[k] = lost[k] - c.lost[k]
		}
	}
	n := cov.LostTotal()
	if n == 0 {
		return nil
	}
	c.lost = lost
	c.total += n
	return c.event(activity.KindGap, now, cov)
}

// A smaller difference between wall and monotonic time is the clock being
// disciplined, not set.
const clockStep = 500 * time.Millisecond

// clock makes a gap of a step of the wall clock, or of a time in which the
// machine was suspended, or nil.
func (c *coverage) clock(now time.Time) *activity.Event {
	step := time.Duration(now.UnixNano()-c.wall) - now.Sub(c.mono)
	from := c.wall
	c.wall, c.mono = now.UnixNano(), now
	if step.Abs() < clockStep {
		return nil
	}
	return c.event(activity.KindGap, now, &activity.Coverage{From: min(from, c.wall), To: max(from, c.wall),
		Reason: fmt.Sprintf("the wall clock stepped by %+.3f s, or the machine was suspended", step.Seconds())})
}
