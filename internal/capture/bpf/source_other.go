//go:build !linux || !(amd64 || arm64)

package bpf

import (
	"fmt"
	"runtime"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Source cannot be opened here.
type Source struct{}

// Open returns an error that wraps ErrUnsupported and names this system.
func Open(Config) (*Source, error) {
	return nil, fmt.Errorf("%w: %s/%s", ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}

// Read is never reached.
func (*Source) Read(*activity.Observation) error { return ErrUnsupported }

// SetDeadline is never reached.
func (*Source) SetDeadline(time.Time) {}

// Sockets is never reached.
func (*Source) Sockets(func(*activity.Socket) bool) (uint64, error) { return 0, ErrUnsupported }

// Live is never reached.
func (*Source) Live(func(*activity.Socket) bool) (uint64, error) { return 0, ErrUnsupported }

// Lost is never reached.
func (*Source) Lost() ([activity.NumKinds]uint64, error) {
	return [activity.NumKinds]uint64{}, ErrUnsupported
}

// Info is never reached.
func (*Source) Info() activity.SourceInfo { return activity.SourceInfo{} }

// Close is never reached.
func (*Source) Close() error { return nil }

// Snapshot returns an error that wraps ErrUnsupported.
func Snapshot(func(*activity.Socket) bool) error { return ErrUnsupported }
