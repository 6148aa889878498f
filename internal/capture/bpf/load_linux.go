//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// hook is one program of the object and what the record lacks without it.
type hook struct {
	program string
	set     set
	lacks   []activity.Kind // lost when neither this nor its stand-in is attached
}

// set says when a hook is wanted.
type set uint8

const (
	always      set = iota
	tracepoints     // only where trampolines do not do its work
	trampolines     // only where text patching is allowed
	udpTrampolines
	iterators // loaded, run on demand
)

func hooks() []hook {
	k := func(kinds ...activity.Kind) []activity.Kind { return kinds }
	return []hook{
		{"set_state", always, k(activity.KindListen, activity.KindUnlisten, activity.KindConnect, activity.KindConnectFailed, activity.KindClose)},
		{"destroy", always, nil},
		{"process_exit", always, nil},
		{"sock_send", always, nil},
		{"sock_recv", always, nil},
		{"knock", always, k(activity.KindKnock)},
		{"cg_peer4", always, nil},
		{"cg_peer6", always, nil},
		{"cg_release", always, k(activity.KindUnbind)},
		{"cg_post_bind4", always, k(activity.KindBind)},
		{"cg_post_bind6", always, k(activity.KindBind)},
		{"cg_bind4", tracepoints, k(activity.KindBindFailed)},
		{"cg_bind6", tracepoints, k(activity.KindBindFailed)},
		{"cg_connect4", always, nil},
		{"cg_connect6", always, nil},
		{"cg_sendmsg4", tracepoints, k(activity.KindFlow, activity.KindFlowEnd)},
		{"cg_sendmsg6", tracepoints, k(activity.KindFlow, activity.KindFlowEnd)},
		{"cg_recvmsg4", tracepoints, k(activity.KindFlow, activity.KindFlowEnd)},
		{"cg_recvmsg6", tracepoints, k(activity.KindFlow, activity.KindFlowEnd)},
		{"fx_accept2", trampolines, nil},
		{"fx_accept4", trampolines, nil},
		{"fx_listen", trampolines, k(activity.KindListen)},
		{"fx_connect", trampolines, nil},
		{"fx_bind4", trampolines, k(activity.KindBindFailed)},
		{"fx_bind6", trampolines, k(activity.KindBindFailed)},
		{"fx_udp_send", udpTrampolines, k(activity.KindFlow, activity.KindFlowEnd)},
		{"fx_udp6_send", udpTrampolines, k(activity.KindFlow, activity.KindFlowEnd)},
		{"fe_udp_recv", udpTrampolines, k(activity.KindFlow, activity.KindFlowEnd)},
		{"held", iterators, nil},
		{"seed_tcp", iterators, nil},
		{"live_tcp", iterators, nil},
		{"live_spill", iterators, nil},
		{"gone_tcp", iterators, nil},
		{"live_udp", iterators, nil},
	}
}

// loaded is the object in the kernel.
type loaded struct {
	spec  *ebpf.CollectionSpec
	maps  *ebpf.Collection
	progs map[string]*ebpf.Program
	links []io.Closer
	types *btf.Cache // the kernel's, while programs are loaded
	info  activity.SourceInfo
	// what the kernel turned out to allow
	trampolines, udpTrampolines, ioHooks bool
}

func (l *loaded) close() error {
	var errs []error
	for _, c := range slices.Backward(l.links) {
		errs = append(errs, c.Close())
	}
	for _, p := range l.progs {
		errs = append(errs, p.Close())
	}
	if l.maps != nil {
		l.maps.Close()
	}
	return errors.Join(errs...)
}

