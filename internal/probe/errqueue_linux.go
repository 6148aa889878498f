package probe

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The origins of an extended error that are ICMP's, include/uapi/linux/errqueue.h.
const (
	originICMP  = 2
	originICMP6 = 3
)

// recvErr asks that ICMP errors be queued with their type, code and sender, and
// end a connect at once (ip(7), IP_RECVERR). An ordinary user may.
func recvErr(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
}

// errQueue reads a socket's error queue with buffers of its own.
type errQueue struct {
	data [1]byte // of the packet that met the error: of no use here
	ctl  [256]byte
}

// read takes the next ICMP error out of the queue of fd, and whom the packet was
// sent to (by UDP). ok is false when there is none left.
func (q *errQueue) read(fd int) (e icmpError, to netip.AddrPort, ok bool) {
	for {
		_, n, _, from, err := unix.Recvmsg(fd, q.data[:], q.ctl[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return icmpError{}, netip.AddrPort{}, false
		}
		if e, ok = parseErrQueue(q.ctl[:n]); ok {
			return e, addrPort(from), true
		}
	}
}

// parseErrQueue finds the ICMP error in the control messages of a queued one:
//
//	cmsghdr  len 8 | level 4 | type 4        (aligned to 8 bytes)
//	struct sock_extended_err
//	         errno 4 | origin 1 | type 1 | code 1 | pad 1 | info 4 | data 4
//	SO_EE_OFFENDER, a sockaddr
//	         family 2 | port 2 | IPv4 address 4
//	         family 2 | port 2 | flow 4 | IPv6 address 16 | scope 4
func parseErrQueue(b []byte) (icmpError, bool) {
	const head, ext = unix.SizeofCmsghdr, 16
	for len(b) >= head {
		n := binary.NativeEndian.Uint64(b)
		level, kind := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
		if n < head || n > uint64(len(b)) {
			break
		}
		d := b[head:n]
		v4 := level == unix.IPPROTO_IP && kind == unix.IP_RECVERR
		v6 := level == unix.IPPROTO_IPV6 && kind == unix.IPV6_RECVERR
		if (v4 || v6) && len(d) >= ext && (d[4] == originICMP || d[4] == originICMP6) {
			return icmpError{Type: d[5], Code: d[6], From: offender(d[ext:])}, true
		}
		b = b[min((n+7)&^7, uint64(len(b))):]
	}
	return icmpError{}, false
}

// offender reads the sockaddr of who sent an error; the zero address when the
// kernel does not know.
func offender(b []byte) netip.Addr {
	switch {
	case len(b) >= 8 && binary.NativeEndian.Uint16(b) == unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case len(b) >= 24 && binary.NativeEndian.Uint16(b) == unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

// addrPort is a socket address, without its zone.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
