package recorder

import (
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// socket is one open socket in the table.
type socket struct {
	cookie        uint64
	local, remote netip.AddrPort
	since         int64  // UTC ns
	boot          uint64 // CLOCK_BOOTTIME ns of the same; 0 unknown
	netns         uint32
	proto         activity.Proto
	state         activity.State
	role          activity.Role
	provenance    activity.Provenance
	tier          activity.Tier
	flags         activity.Flags
	pass          uint32 // the last reconciliation that saw it
	missed        uint8  // reconciliations in a row that did not

	owner      *process
	prev, next *socket // of the same owner
	holders    []activity.ProcessKey
	sharing    *socket // next listener or UDP socket on the same port
}

// portKey names a port of a network namespace.
type portKey struct {
	netns uint32
	port  uint16
	proto activity.Proto
}

// table is the sockets that are open, by cookie, and those that hold a port
// against others by that port.
type table struct {
	byCookie map[uint64]*socket
	byPort   map[portKey]*socket
	free     []*socket // recycled, so that a steady stream of connections allocates nothing
}

func newTable() table {
	return table{byCookie: map[uint64]*socket{}, byPort: map[portKey]*socket{}}
}

func (t *table) holdsPort(s *socket) bool {
	return s.state == activity.StateListen || s.state == activity.StateBound
}

func (s *socket) portKey() portKey { return portKey{s.netns, s.local.Port(), s.proto} }

// open puts a socket in the table; one with the same cookie is replaced.
func (t *table) open(e *activity.Event, state activity.State, owner *process) *socket {
	if old := t.byCookie[e.Socket]; old != nil {
		t.close(old)
	}
	var s *socket
	if n := len(t.free); n > 0 {
		s, t.free = t.free[n-1], t.free[:n-1]
	} else {
		s = &socket{}
	}
	*s = socket{cookie: e.Socket, local: e.Local, remote: e.Remote, since: e.Time, boot: e.Boot, netns: e.NetNS, proto: e.Proto,
		state: state, role: e.Role, provenance: e.Provenance, tier: e.Tier, flags: e.Flags}
	t.byCookie[s.cookie] = s
	if t.holdsPort(s) {
		k := s.portKey()
		s.sharing = t.byPort[k]
		t.byPort[k] = s
	}
	t.own(s, owner)
	return s
}

// own makes p the owner of s.
func (t *table) own(s *socket, p *process) {
	if s.owner != nil {
		if s.prev != nil {
			s.prev.next = s.next
		} else {
			s.owner.sockets = s.next
		}
		if s.next != nil {
			s.next.prev = s.prev
		}
		s.owner.open--
		s.prev, s.next = nil, nil
	}
	s.owner = p
	if p == nil {
		return
	}
	s.next = p.sockets
	if s.next != nil {
		s.next.prev = s
	}
	p.sockets = s
	p.open++
}

// close takes s out of the table. s is recycled: the caller forgets it.
func (t *table) close(s *socket) {
	delete(t.byCookie, s.cookie)
	if t.holdsPort(s) {
		t.leavePort(s)
	}
	t.own(s, nil)
	if len(t.free) < 1<<14 {
		t.free = append(t.free, s)
	}
}

func (t *table) leavePort(s *socket) {
	k := s.portKey()
	at := t.byPort[k]
	if at == s {
		if s.sharing == nil {
			delete(t.byPort, k)
		} else {
			t.byPort[k] = s.sharing
		}
		return
	}
	for ; at != nil; at = at.sharing {
		if at.sharing == s {
			at.sharing = s.sharing
			return
		}
	}
}

// holder finds who keeps others from binding local: a listener or a UDP socket
// of the same port whose address overlaps (ip(7): the wildcard overlaps all).
func (t *table) holder(netns uint32, proto activity.Proto, local netip.AddrPort, not uint64) *socket {
	for s := t.byPort[portKey{netns, local.Port(), proto}]; s != nil; s = s.sharing {
		a, b := s.local.Addr(), local.Addr()
		if s.cookie != not && (a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())) {
			return s
		}
	}
	return nil
}

// describe tells s as others are told of it.
func (s *socket) describe() activity.Socket {
	k := activity.Socket{Cookie: s.cookie, Proto: s.proto, State: s.state, Local: s.local, Remote: s.remote, NetNS: s.netns,
		Mapped: s.flags&activity.FlagMapped != 0, MPTCP: s.flags&activity.FlagMPTCP != 0, AutoBind: s.flags&activity.FlagAutoBind != 0, UID: activity.NoID,
		Since: s.since, SinceBoot: s.boot, Role: s.role, Provenance: s.provenance, Tier: s.tier, Holders: s.holders}
	if s.owner != nil {
		k.Owner, k.Process = s.owner.key, s.owner.facts
		if k.Process != nil {
			k.UID = k.Process.UID
		}
	}
	return k
}
