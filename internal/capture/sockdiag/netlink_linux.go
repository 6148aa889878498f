package sockdiag

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

const (
	// dumpBuffer holds the largest piece of a dump that the kernel hands out
	// at once: 32 KiB (netlink_dump in net/netlink/af_netlink.c).
	dumpBuffer = 64 << 10

	// watchBuffer is asked for as the receive buffer of destroy notifications,
	// which take about 1 KiB of it each: 8,000 of them.
	watchBuffer = 8 << 20

	// dumpTimeout bounds the wait for an answer of the kernel, which comes at
	// once or never.
	dumpTimeout = 5 // seconds
)

// conn is a NETLINK_SOCK_DIAG socket. It speaks of the network namespace in
// which it was made, whatever thread uses it later.
type conn struct {
	fd  int
	seq uint32
	req []byte
	buf []byte // of the Source; shared, for one goroutine uses it
}

func dial(buf []byte) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	tv := unix.Timeval{Sec: dumpTimeout}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink receive time-out: %w", err)
	}
	return &conn{fd: fd, buf: buf}, nil
}

func (c *conn) close() error { return unix.Close(c.fd) }

// dump calls yield for every socket of one family and protocol; the row is
// valid during the call only. The kernel loads its tcp_diag, udp_diag or
// mptcp_diag module if it must, as it does for ss(8).
func (c *conn) dump(family uint8, protocol uint16, yield func(*row)) error {
	c.seq++
	proto := activity.Proto(protocol)
	if protocol == protoMPTCP {
		proto = activity.TCP
	}
	q := query{family: family, protocol: protocol, seq: c.seq, info: protocol == unix.IPPROTO_TCP}
	if err := c.send(q); err != nil {
		return err
	}
	for {
		done, err := c.receive(proto, yield)
		if done || err != nil {
			return err
		}
	}
}

// lookup asks for the one TCP socket, or TIME-WAIT stub, with the addresses of
// of; ok is false when there is none.
func (c *conn) lookup(of *row) (r row, ok bool, err error) {
	c.seq++
	family := uint8(familyV4)
	if of.v6 && !of.mapped {
		family = familyV6
	}
	if err := c.send(query{family: family, protocol: unix.IPPROTO_TCP, seq: c.seq, info: true, one: of}); err != nil {
		return r, false, err
	}
	for !ok && err == nil {
		var done bool
		done, err = c.receive(activity.TCP, func(got *row) { r, ok = *got, true })
		if done {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return r, false, nil
	}
	return r, ok, err
}

func (c *conn) send(q query) error {
	c.req = appendQuery(c.req[:0], q)
	if err := unix.Sendto(c.fd, c.req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink request: %w", err)
	}
	return nil
}

// receive takes one datagram of the answer; done says that it was the last.
func (c *conn) receive(proto activity.Proto, yield func(*row)) (done bool, err error) {
	b, err := recv(c.fd, c.buf, 0)
	if err != nil {
		return true, fmt.Errorf("netlink answer: %w", err)
	}
	var r row
	for len(b) > 0 {
		var m message
		if m, b, err = nextMessage(b); err != nil {
			return true, err
		}
		if m.seq != c.seq {
			continue // of an earlier request, which was given up
		}
		switch m.kind {
		case typeDone, typeError:
			if n := m.errno(); n != 0 {
				return true, fmt.Errorf("socket dump: %w", unix.Errno(n))
			}
			return true, nil
		case typeSocket:
			if err := parseSocket(m.payload, proto, &r); err != nil {
				return true, err
			}
			r.mini = isMini(&r)
			yield(&r)
		}
	}
	return false, nil
}

// isMini reports whether a row that was asked for with tcp_info is a TIME-WAIT
// stub. One whose peer has not closed yet is told as FIN-WAIT-2.
func isMini(r *row) bool {
	return r.state == activity.StateTimeWait ||
		r.state == activity.StateFinWait2 && r.inode == 0 && !r.info.known
}

// recv receives one datagram and does not take a part of one for the whole.
func recv(fd int, buf []byte, flags int) ([]byte, error) {
	for {
		n, _, rflags, _, err := unix.Recvmsg(fd, buf, nil, flags)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case rflags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("datagram over %d bytes: %w", len(buf), errShort)
		}
		return buf[:n], nil
	}
}

