//go:build amd64 || arm64

package bpf

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// netNS names a network namespace by its inode and a process that is in it.
type netNS struct{ inode, pid uint32 }

// inNetNS calls f in a network namespace. Another than this process's own
// takes CAP_SYS_ADMIN, and a thread that ends with the call.
func inNetNS(ns netNS, f func() error) error {
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err == nil && uint32(own.Ino) == ns.inode {
		return f()
	}
	errc := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no use to others afterwards
		errc <- func() error {
			file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", ns.pid))
			if err != nil {
				return err
			}
			defer file.Close()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace %d: %w", ns.inode, err)
			}
			return f()
		}()
	}()
	return <-errc
}
