package sockdiag

import (
	"time"

	"golang.org/x/sys/unix"
)

// now reads both clocks.
func now() stamp {
	var ts unix.Timespec
	// It fails on kernels before 2.6.39 only, which Go doesn't run on.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return stamp{boot: uint64(ts.Nano()), utc: time.Now().UnixNano()}
}

// threadTime is the processor time of the calling thread, in user and kernel
// mode.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
