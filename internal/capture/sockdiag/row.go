package sockdiag

import (
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// row is one socket as one table of the kernel tells it at one moment.
type row struct {
	proto  activity.Proto
	state  activity.State
	v6     bool // of an AF_INET6 socket, mapped addresses included
	mapped bool
	mptcp  bool
	mini   bool // a TIME-WAIT stub: the connection's socket is gone already

	local, remote netip.AddrPort // unmapped; remote is zero where there is none
	ns            uint32
	uid           uint32 // activity.NoID unknown
	cookie        uint64 // 0 unknown
	inode         uint64 // 0: no process has it open
	rqueue        uint32 // bytes unread; of a listener, connections to accept
	info          tcpInfo
}

// pair is the two addresses of a connection.
type pair struct{ local, remote netip.AddrPort }

// tcpInfo is what the recorder needs of struct tcp_info (linux/tcp.h).
type tcpInfo struct {
	known bool // the kernel sent it
	sent  bool // it was long enough for bytesSent and bytesRetrans (Linux 4.19)

	timeouts      uint8  // consecutive retransmission time-outs and unanswered probes
	rtt           uint32 // smoothed, microseconds
	unacked       uint32 // segments in flight
	notSent       uint32 // bytes queued, not sent
	retransmits   uint32
	segsIn        uint32
	segsOut       uint32
	dataSegsIn    uint32
	bytesAcked    uint64 // counts an own SYN that opened the connection, and an own FIN
	bytesReceived uint64 // counts a FIN that the socket itself took in
	bytesSent     uint64
	bytesRetrans  uint64
}

// side says who opened a connection, where the counters prove it.
type side uint8

const (
	sideUnknown side = iota
	sideOpened       // this end sent the SYN
	sideAccepted
)

// extraAcked is by how much bytesAcked exceeds the payload sent: one for a SYN
// of this end and one for its FIN, once acknowledged; less than zero while
// payload is not.
func (i *tcpInfo) extraAcked() (n int64, known bool) {
	if !i.known || !i.sent || i.bytesSent < i.bytesRetrans {
		return 0, false
	}
	return int64(i.bytesAcked - (i.bytesSent - i.bytesRetrans)), true
}

// opened tells who opened the connection, where all that was sent has been
// acknowledged and no FIN of this end can have been.
func (r *row) opened() side {
	if r.state != activity.StateEstablished && r.state != activity.StateCloseWait {
		return sideUnknown
	}
	n, known := r.info.extraAcked()
	switch {
	case !known || r.info.unacked != 0 || r.info.notSent != 0:
		return sideUnknown
	case n == 1:
		return sideOpened
	case n == 0:
		return sideAccepted
	}
	return sideUnknown
}

// finAcked reports whether the peer acknowledged a FIN of this end, which it
// has in every connection that did not end by RST or time-out.
func (i *tcpInfo) finAcked(s side) (acked, known bool) {
	n, known := i.extraAcked()
	if s == sideOpened {
		n-- // its SYN
	}
	return n > 0, known && s != sideUnknown
}

// tx is the payload that was sent at least once and is not being sent again.
func (i *tcpInfo) tx() uint64 {
	if i.sent {
		return i.bytesSent - min(i.bytesSent, i.bytesRetrans)
	}
	return i.bytesAcked
}

// rx is the payload that arrived; fin says that bytesReceived counts a FIN.
func (i *tcpInfo) rx(fin bool) uint64 {
	if fin && i.bytesReceived > 0 {
		return i.bytesReceived - 1
	}
	return i.bytesReceived
}

// peerClosed reports whether the state says that the socket took in a FIN.
func peerClosed(s activity.State) bool {
	switch s {
	case activity.StateCloseWait, activity.StateLastAck, activity.StateClosing, activity.StateTimeWait:
		return true
	}
	return false
}

// setAddrs sets a pair of addresses as the vocabulary wants them: IPv4-mapped
// ones as IPv4, an absent remote as zero.
func (r *row) setAddrs(local, remote netip.AddrPort) {
	r.mapped = local.Addr().Is4In6() || remote.Port() != 0 && remote.Addr().Is4In6()
	r.local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	r.remote = netip.AddrPort{}
	if remote.Port() != 0 {
		r.remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	}
}
