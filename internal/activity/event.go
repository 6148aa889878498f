package activity

import (
	"net/netip"
	"time"
)

// Event is one thing that happened to a port. The zero value of a field means
// "not applicable" unless Unknown names it.
type Event struct {
	Time int64  // UTC, ns since the Unix epoch
	Boot uint64 // CLOCK_BOOTTIME ns of the same instant, which orders events; 0 unknown
	Seq  uint64 // counts up by one within a recorder epoch, from 1

	Kind       Kind
	Proto      Proto
	Tier       Tier
	Provenance Provenance
	Role       Role
	Reason     Reason
	Flags      Flags
	Unknown    Facts
	Errno      uint16 // the kernel's error number, 0 none

	Local, Remote netip.AddrPort // IPv4-mapped addresses are unmapped, and FlagMapped set
	NetNS         uint32         // inode of the network namespace, 0 unknown
	Socket        uint64         // socket cookie, as in sock_diag(7) and ss -e; 0 unknown

	Owner   ProcessKey // who
	Process *Process   // the same, resolved; nil until resolved or when unknown
	Holder  *Process   // bind-failed: who held the port
	Holders []*Process // processes besides Process that had the socket open, where known

	// Endings and flows. Bytes are payload as the application sent and received it.
	Rx, Tx               uint64
	RxPackets, TxPackets uint64 // UDP: datagrams; TCP: segments
	Duration             int64  // ns
	RTT                  uint32 // smoothed, microseconds
	Retransmits          uint32
	Closer               uint32 // pid of who closed first on this host; 0 none or unknown

	Coverage *Coverage // recorder-start, recorder-stop and gap only
}

// When returns Time as a time.Time in UTC.
func (e *Event) When() time.Time { return time.Unix(0, e.Time).UTC() }

// Service returns the service port: the smaller non-zero of the two ports, by
// which segments are sorted.
func (e *Event) Service() uint16 {
	l, r := e.Local.Port(), e.Remote.Port()
	if l == 0 || r != 0 && r < l {
		return r
	}
	return l
}

// Flags are the yes-or-no facts of an event.
type Flags uint16

// The flags. The bits are on disk.
const (
	FlagMapped      Flags = 1 << iota // an IPv4 exchange on an IPv6 socket (RFC 4291 section 2.5.5.2)
	FlagAutoBind                      // the kernel chose the local port
	FlagReset                         // ended by RST
	FlagInbound                       // the peer began it: an accepted connection, a flow first seen inbound
	FlagNotAccepted                   // a connection that no process accepted
	FlagRecovered                     // told by a second hook after the first was missed
	FlagConcluded                     // a fact is concluded from circumstances: the Reason where the kernel gave no errno, or the sender of datagrams that were read without asking for it
	FlagMPTCP                         // a Multipath TCP subflow (RFC 8684)
	FlagTruncated                     // flow counters began after the exchange did
	FlagPeerFirst                     // the peer had ended the connection when this host's process closed it
)

// Facts name fields of an Event that apply to its kind but are not known.
type Facts uint16

// The facts. The bits are on disk.
const (
	FactOwner Facts = 1 << iota
	FactBytes
	FactPackets
	FactDuration
	FactRTT
	FactRetransmits
	FactReason
	FactCloser
	FactLocal
	FactRemote
	FactHolder
)

// Coverage tells what an interval's record is worth.
type Coverage struct {
	From, To int64            // UTC ns; the interval the statement is about
	Lost     [NumKinds]uint64 // events known lost, by kind; KindNone counts those of unknown kind
	Missing  []Kind           // kinds that this capture cannot see here
	Reason   string           // for people: "ring overflow", "recorder was not running", "clock stepped +3600s"
	Detail   string           // hook set, kernel release and the like
}

// LostTotal sums Lost.
func (c *Coverage) LostTotal() (n uint64) {
	if c == nil {
		return 0
	}
	for _, v := range c.Lost {
		n += v
	}
	return n
}

// Socket is one socket as the kernel, or the recorder's table, has it now.
type Socket struct {
	Cookie        uint64
	Proto         Proto
	State         State
	Local, Remote netip.AddrPort // unmapped, as in Event
	Mapped        bool
	MPTCP         bool
	AutoBind      bool // the kernel chose the local port, where that is known
	NetNS         uint32
	Inode         uint64 // of sockfs; 0 none: nobody has it open
	UID           uint32 // NoID unknown
	Since         int64  // UTC ns at which it opened; 0 unknown
	SinceBoot     uint64 // the same as CLOCK_BOOTTIME ns; 0 unknown
	Role          Role
	Provenance    Provenance
	Tier          Tier

	Owner   ProcessKey
	Process *Process     // the owner resolved; nil unknown
	Holders []ProcessKey // every process that has it open, where looked for
	Others  []*Process   // Holders other than Owner, resolved

	Rx, Tx  uint64 // payload bytes so far, where known
	Backlog uint32 // connections waiting to be accepted (listeners)
}

// What says which part of an Observation is filled.
type What uint8

// What an observation can be.
const (
	WhatEvent   What = iota + 1 // Event
	WhatProcess                 // Process: seen for the first time, or executing another program
	WhatExit                    // Key exited at Event.Boot
	WhatHolder                  // Key also uses socket Event.Socket
)

// Observation is one thing that a capture source reports. A source overwrites
// the whole of it at each read; only Process outlives the next read.
type Observation struct {
	What    What
	Event   Event
	Process *Process
	Key     ProcessKey
	Comm    [16]byte // short name of Event.Owner, in case its Process record was lost
	UID     uint32   // the owner's user id at the event, NoID unknown
}

// SourceInfo tells what a capture source is and what it can see.
type SourceInfo struct {
	Tier    Tier
	Set     string // hook set: "trampoline", "tracepoint", "sock_diag", "procfs"
	Detail  string // kernel release, copies, degradations: one line
	Missing []Kind // kinds that it cannot see here
	Hooks   []Hook // every hook, attached or not
	Hint    string // what is missing and how to get it, for people; "" nothing
}

// Hook is one place in the kernel that a source listens at.
type Hook struct {
	Name string // "tp_btf/inet_sock_set_state"
	Err  string // why it is not attached; "" attached
}

// Opening returns the event by which the socket became what it is, as far as
// the socket tells: what is asked of events can so be asked of a socket.
func (s *Socket) Opening() Event {
	e := Event{Time: s.Since, Kind: s.openingKind(), Proto: s.Proto, Tier: s.Tier, Provenance: s.Provenance, Role: s.Role,
		Local: s.Local, Remote: s.Remote, NetNS: s.NetNS, Socket: s.Cookie, Owner: s.Owner, Process: s.Process,
		Holders: s.Others, Rx: s.Rx, Tx: s.Tx}
	if s.AutoBind {
		e.Flags |= FlagAutoBind
	}
	if s.Mapped {
		e.Flags |= FlagMapped
	}
	if s.MPTCP {
		e.Flags |= FlagMPTCP
	}
	if s.Role == RoleAcceptor {
		e.Flags |= FlagInbound
	}
	return e
}

func (s *Socket) openingKind() Kind {
	switch {
	case s.State == StateListen:
		return KindListen
	case s.Proto == UDP:
		return KindBind
	case s.Role == RoleAcceptor || s.Role == RoleListener:
		return KindAccept
	case s.Role == RoleCreator:
		return KindConnect
	}
	return KindSnapshot
}
