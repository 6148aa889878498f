//go:build !linux

package sockdiag

import (
	"fmt"
	"runtime"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Source is the polling tier as a source of observations; Linux only.
type Source struct{}

// Open always fails here, with ErrUnsupported.
func Open(Config) (*Source, error) {
	return nil, fmt.Errorf("open sock_diag source on %s: %w", runtime.GOOS, ErrUnsupported)
}

// Read fails with ErrUnsupported.
func (*Source) Read(*activity.Observation) error { return ErrUnsupported }

// SetDeadline does nothing.
func (*Source) SetDeadline(time.Time) {}

// Sockets fails with ErrUnsupported.
func (*Source) Sockets(func(*activity.Socket) bool) (uint64, error) { return 0, ErrUnsupported }

// Lost fails with ErrUnsupported.
func (*Source) Lost() (n [activity.NumKinds]uint64, err error) { return n, ErrUnsupported }

// Info tells of nothing.
func (*Source) Info() activity.SourceInfo { return activity.SourceInfo{} }

// Close does nothing.
func (*Source) Close() error { return nil }
