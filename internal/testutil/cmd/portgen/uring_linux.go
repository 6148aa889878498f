package main

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The least of io_uring(7) that does one operation at a time. Numbers are those
// of include/uapi/linux/io_uring.h.
const (
	sysSetup = 425
	sysEnter = 426

	opAccept  = 13
	opConnect = 16
	opClose   = 19
	opSend    = 26
	opRecv    = 27

	enterGetEvents = 1
	offSQRing      = 0
	offCQRing      = 0x8000000
	offSQEs        = 0x10000000
)

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wqFD uint32
	_                                                      [3]uint32
	sq                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// sqe is struct io_uring_sqe, as far as it is used here.
type sqe struct {
	op, flags byte
	prio      uint16
	fd        int32
	off       uint64
	addr      unsafe.Pointer
	len       uint32
	opFlags   uint32
	userData  uint64
	_         [3]uint64
}

type uring struct {
	fd         int
	p          uringParams
	sq, cq, es []byte
}

// newURing skips the scenario where the kernel has no io_uring, or forbids it
// (sysctl kernel.io_uring_disabled).
func newURing() *uring {
	u := &uring{}
	fd, _, e := unix.Syscall(sysSetup, 4, uintptr(unsafe.Pointer(&u.p)), 0)
	if e == unix.EPERM {
		panic(cannot{e})
	}
	able("io_uring_setup", e)
	u.fd = int(fd)
	u.sq = u.mmap(offSQRing, int(u.p.sq.array+u.p.sqEntries*4))
	u.cq = u.mmap(offCQRing, int(u.p.cq.cqes+u.p.cqEntries*16))
	u.es = u.mmap(offSQEs, int(u.p.sqEntries)*int(unsafe.Sizeof(sqe{})))
	return u
}

func (u *uring) mmap(off int64, n int) []byte {
	b, err := unix.Mmap(u.fd, off, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	must("map io_uring", err)
	return b
}

func (u *uring) close() {
	for _, b := range [][]byte{u.sq, u.cq, u.es} {
		_ = unix.Munmap(b)
	}
	unix.Close(u.fd)
}

func word(b []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }

// do submits one operation and returns its result, an errno when negative.
func (u *uring) do(s sqe) int32 {
	tail := word(u.sq, u.p.sq.tail)
	i := *tail & *word(u.sq, u.p.sq.mask)
	*(*sqe)(unsafe.Pointer(&u.es[uintptr(i)*unsafe.Sizeof(s)])) = s
	*word(u.sq, u.p.sq.array+4*i) = i
	atomic.StoreUint32(tail, *tail+1)
	if _, _, e := unix.Syscall6(sysEnter, uintptr(u.fd), 1, 1, enterGetEvents, 0, 0); e != 0 {
		must("io_uring_enter", e)
	}
	head := word(u.cq, u.p.cq.head)
	at := u.p.cq.cqes + 16*(*head&*word(u.cq, u.p.cq.mask)) // struct io_uring_cqe: user data, result, flags
	res := int32(*word(u.cq, at+8))
	atomic.StoreUint32(head, *head+1)
	return res
}

func (u *uring) must(what string, res int32) int {
	if res < 0 {
		if e := unix.Errno(-res); e == unix.EINVAL {
			panic(cannot{e}) // an operation that this kernel does not have yet
		}
		must("io_uring "+what, unix.Errno(-res))
	}
	return int(res)
}
