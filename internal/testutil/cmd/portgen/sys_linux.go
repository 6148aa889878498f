package main

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot loops and of forked children: raw, so that the
// runtime is not told and nothing is allocated. A blocking one holds its P;
// main sets GOMAXPROCS accordingly.

// sockaddr is a sockaddr_in or sockaddr_in6 in its memory layout.
type sockaddr struct {
	raw [unix.SizeofSockaddrInet6]byte
	len uint32
}

func newSockaddr(a netip.AddrPort) *sockaddr {
	s := &sockaddr{}
	binary.BigEndian.PutUint16(s.raw[2:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(s.raw[0:], unix.AF_INET)
		v := a.Addr().As4()
		copy(s.raw[4:], v[:])
		s.len = unix.SizeofSockaddrInet4
		return s
	}
	binary.NativeEndian.PutUint16(s.raw[0:], unix.AF_INET6)
	v := a.Addr().As16()
	copy(s.raw[8:], v[:])
	s.len = unix.SizeofSockaddrInet6
	return s
}

func (s *sockaddr) port() uint16 { return uint16(s.raw[2])<<8 | uint16(s.raw[3]) }

func (s *sockaddr) addrPort() netip.AddrPort {
	if binary.NativeEndian.Uint16(s.raw[0:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s.raw[4:8])), s.port())
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s.raw[8:24])), s.port())
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func call(nr uintptr, a, b, c uintptr) (int, unix.Errno) {
	r, _, e := unix.RawSyscall(nr, a, b, c)
	return int(r), e
}

func rawSocket(family, kind, proto int) (int, unix.Errno) {
	return call(unix.SYS_SOCKET, uintptr(family), uintptr(kind), uintptr(proto))
}

func rawConnect(fd int, s *sockaddr) unix.Errno {
	_, e := call(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return e
}

func rawBind(fd int, s *sockaddr) unix.Errno {
	_, e := call(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return e
}

func rawListen(fd, backlog int) unix.Errno {
	_, e := call(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return e
}

// rawAccept accepts; s may be nil, then the kernel is not asked for the peer.
func rawAccept(fd int, s *sockaddr) (int, unix.Errno) {
	if s == nil {
		r, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		return int(r), e
	}
	s.len = uint32(len(s.raw))
	r, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)), unix.SOCK_CLOEXEC, 0, 0)
	return int(r), e
}

func rawName(nr uintptr, fd int, s *sockaddr) unix.Errno {
	s.len = uint32(len(s.raw))
	_, e := call(nr, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)))
	return e
}

func rawGetsockname(fd int, s *sockaddr) unix.Errno { return rawName(unix.SYS_GETSOCKNAME, fd, s) }

func rawClose(fd int) { call(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func rawRead(fd int, b []byte) (int, unix.Errno) {
	return call(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

func rawWrite(fd int, b []byte) (int, unix.Errno) {
	return call(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

// rawReadFull reads len(b) bytes, fewer at an end or an error.
func rawReadFull(fd int, b []byte) (n int, e unix.Errno) {
	for n < len(b) {
		m, e := rawRead(fd, b[n:])
		if e != 0 || m == 0 {
			return n, e
		}
		n += m
	}
	return n, 0
}

func rawWriteFull(fd int, b []byte) unix.Errno {
	for len(b) > 0 {
		m, e := rawWrite(fd, b)
		if e != 0 {
			return e
		}
		b = b[m:]
	}
	return 0
}

func rawSendto(fd int, b []byte, s *sockaddr) (int, unix.Errno) {
	r, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	return int(r), e
}

func rawRecvfrom(fd int, b []byte, s *sockaddr) (int, unix.Errno) {
	s.len = uint32(len(s.raw))
	r, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)))
	return int(r), e
}

// rawLinger makes close send RST (socket(7), SO_LINGER with a time of zero).
func rawLinger(fd int) unix.Errno {
	l := [2]int32{1, 0}
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
	return e
}

// fork forks this thread. The child runs f, which may only make raw system
// calls on memory that is there already: the runtime's other threads are gone.
// f's result is the exit status.
func fork(f func() int) (int, error) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	if pid == 0 {
		status := f()
		for {
			call(unix.SYS_EXIT_GROUP, uintptr(status), 0, 0)
		}
	}
	return int(pid), nil
}

// receive receives a descriptor, -1 on failure.
func (m *fdMessage) receive(s int) int {
	if _, e := call(unix.SYS_RECVMSG, uintptr(s), uintptr(unsafe.Pointer(&m.hdr)), 0); e != 0 {
		return -1
	}
	return int(int32(binary.NativeEndian.Uint32(m.oob[16:]))) // after a cmsghdr
}

// rawSetUID makes this thread, in a forked child all there is, another user.
func rawSetUID(uid int) unix.Errno {
	_, e := call(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
	return e
}
