//go:build (!linux && !windows) || plainwire

package probe

import (
	"net"
	"syscall"
)

// What the system says of an ICMP error.
const (
	errRefused         = syscall.ECONNREFUSED
	errPortUnreachable = syscall.ECONNREFUSED
	errHostUnreachable = syscall.EHOSTUNREACH
	errNetUnreachable  = syscall.ENETUNREACH
	errMessageSize     = syscall.EMSGSIZE
)

// refusal tells why a connect failed: here, no more than the error does.
type refusal struct{}

func (*refusal) control(string, string, syscall.RawConn) error { return nil }

func (*refusal) tell(t Target, err error, source uint16) event { return connectFailed(t, err, source) }

func (*refusal) close() {}

// hearErrors has nothing to do: a connected socket tells ICMP errors.
func hearErrors(*net.UDPConn) error { return nil }
