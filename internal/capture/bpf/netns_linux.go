//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// heldFile is an open file of a process: a socket.
type heldFile struct{ pid, fd uint32 }

// inNetNS calls f in the network namespace of that inode, in which a held
// socket is. Another than this process's own takes CAP_SYS_ADMIN, and a thread
// that ends with the call.
func inNetNS(inode uint32, of heldFile, f func() error) error {
	if own, err := os.Open("/proc/self/ns/net"); err == nil {
		defer own.Close()
		if isNS(own, inode) {
			return f()
		}
	}
	errc := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no use to others afterwards
		errc <- func() error {
			ns, err := of.netNS(inode)
			if err != nil {
				return fmt.Errorf("find network namespace %d: %w", inode, err)
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace %d: %w", inode, err)
			}
			return f()
		}()
	}()
	return <-errc
}

// netNS opens the namespace of the socket: mostly that of the process,
// but a process may keep sockets of others, whose namespace only the socket knows
// (SIOCGSKNS, Linux 4.9; pidfd_getfd, 5.6; CAP_SYS_PTRACE).
func (h heldFile) netNS(inode uint32) (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.pid))
	if err != nil {
		return nil, err
	}
	if isNS(ns, inode) {
		return ns, nil
	}
	ns.Close()
	process, err := unix.PidfdOpen(int(h.pid), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, int(h.fd), 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	defer unix.Close(socket)
	fd, err := unix.IoctlRetInt(socket, unix.SIOCGSKNS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl SIOCGSKNS", err)
	}
	ns = os.NewFile(uintptr(fd), "net")
	if !isNS(ns, inode) {
		ns.Close()
		return nil, errors.New("the socket is gone")
	}
	return ns, nil
}

func isNS(f *os.File, inode uint32) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && uint32(st.Ino) == inode
}
