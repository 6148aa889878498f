package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timerSlack is how late the kernel may wake this process's timers (prctl(2),
// PR_SET_TIMERSLACK; the default is 50 us). The monitor thread of Go's run time
// looks after the others each 20 us for as long as one runs, and each look is a
// timer interrupt on a processor that somebody else is using: more than a
// thousand a second, which cost those who use the network more than the hooks
// of send and receive.
const timerSlack = 5 * time.Millisecond

// easeTimers sets the slack of the threads that there are; later ones inherit
// it. It wants CAP_SYS_NICE (Linux 4.6), which the service does without: its unit
// says TimerSlackNSec= itself. Without, nothing is lost but a little time.
func easeTimers() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		// The file is the process's, and each thread answers to its own number.
		_ = os.WriteFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), strconv.AppendInt(nil, int64(timerSlack), 10), 0)
	}
}
