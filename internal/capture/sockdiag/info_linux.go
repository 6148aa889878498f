package sockdiag

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// Info tells what the source can see.
func (s *Source) Info() activity.SourceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := activity.SourceInfo{Tier: activity.TierPoll, Set: "sock_diag",
		Missing: []activity.Kind{activity.KindBindFailed, activity.KindFlowEnd, activity.KindKnock}}
	if s.spaces.own.conn == nil {
		i.Set = "procfs"
	}
	var dumped, watched, read int
	for sp := range s.spaces.all() {
		h := activity.Hook{Name: fmt.Sprintf("sock_diag/netns:%d", sp.inode)}
		switch {
		case sp.conn == nil:
			read++
			h.Err = sp.why.Error()
		case len(sp.watches) < 2:
			dumped++
		default:
			watched++
		}
		i.Hooks = append(i.Hooks, h)
	}
	var un unix.Utsname
	_ = unix.Uname(&un)
	i.Detail = fmt.Sprintf("linux %s, scans every %v to %v, times within one scan; namespaces: %d with destroy notifications, %d without, %d from /proc, %d left out",
		unix.ByteSliceToString(un.Release[:]), s.cfg.MinInterval, s.cfg.MaxInterval, watched, dumped, read, s.spaces.over)
	i.Hint = s.caps.hint()
	return i
}

// capabilities are those that widen what is seen (capabilities(7)).
type capabilities struct {
	ptrace     bool // CAP_SYS_PTRACE: look into other users' processes
	readSearch bool // CAP_DAC_READ_SEARCH: open their directories
	admin      bool // CAP_SYS_ADMIN: enter network namespaces
	netAdmin   bool // CAP_NET_ADMIN: a receive buffer beyond the host's limit
}

func effective() (c capabilities) {
	var data [2]unix.CapUserData
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if unix.Capget(&hdr, &data[0]) != nil {
		return c
	}
	has := func(n int) bool { return data[n/32].Effective&(1<<(n%32)) != 0 }
	return capabilities{ptrace: has(unix.CAP_SYS_PTRACE), readSearch: has(unix.CAP_DAC_READ_SEARCH) || has(unix.CAP_DAC_OVERRIDE),
		admin: has(unix.CAP_SYS_ADMIN), netAdmin: has(unix.CAP_NET_ADMIN)}
}

// hint says in one line what is missing and how to get it; "" nothing.
func (c capabilities) hint() string {
	var lacks, grants []string
	if !c.ptrace || !c.readSearch {
		lacks = append(lacks, "the owners of other users' sockets")
		grants = append(grants, "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")
	}
	if !c.admin {
		lacks = append(lacks, "other network namespaces")
		grants = append(grants, "CAP_SYS_ADMIN")
	}
	if !c.netAdmin {
		grants = append(grants, "CAP_NET_ADMIN")
	}
	if len(grants) == 0 {
		return ""
	}
	if len(lacks) == 0 {
		lacks = append(lacks, "some destroy notifications under load")
	}
	return fmt.Sprintf("can't see %s: run as root or grant %s", strings.Join(lacks, " and "), strings.Join(grants, ", "))
}
