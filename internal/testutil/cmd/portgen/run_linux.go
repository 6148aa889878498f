package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// run is one run of the generator: its options and the truth so far.
type run struct {
	options
	log    *truth.Log
	self   int    // this process in the log
	cse    string // the scenario that is running
	port   uint16 // the last that the scenario took
	linked bool   // link was called
}

// failure carries an error up to main: a generator that cannot do what it was
// asked to has no truth to tell.
type failure struct{ err error }

// must stops the run if what failed.
func must(what string, err error) {
	if e, ok := err.(unix.Errno); err == nil || ok && e == 0 {
		return
	}
	panic(failure{fmt.Errorf("%s: %w", what, err)})
}

func newRun(o options) *run {
	r := &run{options: o, log: &truth.Log{}}
	var st unix.Stat_t
	must("stat network namespace", unix.Stat("/proc/thread-self/ns/net", &st))
	r.log.NetNS = []uint32{uint32(st.Ino)}
	r.log.WallOffset = clock(unix.CLOCK_REALTIME) - clock(unix.CLOCK_BOOTTIME)
	r.log.From = boottime()
	r.self = r.addProc(selfProc())
	return r
}

func (r *run) addProc(p truth.Proc) int {
	p.N = len(r.log.Procs) + 1
	r.log.Procs = append(r.log.Procs, p)
	return p.N
}

func (r *run) proc(n int) *truth.Proc { return &r.log.Procs[n-1] }

func (r *run) expect(x truth.Expect) {
	x.Case = r.cse
	r.log.Expects = append(r.log.Expects, x)
}

func (r *run) exchange(x truth.Exchange) {
	x.Case = r.cse
	r.log.Exchanges = append(r.log.Exchanges, x)
}

// listener states a listener's life, whose owner is proc.
func (r *run) listener(local netip.AddrPort, proc int, closers ...int) {
	x := truth.Expect{Kind: activity.KindListen, Proto: activity.TCP, Local: local, Proc: proc}
	r.expect(x)
	x.Kind, x.Alt = activity.KindUnlisten, closers
	r.expect(x)
}

// bound states that a UDP socket had its port from bind(2).
func (r *run) bound(local netip.AddrPort, proc int, closers ...int) {
	x := truth.Expect{End: "server", Kind: activity.KindBind, Proto: activity.UDP, Local: local, Proc: proc}
	r.expect(x)
	x.Kind, x.Alt = activity.KindUnbind, closers
	r.expect(x)
}

func clock(id int32) int64 {
	var t unix.Timespec
	must("read clock", unix.ClockGettime(id, &t))
	return t.Nano()
}

func boottime() uint64 { return uint64(clock(unix.CLOCK_BOOTTIME)) }

const tick = 1e9 / 100 // of /proc/PID/stat, USER_HZ

// selfProc describes this process.
func selfProc() truth.Proc {
	start := startOf("self")
	exe, err := os.Readlink("/proc/self/exe")
	must("read own executable", err)
	return truth.Proc{PID: uint32(os.Getpid()), StartMin: start, StartMax: start + tick - 1, UID: uint32(os.Getuid()),
		PPID: uint32(os.Getppid()), Exe: exe, Args: os.Args}
}

// startOf returns a process's start, rounded down to a tick.
func startOf(pid string) uint64 {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	must("read start", err)
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // field 3 of proc_pid_stat(5) and on
	n, err := strconv.ParseUint(string(f[19]), 10, 64)
	must("parse start", err)
	return n * tick
}

// forked forks and describes the child, which runs this program's image. f is
// as for fork.
func (r *run) forked(f func() int) (pid, proc int) {
	before := boottime()
	pid, err := fork(f)
	must("fork", err)
	p := *r.proc(r.self)
	p.PPID, p.PID, p.StartMin, p.StartMax = p.PID, uint32(pid), before, boottime()
	return pid, r.addProc(p)
}

// reap waits for a forked child, which must have exited well unless killed.
func reap(pid int, killed bool) {
	var st unix.WaitStatus
	_, err := unix.Wait4(pid, &st, 0, nil)
	must("wait", err)
	if !killed && (!st.Exited() || st.ExitStatus() != 0) {
		must("child", fmt.Errorf("status %#x", int(st)))
	}
}

// pin ties the calling goroutine's thread to a processor, if there are that many.
func (r *run) pin(cpu int) {
	runtime.LockOSThread()
	if r.float || cpu >= runtime.NumCPU() {
		return
	}
	var s unix.CPUSet
	s.Set(cpu)
	must("pin", unix.SchedSetaffinity(0, &s))
}

// usage returns the processor time of this process, ns.
func usage() int64 {
	var u unix.Rusage
	must("getrusage", unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// machine returns the processor time that all processors spent busy, and in all.
func machine() (busy, total int64) {
	b, err := os.ReadFile("/proc/stat")
	must("read /proc/stat", err)
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseInt(f, 10, 64)
		must("parse /proc/stat", err)
		total += n * tick
		if i != 3 && i != 4 {
			busy += n * tick
		}
	}
	return busy, total
}

// meter measures what a run costs.
type meter struct{ wall, own, busy, total int64 }

func startMeter() meter {
	m := meter{own: usage()}
	m.busy, m.total = machine()
	m.wall = clock(unix.CLOCK_MONOTONIC)
	return m
}

// stop adds the cost of n units to the log; others is what other processes of
// the generator spent.
func (r *run) stop(m meter, n, failed int, others int64) {
	wall := clock(unix.CLOCK_MONOTONIC)
	busy, total := machine()
	r.log.Stats = append(r.log.Stats, truth.Stats{Case: r.cse, N: n, Failed: failed, WallNS: wall - m.wall, OwnNS: usage() - m.own + others,
		BusyNS: busy - m.busy, TotalNS: total - m.total})
}
