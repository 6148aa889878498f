package probe

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What the system says of an ICMP error.
const (
	errRefused         = windows.WSAECONNREFUSED
	errPortUnreachable = windows.WSAECONNRESET // of a datagram sent earlier
	errHostUnreachable = windows.WSAEHOSTUNREACH
	errNetUnreachable  = windows.WSAENETUNREACH
	errMessageSize     = windows.WSAEMSGSIZE
)

// TCP options of ws2ipdef.h, from Windows 10 version 2004.
const (
	tcpFailConnectOnICMPError = 18
	tcpICMPErrorInfo          = 19
)

// icmpErrorInfo is ICMP_ERROR_INFO: a SOCKADDR_INET, the protocol (1 ICMP,
// 58 ICMPv6), type and code.
type icmpErrorInfo struct {
	source   [28]byte
	protocol uint32
	kind     uint8
	code     uint8
	_        [2]byte
}

// refusal tells why a connect failed. net closes the socket before it returns, so
// a second handle to it is kept.
type refusal struct{ dup windows.Handle }

// control asks that an ICMP error fail the connect, and keeps a handle.
func (r *refusal) control(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = r.keep(windows.Handle(fd)) }); e != nil {
		return e
	}
	return err
}

func (r *refusal) keep(s windows.Handle) error {
	// An older Windows knows neither option: then the error is all that there is.
	if windows.SetsockoptInt(s, windows.IPPROTO_TCP, tcpFailConnectOnICMPError, 1) != nil {
		return nil
	}
	var info windows.WSAProtocolInfo
	if err := windows.WSADuplicateSocket(s, windows.GetCurrentProcessId(), &info); err != nil {
		return fmt.Errorf("duplicate socket: %w", err)
	}
	const fromProtocolInfo = -1 // FROM_PROTOCOL_INFO
	dup, err := windows.WSASocket(fromProtocolInfo, fromProtocolInfo, fromProtocolInfo, &info, 0,
		windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	if err != nil {
		return fmt.Errorf("duplicate socket: %w", err)
	}
	r.close() // of another attempt
	r.dup = dup
	return nil
}

func (r *refusal) tell(t Target, err error, source uint16) event {
	if r.dup != 0 {
		var info icmpErrorInfo
		n := int32(unsafe.Sizeof(info))
		if windows.Getsockopt(r.dup, windows.IPPROTO_TCP, tcpICMPErrorInfo, (*byte)(unsafe.Pointer(&info)), &n) == nil && info.protocol != 0 {
			return event{sign: ICMP, icmp: icmpError{Type: info.kind, Code: info.code, From: info.from()}}
		}
	}
	return connectFailed(t, err, source)
}

// from reads the SOCKADDR_INET: family 2, port 2, then an IPv4 address, or flow 4
// and an IPv6 address.
func (i *icmpErrorInfo) from() netip.Addr {
	switch uint16(i.source[0]) | uint16(i.source[1])<<8 {
	case windows.AF_INET:
		return netip.AddrFrom4([4]byte(i.source[4:8]))
	case windows.AF_INET6:
		return netip.AddrFrom16([16]byte(i.source[8:24])).Unmap()
	}
	return netip.Addr{}
}

func (r *refusal) close() {
	if r.dup != 0 {
		windows.Closesocket(r.dup)
		r.dup = 0
	}
}

// hearErrors makes a UDP socket tell a port unreachable, which net turns off
// (SIO_UDP_CONNRESET).
func hearErrors(c *net.UDPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	on, n := uint32(1), uint32(0)
	e := rc.Control(func(fd uintptr) {
		err = windows.WSAIoctl(windows.Handle(fd), windows.SIO_UDP_CONNRESET, (*byte)(unsafe.Pointer(&on)), 4, nil, 0, &n, nil, 0)
	})
	if err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("hear ICMP errors: %w", err)
	}
	return nil
}
