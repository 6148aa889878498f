package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// The messages are those of linux/netlink.h and linux/inet_diag.h, in the
// byte order of the machine but for ports and addresses, which are in network
// byte order:
//
//	nlmsghdr (16)          inet_diag_req_v2 (56)    inet_diag_msg (72)
//	 0 len      u32         0 family    u8           0 family   u8
//	 4 type     u16         1 protocol  u8           1 state    u8
//	 6 flags    u16         2 ext       u8           2 timer, retrans
//	 8 seq      u32         3 pad                    4 sockid   48
//	12 port id  u32         4 states    u32         52 expires  u32
//	                        8 sockid    48          56 rqueue   u32
//	inet_diag_sockid (48)                           60 wqueue   u32
//	 0 sport, dport be16                            64 uid      u32
//	 4 src 16, 20 dst 16                            68 inode    u32
//	36 if u32, 40 cookie 2 x u32                    72 attributes
const (
	headerLen  = 16
	requestLen = 56
	messageLen = 72

	typeError  = 2
	typeDone   = 3
	typeSocket = 20 // SOCK_DIAG_BY_FAMILY

	flagRequest = 0x1
	flagDump    = 0x300

	familyV4 = 2
	familyV6 = 10

	protoMPTCP = 262

	attrRequestProtocol = 3 // INET_DIAG_REQ_PROTOCOL, for protocols above 255

	attrInfo     = 2
	attrProtocol = 10
	attrULP      = 19
	attrULPName  = 1

	allStates = 1<<13 - 1
)

var errShort = errors.New("message cut short")

// query is one request for sockets.
type query struct {
	family   uint8
	protocol uint16
	seq      uint32
	info     bool // ask for tcp_info
	one      *row // the addresses of the one socket that is wanted; nil all
}

// appendQuery appends the netlink message that asks for q.
func appendQuery(b []byte, q query) []byte {
	start := len(b)
	flags := uint16(flagRequest)
	if q.one == nil {
		flags |= flagDump
	}
	b = append(b, make([]byte, headerLen+requestLen)...)
	m := b[start:]
	binary.NativeEndian.PutUint16(m[4:], typeSocket)
	binary.NativeEndian.PutUint16(m[6:], flags)
	binary.NativeEndian.PutUint32(m[8:], q.seq)
	r := m[headerLen:]
	r[0], r[1] = q.family, uint8(q.protocol)
	if q.info {
		r[2] = 1 << (attrInfo - 1)
	}
	binary.NativeEndian.PutUint32(r[4:], allStates)
	id := r[8:]
	if q.one != nil {
		putAddr(id[4:20], id[0:2], q.one.local, q.family)
		putAddr(id[20:36], id[2:4], q.one.remote, q.family)
	}
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE twice
	if q.protocol > 255 {
		b = binary.NativeEndian.AppendUint16(b, 8)
		b = binary.NativeEndian.AppendUint16(b, attrRequestProtocol)
		b = binary.NativeEndian.AppendUint32(b, uint32(q.protocol))
	}
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

func putAddr(addr, port []byte, a netip.AddrPort, family uint8) {
	binary.BigEndian.PutUint16(port, a.Port())
	if family == familyV4 && a.Addr().Is4() {
		v := a.Addr().As4()
		copy(addr, v[:])
		return
	}
	v := a.Addr().As16() // an IPv4 address becomes a mapped one
	copy(addr, v[:])
}

// message is one netlink message, its payload not copied.
type message struct {
	kind    uint16
	seq     uint32
	payload []byte
}

// nextMessage splits the first message from b.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < headerLen {
		return m, nil, fmt.Errorf("netlink header: %w", errShort)
	}
	n := binary.NativeEndian.Uint32(b)
	if n < headerLen || uint64(n) > uint64(len(b)) {
		return m, nil, fmt.Errorf("netlink message of %d bytes in %d: %w", n, len(b), errShort)
	}
	m.kind = binary.NativeEndian.Uint16(b[4:])
	m.seq = binary.NativeEndian.Uint32(b[8:])
	m.payload = b[headerLen:n]
	return m, b[min(uint64(len(b)), (uint64(n)+3)&^3):], nil
}

// errno returns the error number that an error or done message carries, 0 none.
func (m message) errno() uint32 {
	if len(m.payload) < 4 {
		return 0
	}
	return -binary.NativeEndian.Uint32(m.payload)
}

// parseSocket decodes an inet_diag_msg over the whole of r. The protocol is
// that of the request; a destroy notification names its own.
func parseSocket(b []byte, proto activity.Proto, r *row) error {
	if len(b) < messageLen {
		return fmt.Errorf("socket message of %d bytes: %w", len(b), errShort)
	}
	*r = row{proto: proto, v6: b[0] == familyV6}
	if b[0] != familyV4 && b[0] != familyV6 {
		return fmt.Errorf("socket message of unknown family %d", b[0])
	}
	r.setAddrs(parseAddr(b[8:24], b[4:6], b[0]), parseAddr(b[24:40], b[6:8], b[0]))
	r.cookie = binary.NativeEndian.Uint64(b[44:])
	r.rqueue = binary.NativeEndian.Uint32(b[56:])
	r.uid = binary.NativeEndian.Uint32(b[64:])
	r.inode = uint64(binary.NativeEndian.Uint32(b[68:]))
	if err := parseAttributes(b[messageLen:], r); err != nil {
		return err
	}
	r.state = socketState(r.proto, b[1])
	return nil
}

func socketState(p activity.Proto, n uint8) activity.State {
	if p == activity.UDP {
		return activity.StateBound // connected or not, the kernel says 1 or 7
	}
	return activity.TCPState(n)
}

func parseAddr(addr, port []byte, family uint8) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == familyV4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)), p)
}

// eachAttribute calls fn for every netlink attribute in b.
func eachAttribute(b []byte, fn func(kind uint16, v []byte)) error {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d: %w", n, len(b), errShort)
		}
		fn(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:n]) // less the nested and byte-order flags
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

func parseAttributes(b []byte, r *row) error {
	return eachAttribute(b, func(kind uint16, v []byte) {
		switch kind {
		case attrInfo:
			if r.proto == activity.TCP {
				parseInfo(v, &r.info)
			}
		case attrProtocol:
			if len(v) > 0 {
				r.proto = activity.Proto(v[0])
			}
		case attrULP:
			_ = eachAttribute(v, func(kind uint16, name []byte) {
				r.mptcp = r.mptcp || kind == attrULPName && string(name) == "mptcp\x00"
			})
		}
	})
}

// parseInfo decodes a struct tcp_info. It has grown at its end from release to
// release; before Linux 4.6 (160 bytes) nothing of it is taken.
func parseInfo(b []byte, i *tcpInfo) {
	*i = tcpInfo{}
	if len(b) < 160 {
		return
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	i.known = true
	i.timeouts = max(b[2], b[3])
	i.unacked, i.rtt, i.retransmits = u32(24), u32(68), u32(100)
	i.bytesAcked, i.bytesReceived = u64(120), u64(128)
	i.segsOut, i.segsIn, i.notSent, i.dataSegsIn = u32(136), u32(140), u32(144), u32(152)
	if len(b) >= 216 {
		i.sent = true
		i.bytesSent, i.bytesRetrans = u64(200), u64(208)
	}
}
