package proc

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// readClock takes the tightest of three readings, each bracketed by the wall
// clock: a preemption between the two would shift every time of the record.
func readClock() (Clock, error) {
	var c Clock
	best := time.Duration(1<<63 - 1)
	for range 3 {
		var ts unix.Timespec
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			return Clock{}, fmt.Errorf("read boot clock: %w", err)
		}
		width := time.Since(before)
		if width < best {
			best = width
			c.offset = before.UnixNano() + int64(width/2) - ts.Nano()
		}
	}
	return c, nil
}