// load brings the programs into the kernel and attaches each. A hook that
// fails is listed with its reason and its kinds are declared missing; only
// without the TCP state hook there is no capture, and an error.
func load(cfg Config) (*loaded, error) {
	spec, err := loadRecorder()
	if err != nil {
		return nil, fmt.Errorf("read the ebpf object: %w", err)
	}
	l := &loaded{spec: spec, progs: map[string]*ebpf.Program{}, types: btf.NewCache()}
	defer func() { l.types = nil }() // megabytes
	l.info.Tier = activity.TierEBPF
	spec.Maps["ring"].MaxEntries = uint32(cfg.RingBytes)
	spec.Maps["tsocks"].MaxEntries = uint32(cfg.Sockets)
	if err := l.fitAccept(); err != nil {
		return nil, err
	}
	cgroup := cfg.CgroupRoot
	if cgroup == "" {
		cgroup, err = cgroupRoot("/proc/self/mountinfo")
		if err != nil {
			l.info.Hint = "no cgroup2 file system is mounted: UDP, accept and bind hooks need one"
		}
	}
	if cfg.Set != SetTracepoint {
		l.trampolines = l.probe("fx_listen", "fx_connect", "fx_bind4")
		l.udpTrampolines = l.trampolines && l.probe("fx_udp_send", "fe_udp_recv")
	}
	l.ioHooks = l.hasTracepoint("sock_send_length")
	if err := l.setConstants(cfg); err != nil {
		return nil, err
	}
	if err := l.loadMaps(); err != nil {
		return nil, err
	}
	l.loadAll(cgroup)
	if l.progs["set_state"] == nil {
		why := l.hookError("set_state")
		return nil, errors.Join(fmt.Errorf("attach tp_btf/inet_sock_set_state: %s", why), l.close())
	}
	l.describe(cfg)
	return l, nil
}

// fitAccept keeps the accept program that fits this kernel: inet_csk_accept
// lost two arguments in 6.10, and fexit finds the return value behind them.
func (l *loaded) fitAccept() error {
	kernel, err := l.types.Kernel()
	if err != nil {
		return fmt.Errorf("read the kernel's type information: %w", err)
	}
	var f *btf.Func
	drop := "fx_accept4"
	if err := kernel.TypeByName("inet_csk_accept", &f); err == nil {
		if proto, ok := f.Type.(*btf.FuncProto); ok && len(proto.Params) == 4 {
			drop = "fx_accept2"
		}
	}
	delete(l.spec.Programs, drop)
	return nil
}

func (l *loaded) hasTracepoint(name string) bool {
	kernel, err := l.types.Kernel()
	if err != nil {
		return false
	}
	var t *btf.Typedef
	return kernel.TypeByName("btf_trace_"+name, &t) == nil
}

// probe reports whether the kernel takes all these programs.
func (l *loaded) probe(programs ...string) bool {
	try := l.spec.Copy()
	for n := range try.Programs {
		if !slices.Contains(programs, n) {
			delete(try.Programs, n)
		}
	}
	try.Maps["ring"].MaxEntries = uint32(os.Getpagesize())
	try.Maps["tsocks"].MaxEntries = 1
	c, err := ebpf.NewCollectionWithOptions(try, ebpf.CollectionOptions{Cache: l.types})
	if err != nil {
		return false
	}
	defer c.Close()
	for _, n := range programs {
		t, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[n]})
		if err != nil {
			return false
		}
		t.Close()
	}
	return true
}

func (l *loaded) setConstants(cfg Config) error {
	flag := func(on bool) uint32 {
		if on {
			return 1
		}
		return 0
	}
	wake := uint32(256 << 10) // a wake-up is an interrupt of who made the event; 2,000 events fit the queues behind
	if max := uint32(cfg.RingBytes / 4); wake > max {
		wake = max
	}
	for name, v := range map[string]any{
		"wake_bytes": wake, "ring_bytes": uint32(cfg.RingBytes), "idle_ns": uint64(cfg.FlowIdle.Nanoseconds()),
		"trampolines": flag(l.trampolines), "udp_trampolines": flag(l.udpTrampolines), "io_hooks": flag(l.ioHooks),
	} {
		if err := l.spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func (l *loaded) loadMaps() error {
	spec := l.spec.Copy()
	clear(spec.Programs)
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: l.types})
	if err != nil {
		return fmt.Errorf("create ebpf maps: %w", err)
	}
	l.maps = c
	return nil
}

