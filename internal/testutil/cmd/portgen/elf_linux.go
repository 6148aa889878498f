package main

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// A process that lives for well under a millisecond: a program of a dozen
// system calls, put together here because no compiler's runtime starts so fast.
//
//	0x000  ELF header, one program header    read, write, execute
//	0x078  data: see the offsets below
//	0x0b0  code

// Offsets in the data, which the code reaches relative to itself.
const (
	dataTo     = 0  // sockaddr_in to connect to
	dataLinger = 16 // struct linger{1, 0}
	dataLen    = 24 // socklen_t
	dataOwn    = 28 // sockaddr_in that getsockname fills in
	dataByte   = 44 // a byte to read into
	dataSize   = 56
)

const (
	elfHeader = 64 + 56
	elfBase   = 0x400000
)

// arg is an argument of a system call: a number, the socket, or an address in
// the data.
type arg struct {
	kind argKind
	v    uint32
}

type argKind uint8

const (
	number argKind = iota
	socket
	data
)

// assembler makes the code of one architecture.
type assembler interface {
	// syscall makes a call; pos is where its code will be, relative to the data.
	syscall(pos int, nr uint32, args []arg) []byte
	keep() []byte              // takes the result as the socket
	jumpIfFailed(n int) []byte // skips n bytes of code if the result is negative
	negate() []byte            // turns the result into a number for exit
	exit(nr uint32) []byte     // exits with the result
}

// oneShot returns the executable of a process that connects to 127.0.0.1:port,
// writes its own sockaddr_in to descriptor 1, and closes: by itself, after the
// peer, or by RST, as close says. Its exit status is 0 or the errno.
func oneShot(a assembler, machine uint16, port uint16, close string) []byte {
	type step struct {
		nr    uint32
		args  []arg
		check bool
	}
	fd := arg{socket, 0}
	steps := []step{{unix.SYS_CONNECT, []arg{fd, {data, dataTo}, {number, unix.SizeofSockaddrInet4}}, true},
		{unix.SYS_GETSOCKNAME, []arg{fd, {data, dataOwn}, {data, dataLen}}, true},
		{unix.SYS_WRITE, []arg{{number, 1}, {data, dataOwn}, {number, unix.SizeofSockaddrInet4}}, true}}
	switch close {
	case closeServer:
		steps = append(steps, step{unix.SYS_READ, []arg{fd, {data, dataByte}, {number, 1}}, true})
	case closeReset:
		steps = append(steps, step{unix.SYS_SETSOCKOPT, []arg{fd, {number, unix.SOL_SOCKET}, {number, unix.SO_LINGER}, {data, dataLinger}, {number, 8}}, true})
	}
	steps = append(steps, step{unix.SYS_CLOSE, []arg{fd}, false})

	// The length of a jump is known once what it jumps over is, so the code is
	// put together twice.
	var code []byte
	for total := 0; ; total = len(code) {
		code = code[:0]
		add := func(s step) {
			code = append(code, a.syscall(dataSize+len(code), s.nr, s.args)...)
			if s.check {
				skip := len(a.jumpIfFailed(0))
				code = append(code, a.jumpIfFailed(max(0, total-len(a.exit(0))-len(a.negate())-len(code)-skip))...)
			}
		}
		add(step{unix.SYS_SOCKET, []arg{{number, unix.AF_INET}, {number, unix.SOCK_STREAM}, {number, 0}}, true})
		code = append(code, a.keep()...)
		for _, s := range steps {
			add(s)
		}
		code = append(code, a.negate()...)
		code = append(code, a.exit(unix.SYS_EXIT_GROUP)...)
		if len(code) == total {
			break
		}
	}
	return elf(machine, append(oneShotData(port), code...))
}

func oneShotData(port uint16) []byte {
	d := make([]byte, dataSize)
	binary.NativeEndian.PutUint16(d[dataTo:], unix.AF_INET)
	binary.BigEndian.PutUint16(d[dataTo+2:], port)
	copy(d[dataTo+4:], []byte{127, 0, 0, 1})
	binary.NativeEndian.PutUint32(d[dataLinger:], 1)
	binary.NativeEndian.PutUint32(d[dataLen:], unix.SizeofSockaddrInet4)
	return d
}

