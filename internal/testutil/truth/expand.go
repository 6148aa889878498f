package truth

import (
	"iter"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// Expand yields the events that the exchange stands for.
//
// TCP: the client's connect and close, the server's accept and close. UDP: the
// client's bind, flow, flow-end and unbind, and the server's flow and flow-end;
// the server has one flow with each remote, so where a client port comes back,
// the later ones may be told or not.
func (x *Exchange) Expand() iter.Seq[Expect] {
	return func(yield func(Expect) bool) {
		one := x.tcp
		if x.Proto == activity.UDP {
			one = x.udp
		}
		if len(x.Pairs) == 0 {
			one(x.From, x.To, false, yield)
			return
		}
		seen := make(map[Pair]bool)
		for _, p := range x.Pairs {
			again := false
			if x.Proto == activity.UDP {
				again, seen[p] = seen[p], true
			}
			from, to := netip.AddrPortFrom(x.From.Addr(), p.Client), netip.AddrPortFrom(x.To.Addr(), p.Server)
			if !one(from, to, again, yield) {
				return
			}
		}
	}
}

// Len returns how many exchanges x stands for.
func (x *Exchange) Len() int { return max(1, len(x.Pairs)) }

func (x *Exchange) flags() (f activity.Flags) {
	if x.Mapped {
		f |= activity.FlagMapped
	}
	return f
}

// end is one end of an exchange: whose it is, who else it may be told of, and
// who closed it.
type end struct {
	proc   int
	alt    []int
	closer int
	rx, tx uint64
	bytes  bool
	flags  activity.Flags // that its last event must have
}

func (x *Exchange) ends() (client, server end) {
	last := x.flags()
	if x.Reset {
		last |= activity.FlagReset
	}
	client = end{x.Client, x.ClientAlt, x.ClientCloser, x.Down, x.Up, x.Bytes, last}
	server = end{x.Server, x.ServerAlt, x.ServerCloser, x.Up, x.Down, x.Bytes, last}
	return client, server
}

func (x *Exchange) tcp(from, to netip.AddrPort, _ bool, yield func(Expect) bool) bool {
	client, server := x.ends()
	c := Expect{Case: x.Case, End: "client", Proto: activity.TCP, Local: from, Remote: to, Flags: x.flags()}
	s := Expect{Case: x.Case, End: "server", Proto: activity.TCP, Local: to, Remote: from, Flags: x.flags()}
	return client.pair(c, activity.KindConnect, activity.KindClose, yield) && server.pair(s, activity.KindAccept, activity.KindClose, yield)
}

func (x *Exchange) udp(from, to netip.AddrPort, again bool, yield func(Expect) bool) bool {
	client, server := x.ends()
	// A datagram of a port that comes back is counted into the flow that is open
	// still, so the server's bytes are known only when the pair is unique.
	server.bytes = x.Bytes && len(x.Pairs) == 0
	c := Expect{Case: x.Case, End: "client", Proto: activity.UDP, Local: from, Remote: to, Alt: x.ClientAlt, Flags: x.flags()}
	s := Expect{Case: x.Case, End: "server", Proto: activity.UDP, Local: to, Remote: from, Alt: x.ServerAlt, Flags: x.flags(), May: again}
	if client.proc != 0 {
		b := Expect{Case: x.Case, End: "client", Kind: activity.KindBind, Proto: activity.UDP, Local: from, Proc: client.proc, Alt: x.ClientAlt}
		u := b
		u.Kind = activity.KindUnbind
		if !x.Bound {
			b.Flags = activity.FlagAutoBind
		}
		if !yield(b) || !yield(u) {
			return false
		}
	}
	return client.pair(c, activity.KindFlow, activity.KindFlowEnd, yield) && server.pair(s, activity.KindFlow, activity.KindFlowEnd, yield)
}

// pair yields the first and the last event of an end, as e with what differs.
func (n *end) pair(e Expect, first, last activity.Kind, yield func(Expect) bool) bool {
	if n.proc == 0 {
		return true
	}
	e.Proc, e.Kind = n.proc, first
	if !yield(e) {
		return false
	}
	e.Kind, e.Alt, e.Closer, e.Flags, e.Bytes = last, n.alt, n.closer, n.flags, n.bytes
	if n.bytes {
		e.Rx, e.Tx = n.rx, n.tx
	}
	return yield(e)
}
