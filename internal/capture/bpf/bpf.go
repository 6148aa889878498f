package bpf

import (
	"errors"
	"time"
)

// Hook sets. SetAuto takes trampolines where the kernel allows them.
const (
	SetAuto       = "auto"
	SetTracepoint = "tracepoint"
	SetTrampoline = "trampoline"
)

// ErrUnsupported is wrapped by Open where this tier cannot be at all: another
// system, another processor, a kernel without type information (BTF).
var ErrUnsupported = errors.New("the ebpf capture tier is not supported here")

// Config says how to capture. The zero value is the default.
type Config struct {
	RingBytes  int           // size of the kernel's ring, a power of two of at least one page; 0 is 4 MiB
	Sockets    int           // TCP sockets in the kernel's table; more than these cost more; 0 is 32768
	FlowIdle   time.Duration // a UDP flow without a datagram for so long has ended; 0 is 60 s
	CgroupRoot string        // where the cgroup2 hierarchy is mounted; "" looks in mountinfo
	Set        string        // SetAuto, SetTracepoint or SetTrampoline; "" is SetAuto
}

func (c Config) withDefaults() Config {
	if c.RingBytes == 0 {
		c.RingBytes = 4 << 20
	}
	if c.Sockets == 0 {
		c.Sockets = 32768
	}
	if c.FlowIdle == 0 {
		c.FlowIdle = 60 * time.Second
	}
	if c.Set == "" {
		c.Set = SetAuto
	}
	return c
}