func (l *loaded) wanted(h hook) bool {
	switch h.set {
	case tracepoints:
		if strings.HasPrefix(h.program, "cg_sendmsg") || strings.HasPrefix(h.program, "cg_recvmsg") {
			return !l.udpTrampolines
		}
		return !l.trampolines
	case trampolines:
		return l.trampolines
	case udpTrampolines:
		return l.udpTrampolines
	}
	return true
}

func (l *loaded) loadAll(cgroup string) {
	missing := map[activity.Kind]bool{}
	for _, h := range hooks() {
		ps := l.spec.Programs[h.program]
		if ps == nil || !l.wanted(h) {
			continue
		}
		err := l.loadOne(h, ps, cgroup)
		if err == nil {
			l.info.Hooks = append(l.info.Hooks, activity.Hook{Name: ps.SectionName})
			continue
		}
		l.info.Hooks = append(l.info.Hooks, activity.Hook{Name: ps.SectionName, Err: oneLine(err)})
		for _, k := range h.lacks {
			missing[k] = true
		}
	}
	for k := activity.Kind(1); k < activity.NumKinds; k++ {
		if missing[k] {
			l.info.Missing = append(l.info.Missing, k)
		}
	}
}

func (l *loaded) loadOne(h hook, ps *ebpf.ProgramSpec, cgroup string) error {
	spec := l.spec.Copy()
	for n := range spec.Programs {
		if n != h.program {
			delete(spec.Programs, n)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: l.maps.Maps, Cache: l.types})
	if err != nil {
		return err
	}
	p := c.DetachProgram(h.program)
	c.Close()
	lk, err := attach(h, ps, p, cgroup)
	if err != nil {
		p.Close()
		return err
	}
	if lk != nil {
		l.links = append(l.links, lk)
	}
	l.progs[h.program] = p
	return nil
}

func attach(h hook, ps *ebpf.ProgramSpec, p *ebpf.Program, cgroup string) (io.Closer, error) {
	switch {
	case h.set == iterators:
		return nil, nil
	case ps.Type == ebpf.CGroupSock || ps.Type == ebpf.CGroupSockAddr:
		if cgroup == "" {
			return nil, errors.New("no cgroup2 file system is mounted")
		}
		return link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: ps.AttachType, Program: p})
	default:
		return link.AttachTracing(link.TracingOptions{Program: p})
	}
}

func (l *loaded) hookError(program string) string {
	name := l.spec.Programs[program].SectionName
	for _, h := range l.info.Hooks {
		if h.Name == name && h.Err != "" {
			return h.Err
		}
	}
	return "not attached"
}

func (l *loaded) describe(cfg Config) {
	l.info.Set = SetTracepoint
	if l.trampolines {
		l.info.Set = SetTrampoline
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		l.info.Detail = "Linux " + unix.ByteSliceToString(u.Release[:])
	}
	if !l.trampolines && cfg.Set != SetTracepoint {
		l.info.Detail += ", no trampolines: errno of local failures is concluded, not read"
	}
	if !l.ioHooks && !l.udpTrampolines {
		l.info.Detail += ", no datagram sizes (needs Linux 6.3 or trampolines)"
	}
}

// oneLine keeps a verifier's log out of a table: its last words say why.
func oneLine(err error) string {
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) && len(ve.Log) > 0 {
		for _, line := range slices.Backward(ve.Log) {
			if line != "" && !strings.HasPrefix(line, "processed ") {
				return fmt.Sprintf("%v: %s", ve.Cause, strings.TrimSpace(line))
			}
		}
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

// cgroupRoot finds where the cgroup2 hierarchy is mounted, from the text of
// mountinfo (proc_pid_mountinfo(5)).
func cgroupRoot(mountinfo string) (string, error) {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return "", err
	}
	if p := parseCgroupRoot(string(b)); p != "" {
		return p, nil
	}
	return "", errors.New("no cgroup2 mount")
}

func parseCgroupRoot(text string) string {
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if ok && strings.HasPrefix(right, "cgroup2 ") && len(f) > 4 && f[3] == "/" {
			return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[4])
		}
	}
	return ""
}
