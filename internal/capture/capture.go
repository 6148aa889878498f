// Package capture opens the best capture tier that this machine allows: ebpf,
// else polling. Both speak the same vocabulary, and each says of itself what it
// cannot see.
package capture

import (
	"errors"
	"fmt"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// ErrUnsupported is wrapped by Open where no tier exists for this system.
var ErrUnsupported = errors.New("port capture is not supported on this system")

// Tiers that can be asked for.
const (
	Auto = "auto"
	EBPF = "ebpf"
	Poll = "poll"
)

// Config says how to capture. The zero value takes the best tier.
type Config struct {
	Tier      string        // Auto, EBPF or Poll; "" is Auto
	HookSet   string        // ebpf only: "auto", "tracepoint" or "trampoline"
	RingBytes int           // ebpf only: the kernel's ring, a power of two; 0 is the default
	FlowIdle  time.Duration // a UDP flow without a datagram for so long has ended; 0 is the default
}

// Source reports port events; see recorder.Source for what each method owes.
type Source interface {
	Read(o *activity.Observation) error
	SetDeadline(t time.Time)
	Sockets(yield func(*activity.Socket) bool) (asOf uint64, err error)
	Lost() ([activity.NumKinds]uint64, error)
	Info() activity.SourceInfo
	Close() error
}

// Open opens the tier asked for. With Auto it falls back to polling where ebpf
// cannot be, and Info().Hint then says why.
func Open(cfg Config) (Source, error) {
	switch cfg.Tier {
	case "", Auto, EBPF, Poll:
		return open(cfg)
	}
	return nil, fmt.Errorf("unknown capture tier %q: want %s, %s or %s", cfg.Tier, Auto, EBPF, Poll)
}

// Snapshot yields every socket open now, with its holders where this user may
// see them, from the kernel's tables and without a recorder. They are the
// caller's to keep.
func Snapshot(yield func(*activity.Socket) bool) error { return snapshot(yield) }
