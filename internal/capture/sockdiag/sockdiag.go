// Package sockdiag is the polling capture tier of Linux: it asks the kernel for
// its socket tables over netlink (sock_diag(7)) or, where that is not possible,
// reads /proc/PID/net, finds who holds each socket in /proc/PID/fd, and reports
// what differs from one scan to the next. It needs no BPF and no privilege, and
// says what it therefore cannot see.
//
// What begins and ends between two scans is seen only through the kernel's
// destroy notifications, which tell bytes but no process.
package sockdiag

import (
	"errors"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// ErrUnsupported is wrapped by Open and Snapshot where the system has neither
// sock_diag nor /proc/net.
var ErrUnsupported = errors.New("polling the socket tables needs Linux")

// Config says how to poll. The zero value is ready to use.
type Config struct {
	// MinInterval and MaxInterval bound the pause between two scans, 100 ms and
	// 2 s when zero. The pause is MinInterval while things change and grows when
	// nothing does; it exceeds MaxInterval only where a scan is so costly that
	// it would take more than 1/20 of a core.
	MinInterval, MaxInterval time.Duration

	// Root is the directory in which proc is mounted, "/" when empty. Pids are
	// those of that mount's pid namespace.
	Root string

	// OwnNamespaceOnly leaves the other network namespaces alone.
	OwnNamespaceOnly bool

	// NoNotifications does without the kernel's destroy notifications, which
	// cost the machine a few percent of the price of each connection.
	NoNotifications bool
}

func (c Config) withDefaults() Config {
	if c.MinInterval <= 0 {
		c.MinInterval = 100 * time.Millisecond
	}
	if c.MaxInterval <= 0 {
		c.MaxInterval = 2 * time.Second
	}
	c.MaxInterval = max(c.MinInterval, c.MaxInterval)
	if c.Root == "" {
		c.Root = "/"
	}
	return c
}

// Snapshot yields every socket that is open now, with its holders, as
// Source.Sockets does, without a Source to keep.
func Snapshot(c Config, yield func(*activity.Socket) bool) (asOf uint64, err error) {
	c.NoNotifications = true
	s, err := Open(c)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return s.Sockets(yield)
}

// busyShare and capShare bound the share of one core that scanning takes:
// 1/busyShare while the interval may move, 1/capShare at most ever.
const (
	busyShare = 30
	capShare  = 20
)

// nextInterval returns the pause before the next scan, from the pause before
// this one, what this one cost, and whether it found any change.
func nextInterval(c Config, last, cost time.Duration, changed bool) time.Duration {
	next := c.MinInterval
	if !changed {
		next = last + last/2
	}
	next = max(next, cost*busyShare, c.MinInterval)
	return max(min(next, c.MaxInterval), cost*capShare)
}
