package capture

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture/bpf"
	"github.com/portreporter/portreporter/internal/capture/sockdiag"
)

func open(cfg Config) (Source, error) {
	if cfg.Tier == Poll {
		return openPoll("")
	}
	s, err := bpf.Open(bpf.Config{RingBytes: cfg.RingBytes, FlowIdle: cfg.FlowIdle, Set: cfg.HookSet})
	if err == nil {
		return s, nil
	}
	why := explain(err)
	if cfg.Tier == EBPF {
		return nil, fmt.Errorf("open the ebpf tier: %s: %w", why, err)
	}
	return openPoll("polling only, so short connections are missed and failures are not seen: " + why)
}

// explain says what to do about a failed load.
func explain(err error) string {
	switch {
	case errors.Is(err, bpf.ErrUnsupported):
		return "this kernel has no type information (CONFIG_DEBUG_INFO_BTF)"
	case os.Geteuid() != 0 && !errors.Is(err, bpf.ErrUnsupported):
		return "not privileged: run as root, or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "the kernel refuses ebpf programs here (a container, or a lockdown mode)"
	}
	return "ebpf programs could not be loaded"
}

func openPoll(hint string) (Source, error) {
	s, err := sockdiag.Open(sockdiag.Config{})
	if err != nil {
		return nil, fmt.Errorf("open the polling tier: %w", err)
	}
	return hinted{Source: s, hint: hint}, nil
}

// hinted adds why a better tier is not there to what a source says of itself.
type hinted struct {
	Source
	hint string
}

func (h hinted) Info() activity.SourceInfo {
	info := h.Source.Info()
	switch {
	case h.hint == "":
	case info.Hint == "":
		info.Hint = h.hint
	default:
		info.Hint = h.hint + "; " + info.Hint
	}
	return info
}

// snapshot asks the ebpf iterators where they can be had: they walk all network
// namespaces several times faster than netlink and /proc.
func snapshot(yield func(*activity.Socket) bool) error {
	if err := bpf.Snapshot(yield); err == nil {
		return nil
	}
	return tables(yield)
}

// tables is the snapshot that any user may take.
func tables(yield func(*activity.Socket) bool) error {
	_, err := sockdiag.Snapshot(sockdiag.Config{}, func(s *activity.Socket) bool {
		c := *s // sockdiag uses it again for the next
		return yield(&c)
	})
	return err
}
