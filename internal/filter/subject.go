package filter

import (
	"math/bits"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// subject is what a question is asked of: an event, or a socket made to look
// like one.
type subject struct {
	e       *activity.Event
	p       *activity.Process // e.Process, or an empty one, never nil
	known   bool              // p is e.Process
	keys    []activity.ProcessKey
	modules func(activity.ModuleSetID) *activity.ModuleSet
	sock    *activity.Socket // nil for an event
}

// end returns an address if there is one: a listener's remote end, when it is
// written as 0.0.0.0:0, is none.
func end(a netip.AddrPort) (netip.AddrPort, bool) {
	return a, a.IsValid() && (a.Port() != 0 || !a.Addr().IsUnspecified())
}

// ends returns the ends that a port or address field is about.
func (s *subject) ends(id fieldID) (a, b netip.AddrPort) {
	switch id {
	case fLocalPort, fLocal:
		a = s.e.Local
	case fRemotePort, fRemote:
		a = s.e.Remote
	default:
		a, b = s.e.Local, s.e.Remote
	}
	return a, b
}

// word returns a field of classWord as a set of bits, and whether it has a value.
func (s *subject) word(id fieldID) (set uint64, has bool) {
	n := uint8(0)
	switch id {
	case fKind:
		n = uint8(s.e.Kind)
	case fProto:
		switch s.e.Proto {
		case activity.TCP:
			n = 1
		case activity.UDP:
			n = 2
		}
	case fState:
		if s.sock != nil {
			n = uint8(s.sock.State)
		}
	case fTier:
		n = uint8(s.e.Tier)
	case fProvenance:
		return 1 << s.e.Provenance, true
	case fRole:
		n = uint8(s.e.Role)
	case fReason:
		n = uint8(s.e.Reason)
	case fUnknown:
		return uint64(s.e.Unknown), s.e.Unknown != 0
	}
	return 1 << n, n != 0
}

func (s *subject) flag(id fieldID) bool {
	var f activity.Flags
	switch id {
	case fReset:
		f = activity.FlagReset
	case fMapped:
		f = activity.FlagMapped
	case fAutoBind:
		f = activity.FlagAutoBind
	case fInbound:
		f = activity.FlagInbound
	case fUnaccepted:
		f = activity.FlagNotAccepted
	case fRecovered:
		f = activity.FlagRecovered
	case fGuessed:
		f = activity.FlagConcluded
	case fMPTCP:
		f = activity.FlagMPTCP
	case fTruncated:
		f = activity.FlagTruncated
	case fPeerFirst:
		f = activity.FlagPeerFirst
	case fDeleted:
		return s.p.Deleted
	case fMemFD:
		return s.p.MemFD
	case fKernel:
		return s.p.Kernel
	}
	return s.e.Flags&f != 0
}

// number returns a field of classNumber, and whether it has a value: counters
// have one on endings, or when they are not zero.
func (s *subject) number(id fieldID) (n uint64, has bool) {
	e := s.e
	switch id {
	case fPID:
		n = uint64(s.pid())
	case fParentPID:
		n = uint64(s.p.Parent().Key.PID)
	case fUID:
		return s.uid()
	case fEUID:
		return uint64(s.p.EUID), s.p.EUID != activity.NoID
	case fNetNS:
		n = uint64(e.NetNS)
	case fSocket:
		n = e.Socket
	case fSeq:
		n = e.Seq
	case fErrno:
		n = uint64(e.Errno)
	case fCloser:
		n = uint64(e.Closer)
	case fBacklog:
		if s.sock != nil {
			return uint64(s.sock.Backlog), s.sock.State == activity.StateListen
		}
	default:
		return s.counter(id)
	}
	return n, n != 0
}

func (s *subject) counter(id fieldID) (n uint64, has bool) {
	e := s.e
	fact, applies := activity.FactBytes, e.Kind.Ends() && s.sock == nil
	switch id {
	case fRx:
		n = e.Rx
	case fTx:
		n = e.Tx
	case fBytes:
		n = addSat(e.Rx, e.Tx)
	case fPackets:
		n, fact = addSat(e.RxPackets, e.TxPackets), activity.FactPackets
	case fRxPackets:
		n, fact = e.RxPackets, activity.FactPackets
	case fTxPackets:
		n, fact = e.TxPackets, activity.FactPackets
	case fDuration:
		n, fact = uint64(max(e.Duration, 0)), activity.FactDuration
	case fRTT:
		n, fact, applies = uint64(e.RTT)*1000, activity.FactRTT, false
	case fRetransmits:
		n, fact = uint64(e.Retransmits), activity.FactRetransmits
		applies = applies && e.Kind == activity.KindClose
	}
	return n, n != 0 || applies && e.Unknown&fact == 0
}

func addSat(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return ^uint64(0)
	}
	return sum
}

func (s *subject) pid() uint32 {
	if s.e.Owner.PID != 0 {
		return s.e.Owner.PID
	}
	return s.p.Key.PID
}

func (s *subject) uid() (uint64, bool) {
	switch {
	case s.known:
		return uint64(s.p.UID), s.p.UID != activity.NoID
	case s.sock != nil:
		return uint64(s.sock.UID), s.sock.UID != activity.NoID
	}
	return 0, false
}