// tables appends every TCP and UDP socket of the connection's namespace to dst.
//
// Go's listeners and many clients' sockets are Multipath TCP ones (protocol
// 262): their TCP subflow is in the TCP table, since Linux 5.6 with the inode
// of the file descriptor. Where one is there without an inode, the MPTCP table
// is asked too, and joined by the addresses.
func (c *conn) tables(dst []row, ns uint32) ([]row, error) {
	orphans := map[pair]int{}
	add := func(r *row) {
		r.ns = ns
		if r.mptcp && r.inode == 0 {
			orphans[pair{r.local, r.remote}] = len(dst)
		}
		dst = append(dst, *r)
	}
	for _, family := range [...]uint8{familyV4, familyV6} {
		for _, proto := range [...]uint16{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			if err := c.dump(family, proto, add); err != nil {
				return dst, fmt.Errorf("%s table of family %d: %w", activity.Proto(proto), family, err)
			}
		}
	}
	if len(orphans) == 0 {
		return dst, nil
	}
	for _, family := range [...]uint8{familyV4, familyV6} {
		err := c.dump(family, protoMPTCP, func(r *row) {
			if i, ok := orphans[pair{r.local, r.remote}]; ok {
				dst[i].inode = r.inode
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return dst, fmt.Errorf("mptcp table of family %d: %w", family, err)
		}
	}
	return dst, nil
}

// watch is a subscription to the destroy notifications of one protocol in one
// network namespace.
type watch struct {
	fd    int
	proto activity.Proto
	ns    uint32
	drops uint32 // of the socket, as told last
}

// subscribe asks for the destroy notifications of proto (Linux 4.7; the groups
// of linux/sock_diag.h: 1 and 3 TCP, 2 and 4 UDP, over IPv4 and IPv6).
func subscribe(proto activity.Proto) (w *watch, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer) != nil {
		// Without CAP_NET_ADMIN the host's limit (net.core.rmem_max) applies.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, watchBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("netlink bind: %w", err)
	}
	groups := [2]int{1, 3}
	if proto == activity.UDP {
		groups = [2]int{2, 4}
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return nil, fmt.Errorf("join destroy notification group %d: %w", g, err)
		}
	}
	return &watch{fd: fd, proto: proto}, nil
}

func (w *watch) close() error { return unix.Close(w.fd) }

// drain yields every notification that is waiting, at most limit datagrams, and
// returns how many the kernel has dropped since the last call.
func (w *watch) drain(buf []byte, limit int, yield func(*row)) (lost uint64, more bool, err error) {
	var r row
	for range limit {
		b, err := recv(w.fd, buf, unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return lost, false, nil
		case err == unix.ENOBUFS:
			n, err := w.dropped()
			if err != nil {
				return lost, false, err
			}
			lost += n
			continue
		case err != nil:
			return lost, false, fmt.Errorf("destroy notifications: %w", err)
		}
		for len(b) > 0 {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return lost, false, err
			}
			if m.kind != typeSocket {
				continue
			}
			if err := parseSocket(m.payload, w.proto, &r); err != nil {
				return lost, false, err
			}
			r.ns, r.uid, r.inode = w.ns, activity.NoID, 0 // the kernel fills neither in
			yield(&r)
		}
	}
	return lost, true, nil
}

// dropped returns how many messages found the buffer full since the last call,
// which ENOBUFS only announces.
func (w *watch) dropped() (uint64, error) {
	n, err := w.dropCount()
	if err != nil {
		return 0, err
	}
	lost := n - w.drops // wraps as the kernel's counter does
	w.drops = n
	return uint64(lost), nil
}

// dropCount reads the socket's own count of dropped messages.
func (w *watch) dropCount() (uint32, error) {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(w.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("dropped destroy notifications: %w", errno)
	}
	return info[unix.SK_MEMINFO_DROPS], nil
}