// elf wraps data and code in the smallest ELF file: elf(5), little endian.
func elf(machine uint16, body []byte) []byte {
	le := binary.LittleEndian
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2) // ET_EXEC
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, elfBase+elfHeader+dataSize) // entry
	b = le.AppendUint64(b, 64)                         // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := uint64(elfHeader + len(body))
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 7) // read, write, execute
	for _, v := range []uint64{0, elfBase, elfBase, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, body...)
}

// assemblerFor returns the assembler and the ELF machine for a GOARCH.
func assemblerFor(arch string) (assembler, uint16, error) {
	switch arch {
	case "amd64":
		return amd64{}, 62, nil
	case "arm64":
		return arm64{}, 183, nil
	}
	return nil, 0, fmt.Errorf("no assembler for %s", arch)
}

// amd64: arguments in rdi, rsi, rdx, r10, r8; the socket stays in ebx.
type amd64 struct{}

func (amd64) syscall(pos int, nr uint32, args []arg) (b []byte) {
	var (
		movImm = [][]byte{{0xbf}, {0xbe}, {0xba}, {0x41, 0xba}, {0x41, 0xb8}}                                                 // mov r32, imm32
		movEBX = [][]byte{{0x89, 0xdf}, {0x89, 0xde}, {0x89, 0xda}, {0x41, 0x89, 0xda}, {0x41, 0x89, 0xd8}}                   // mov r32, ebx
		lea    = [][]byte{{0x48, 0x8d, 0x3d}, {0x48, 0x8d, 0x35}, {0x48, 0x8d, 0x15}, {0x4c, 0x8d, 0x15}, {0x4c, 0x8d, 0x05}} // lea r64, [rip+disp32]
	)
	le := binary.LittleEndian
	for i, a := range args {
		switch a.kind {
		case number:
			b = le.AppendUint32(append(b, movImm[i]...), a.v)
		case socket:
			b = append(b, movEBX[i]...)
		case data:
			b = append(b, lea[i]...)
			b = le.AppendUint32(b, uint32(int32(a.v)-int32(pos+len(b)+4)))
		}
	}
	b = le.AppendUint32(append(b, 0xb8), nr) // mov eax, nr
	return append(b, 0x0f, 0x05)             // syscall
}

func (amd64) keep() []byte { return []byte{0x89, 0xc3} } // mov ebx, eax

func (amd64) jumpIfFailed(n int) []byte { // test eax, eax; js +n
	return binary.LittleEndian.AppendUint32([]byte{0x85, 0xc0, 0x0f, 0x88}, uint32(n))
}

func (amd64) negate() []byte { return []byte{0xf7, 0xd8} } // neg eax

func (amd64) exit(nr uint32) []byte { // mov edi, eax; mov eax, nr; syscall
	return append(binary.LittleEndian.AppendUint32([]byte{0x89, 0xc7, 0xb8}, nr), 0x0f, 0x05)
}

// arm64: arguments in x0 to x4, the number in x8; the socket stays in x19.
type arm64 struct{}

func (arm64) syscall(pos int, nr uint32, args []arg) (b []byte) {
	le := binary.LittleEndian
	for i, a := range args {
		rd := uint32(i)
		switch a.kind {
		case number:
			b = le.AppendUint32(b, 0xd2800000|a.v<<5|rd) // movz xN, #v
		case socket:
			b = le.AppendUint32(b, 0xaa1303e0|rd) // mov xN, x19
		case data:
			d := uint32(int32(a.v) - int32(pos+len(b)))
			b = le.AppendUint32(b, 0x10000000|d&3<<29|d>>2&0x7ffff<<5|rd) // adr xN, d
		}
	}
	b = le.AppendUint32(b, 0xd2800008|nr<<5) // movz x8, #nr
	return le.AppendUint32(b, 0xd4000001)    // svc #0
}

func (arm64) keep() []byte { return binary.LittleEndian.AppendUint32(nil, 0xaa0003f3) } // mov x19, x0

func (arm64) jumpIfFailed(n int) []byte { // tbnz x0, #63, .+4+n
	return binary.LittleEndian.AppendUint32(nil, 0xb7f80000|uint32(n/4+1)&0x3fff<<5)
}

func (arm64) negate() []byte { return binary.LittleEndian.AppendUint32(nil, 0xcb0003e0) } // neg x0, x0

func (arm64) exit(nr uint32) []byte { // movz x8, #nr; svc #0: the status is in x0 already
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0xd2800008|nr<<5), 0xd4000001)
}
