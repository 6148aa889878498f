//go:build !plainwire

package probe

import (
	"syscall"
)

// controlUDP has ICMP errors queued on a socket before it is used.
func controlUDP(network, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = recvErr(int(fd), network == "udp6") }); e != nil {
		return e
	}
	return err
}

// hearErrors has nothing left to do: controlUDP did it.
func (c *datagrams) hearErrors() error { return nil }

// icmpError is the ICMP error that an error of the socket stands for: the last
// one queued.
func (c *datagrams) icmpError(error) (last icmpError, ok bool) {
	var q errQueue
	_ = c.raw(func(fd uintptr) { // a closed socket has none
		for e, _, more := q.read(int(fd)); more; e, _, more = q.read(int(fd)) {
			last, ok = e, true
		}
	})
	return last, ok
}
