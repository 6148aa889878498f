package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

const (
	firstUID = 1000
	uids     = 7
)

// procs makes n processes, -parallel at a time, that make one connection each
// to another process. Each has an argument and, as root, a user of its own.
func (r *run) procs(n int) {
	if r.close == closeAny {
		r.close = closeClient
	}
	r.data, r.threads = 0, 1
	dir, err := os.MkdirTemp("", "portgen")
	must("make directory", err)
	defer os.RemoveAll(dir)
	must("open directory", os.Chmod(dir, 0o755))
	exe := r.writeOneShot(dir)
	server := r.peer(child{}, append([]string{"procs-server", strconv.Itoa(n)}, r.args()...)...)
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), basePort)
	r.listener(to, server.proc)
	m := startMeter()
	server.step()
	shots := r.storm(exe, n)
	done := server.report()
	r.stop(m, n, 0, done.CPU)
	server.wait()
	for _, s := range shots {
		p := r.addProc(s.proc)
		r.exchange(truth.Exchange{Proto: activity.TCP, Client: p, Server: server.proc, From: s.from, To: to,
			Reset: r.close == closeReset, Bytes: true})
	}
}

func (r *run) writeOneShot(dir string) string {
	a, machine, err := assemblerFor(runtime.GOARCH)
	must("assemble", err)
	exe := filepath.Join(dir, "one")
	must("write program", os.WriteFile(exe, oneShot(a, machine, basePort, r.close), 0o755))
	must("allow program", os.Chmod(exe, 0o755)) // whatever the umask is
	return exe
}

// shot is one process that was, and its end of the connection.
type shot struct {
	proc truth.Proc
	from netip.AddrPort
}

func (r *run) storm(exe string, n int) []shot {
	shots := make([]shot, n)
	var wg sync.WaitGroup
	workers := max(1, r.parallel)
	for w := range workers {
		wg.Go(func() {
			var pipe [2]int
			must("pipe", unix.Pipe2(pipe[:], unix.O_CLOEXEC))
			for k := w; k < n; k += workers {
				shots[k] = fire(exe, k, pipe)
			}
			unix.Close(pipe[0])
			unix.Close(pipe[1])
		})
	}
	wg.Wait()
	return shots
}

// fire runs one process to its end.
func fire(exe string, k int, pipe [2]int) shot {
	args := []string{exe, "id-" + strconv.Itoa(k)}
	attr := &syscall.ProcAttr{Files: []uintptr{0, uintptr(pipe[1]), 2}, Sys: &syscall.SysProcAttr{}}
	uid := uint32(os.Getuid())
	if uid == 0 {
		uid = uint32(firstUID + k%uids)
		attr.Sys.Credential = &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}
	}
	before := boottime()
	pid, err := syscall.ForkExec(exe, args, attr)
	must("start process", err)
	after := boottime()
	var st syscall.WaitStatus
	_, err = syscall.Wait4(pid, &st, 0, nil)
	must("wait", err)
	if !st.Exited() || st.ExitStatus() != 0 {
		must("process", fmt.Errorf("status %#x", int(st)))
	}
	own := &sockaddr{}
	_, e := rawReadFull(pipe[0], own.raw[:unix.SizeofSockaddrInet4])
	must("read its address", e)
	return shot{truth.Proc{PID: uint32(pid), StartMin: before, StartMax: after, Exe: exe, Args: args, UID: uid, PPID: uint32(os.Getpid())}, own.addrPort()}
}

// procsServer is the other process.
func (r *run) procsServer(n int) {
	ls := listenOn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), basePort), 0)
	introduce()
	await()
	before := usage()
	r.pin(1)
	var all [fan]int
	for i := range all {
		all[i] = ls
	}
	failed := r.tcpServe(n, all[:])
	tell(report{CPU: usage() - before, Count: n, Failed: failed})
	await()
}
