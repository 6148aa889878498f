package proc

// Clock turns CLOCK_BOOTTIME (which orders events and counts suspended time)
// into wall time and back, as both stood when it was read. A step of the wall
// clock makes it stale: read it again.
type Clock struct {
	offset int64 // CLOCK_REALTIME - CLOCK_BOOTTIME, ns
}

// ReadClock reads the two clocks together. The error is ErrUnsupported where
// there is no CLOCK_BOOTTIME.
func ReadClock() (Clock, error) { return readClock() }

// Wall returns the wall time (UTC, ns since the Unix epoch) of a boot time.
func (c Clock) Wall(boot uint64) int64 { return int64(boot) + c.offset }

// Boot returns the boot time of a wall time, 0 if that was before the boot.
func (c Clock) Boot(wall int64) uint64 { return uint64(max(wall-c.offset, 0)) }

// BootTime returns the wall time at which this machine's boot clock was zero.
func (c Clock) BootTime() int64 { return c.offset }
