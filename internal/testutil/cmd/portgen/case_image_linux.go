package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// imageCases are about what program a process is.
func imageCases() []scenario {
	return []scenario{
		{"deleted-executable", deletedExecutable},
		{"memfd-executable", memfdExecutable},
		{"exec-after-connect", execAfterConnect},
	}
}

// deletedExecutable: the program's file is gone when it connects.
func deletedExecutable(r *run) {
	dir, err := os.MkdirTemp("", "portgen")
	must("make directory", err)
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "gone")
	f, err := os.OpenFile(exe, os.O_CREATE|os.O_WRONLY, 0o755)
	must("copy program", err)
	copySelf(f)
	must("copy program", f.Close())
	p := r.client(child{exe: exe}, func() { must("delete program", os.Remove(exe)) })
	r.proc(p.proc).Deleted = true
}

// memfdExecutable: the program never had a file.
func memfdExecutable(r *run) {
	fd, err := unix.MemfdCreate("portgen", unix.MFD_CLOEXEC)
	able("memfd_create", err)
	f := os.NewFile(uintptr(fd), "memfd")
	defer f.Close()
	copySelf(f)
	p := r.client(child{exe: "/proc/self/fd/3", files: []*os.File{f}}, func() {})
	r.proc(p.proc).MemFD = true
	r.proc(p.proc).Exe = "" // tools spell it in more than one way
}

func copySelf(to io.Writer) {
	self, err := os.Open("/proc/self/exe")
	must("open own program", err)
	defer self.Close()
	_, err = io.Copy(to, self)
	must("copy program", err)
}

// client runs a child that makes one connection to this process, and does
// something between its start and that.
func (r *run) client(c child, between func()) *peer {
	a := r.local()
	l := r.listen(a)
	p := r.peer(c, "client", a.String())
	between()
	own := netip.MustParseAddrPort(p.next().Local)
	s := accept(l)
	p.next()
	p.wait()
	drain(s)
	rawClose(s)
	rawClose(l)
	r.exchange(r.conn(own, a, p.proc, r.self, 0, 0))
	return p
}

// execAfterConnect: a process connects, then executes another program, which
// sends and closes.
func execAfterConnect(r *run) {
	a := r.local()
	l := r.listen(a)
	p := r.peer(child{}, "exec-after-connect", a.String())
	own := netip.MustParseAddrPort(p.next().Local)
	s := accept(l)
	second := p.next() // the new image introduces itself
	image := r.addProc(*second.Proc)
	p.next()
	read(s, 6)
	p.wait()
	drain(s)
	rawClose(s)
	rawClose(l)
	x := r.conn(own, a, p.proc, r.self, 6, 0)
	x.ClientAlt = []int{image}
	r.exchange(x)
}

// act plays a child's role.
func act(role string, args []string) {
	switch role {
	case "client": // ADDR: connects, and closes, each when told to
		introduce()
		await()
		s, own := dial(netip.MustParseAddrPort(args[0]))
		tell(report{Local: own.String()})
		await()
		rawClose(s)
		tell(report{})
	case "exec-after-connect": // ADDR
		introduce()
		await()
		s, own := dial(netip.MustParseAddrPort(args[0]))
		tell(report{Local: own.String()})
		await()
		_, err := unix.FcntlInt(uintptr(s), unix.F_SETFD, 0)
		must("keep over exec", err)
		must("exec", syscall.Exec("/proc/self/exe", []string{"portgen", "child", "user", strconv.Itoa(s)}, os.Environ()))
	case "user": // FD: sends on it
		s, err := strconv.Atoi(args[0])
		must("parse descriptor", err)
		introduce()
		await()
		write(s, 6)
		tell(report{})
		rawClose(s)
	case "serve-fd3": // accepts once on descriptor 3
		introduce()
		await()
		s := accept(3)
		drain(s)
		rawClose(s)
		tell(report{})
	case "echo-fd3": // sends four bytes back
		introduce()
		await()
		read(3, 4)
		write(3, 4)
		tell(report{})
		await()
		rawClose(3)
	case "hold-tcp", "hold-udp": // ADDR: has a port until told to go
		a := netip.MustParseAddrPort(args[0])
		if role == "hold-tcp" {
			listenOn(a, 0)
		} else {
			bindUDP(a)
		}
		introduce()
		await()
	case "far-server": // ADDR: in another namespace
		farServer(netip.MustParseAddrPort(args[0]))
	default:
		must("child", os.ErrInvalid)
	}
}
