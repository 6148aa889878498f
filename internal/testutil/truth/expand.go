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

func (x *Exchange) tcp(from, to netip.AddrPort, _ bool, yield func(Expect) bool) bool {
	end := x.flags()
	if x.Reset {
		end |= activity.FlagReset
	}
	c := Expect{Case: x.Case, End: "client", Proto: activity.TCP, Local: from, Remote: to, Proc: x.Client, Flags: x.flags()}
	s := Expect{Case: x.Case, End: "server", Proto: activity.TCP, Local: to, Remote: from, Proc: x.Server, Flags: x.flags()}
	return x.pair(c, activity.KindConnect, activity.KindClose, end, x.Down, x.Up, yield) &&
		x.pair(s, activity.KindAccept, activity.KindClose, end, x.Up, x.Down, yield)
}

func (x *Exchange) udp(from, to netip.AddrPort, again bool, yield func(Expect) bool) bool {
	c := Expect{Case: x.Case, End: "client", Proto: activity.UDP, Local: from, Remote: to, Proc: x.Client, Flags: x.flags()}
	b := c
	b.Remote, b.Flags = netip.AddrPort{}, 0
	if !x.Bound {
		b.Flags = activity.FlagAutoBind
	}
	u := b
	b.Kind, u.Kind, u.Flags = activity.KindBind, activity.KindUnbind, 0
	s := Expect{Case: x.Case, End: "server", Proto: activity.UDP, Local: to, Remote: from, Proc: x.Server, Flags: x.flags(), May: again}
	if x.Client != 0 && (!yield(b) || !yield(u)) {
		return false
	}
	// A datagram that came back is counted into the flow that is open, so the
	// bytes of the server's side are known only when the pair is unique.
	srv := *x
	srv.Bytes = x.Bytes && len(x.Pairs) == 0
	return x.pair(c, activity.KindFlow, activity.KindFlowEnd, x.flags(), x.Down, x.Up, yield) &&
		srv.pair(s, activity.KindFlow, activity.KindFlowEnd, x.flags(), x.Up, x.Down, yield)
}

// pair yields the first and the last event of one end.
func (x *Exchange) pair(e Expect, first, last activity.Kind, lastFlags activity.Flags, rx, tx uint64, yield func(Expect) bool) bool {
	if e.Proc == 0 {
		return true
	}
	e.Kind = first
	if !yield(e) {
		return false
	}
	e.Kind, e.Flags, e.Bytes = last, lastFlags, x.Bytes
	if x.Bytes {
		e.Rx, e.Tx = rx, tx
	}
	return yield(e)
}
