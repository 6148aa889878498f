package netconf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Route types of rtnetlink(7), for AddRoute.
const (
	Unreachable = unix.RTN_UNREACHABLE // EHOSTUNREACH
	Prohibit    = unix.RTN_PROHIBIT    // EACCES
	Blackhole   = unix.RTN_BLACKHOLE   // EINVAL locally, silence when forwarded
)

// Up brings a link up.
func Up(name string) error {
	i, err := index(name)
	if err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	return request("bring up "+name, unix.RTM_NEWLINK, 0, ifinfo(i, unix.IFF_UP))
}

// QueueLength sets how many packets a link's queue holds.
func QueueLength(name string, n uint32) error {
	i, err := index(name)
	if err != nil {
		return fmt.Errorf("set queue length: %w", err)
	}
	return request("set queue length of "+name, unix.RTM_NEWLINK, 0, append(ifinfo(i, 0), attr(unix.IFLA_TXQLEN, u32(n))...))
}

// Veth makes a pair of connected links, both down. The second one is made in
// the namespace of the file descriptor peerNS; -1 is the thread's own.
func Veth(name, peer string, peerNS int) error {
	p := append(ifinfo(0, 0), attr(unix.IFLA_IFNAME, zero(peer))...)
	if peerNS >= 0 {
		p = append(p, attr(unix.IFLA_NET_NS_FD, u32(uint32(peerNS)))...)
	}
	const vethInfoPeer = 1 // VETH_INFO_PEER, include/uapi/linux/veth.h
	info := append(attr(unix.IFLA_INFO_KIND, []byte("veth")), attr(unix.IFLA_INFO_DATA, attr(vethInfoPeer, p))...)
	b := append(ifinfo(0, 0), attr(unix.IFLA_IFNAME, zero(name))...)
	return request("make veth "+name, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(b, attr(unix.IFLA_LINKINFO, info)...))
}

// AddAddr gives a link an address. IPv6 addresses are usable at once: duplicate
// address detection is skipped.
func AddAddr(name string, p netip.Prefix) error {
	i, err := index(name)
	if err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	b := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	b = append(b, u32(uint32(i))...)
	a := p.Addr().AsSlice()
	b = append(append(b, attr(unix.IFA_LOCAL, a)...), attr(unix.IFA_ADDRESS, a)...)
	return request("add address "+p.String(), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b)
}

// AddNeigh makes an address of a link resolve to mac for ever, so that packets
// leave for it though nobody is there.
func AddNeigh(name string, a netip.Addr, mac [6]byte) error {
	i, err := index(name)
	if err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	b := append([]byte{family(a), 0, 0, 0}, u32(uint32(i))...)
	b = append(binary.NativeEndian.AppendUint16(b, unix.NUD_PERMANENT), 0, 0)
	b = append(append(b, attr(unix.NDA_DST, a.AsSlice())...), attr(unix.NDA_LLADDR, mac[:])...)
	return request("add neighbour "+a.String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b)
}

// AddRoute adds a route of a type that needs no link, such as Unreachable.
func AddRoute(p netip.Prefix, kind byte) error {
	b := []byte{family(p.Addr()), byte(p.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, kind, 0, 0, 0, 0}
	b = append(b, attr(unix.RTA_DST, p.Addr().AsSlice())...)
	return request("add route "+p.String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b)
}

// index finds a link by asking the kernel about this thread's namespace.
func index(name string) (int32, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("link %q: %w", name, err)
	}
	return int32(i.Index), nil
}

// ifinfo is struct ifinfomsg: family, type, index, flags, and which of them to change.
func ifinfo(index int32, flags uint32) []byte {
	b := append(make([]byte, 4), u32(uint32(index))...)
	return append(append(b, u32(flags)...), u32(flags)...)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func u32(v uint32) []byte  { return binary.NativeEndian.AppendUint32(nil, v) }
func zero(s string) []byte { return append([]byte(s), 0) }
func padded(n int) int     { return (n + 3) &^ 3 }
func fill(b []byte) []byte { return append(b, make([]byte, padded(len(b))-len(b))...) }

// attr is one rtattr: length, type, value, filled to four bytes.
func attr(kind uint16, v []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return fill(append(b, v...))
}

// request sends one message and waits for the kernel's acknowledgement.
func request(what string, kind, flags uint16, body []byte) error {
	err := exchange(kind, flags, body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func exchange(kind, flags uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	m := u32(uint32(unix.SizeofNlMsghdr + len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m = append(append(m, make([]byte, 8)...), body...)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	return readAck(fd)
}

func readAck(fd int) error {
	b := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("no acknowledgement")
	}
	if e := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); e != 0 {
		return unix.Errno(-e)
	}
	return nil
}
