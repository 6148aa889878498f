package activity

import (
	"fmt"
	"strings"
)

// Kind says what happened. Its zero value is no kind.
type Kind uint8

// The kinds, in the order of docs/JOURNAL.md. New ones go at the end: the
// numbers are on disk.
const (
	KindNone          Kind = iota
	KindListen             // a TCP listener opened
	KindUnlisten           // a TCP listener closed
	KindBind               // a UDP socket took its local port, explicitly or not
	KindUnbind             // a UDP socket gave its local port back
	KindBindFailed         // bind or listen refused; Holder is who had the port
	KindConnect            // an outbound connection was established
	KindConnectFailed      // an outbound connection failed; Reason says why
	KindAccept             // an inbound connection, owned by its acceptor
	KindClose              // the end of a connect or an accept
	KindFlow               // a UDP socket's first datagram with one remote
	KindFlowEnd            // the end of a flow: idle, or its socket closed
	KindKnock              // an inbound attempt that met no socket
	KindSnapshot           // a socket found already there
	KindRecorderStart      // coverage begins
	KindRecorderStop       // coverage ends in good order
	KindGap                // coverage is broken, or events are known lost
	NumKinds
)

var kindNames = [NumKinds]string{"", "listen", "unlisten", "bind", "unbind", "bind-failed",
	"connect", "connect-failed", "accept", "close", "flow", "flow-end", "knock", "snapshot",
	"recorder-start", "recorder-stop", "gap"}

func (k Kind) String() string { return word(kindNames[:], int(k)) }

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) {
	i, err := parseWord("kind", kindNames[:], s)
	return Kind(i), err
}

// Kinds lists every kind's word in the order of its number, without the zero.
func Kinds() []string { return append([]string(nil), kindNames[1:]...) }

// Ends reports whether the kind is the end of something, and so carries
// counters and a duration.
func (k Kind) Ends() bool {
	return k == KindUnlisten || k == KindUnbind || k == KindClose || k == KindFlowEnd
}

// Coverage reports whether the kind tells of the recorder and not of a port.
func (k Kind) Coverage() bool {
	return k == KindRecorderStart || k == KindRecorderStop || k == KindGap
}

// Proto is an IP protocol number: TCP or UDP.
type Proto uint8

// Protocol numbers as assigned by IANA.
const (
	TCP Proto = 6
	UDP Proto = 17
)

func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case 0:
		return ""
	}
	return fmt.Sprintf("proto-%d", uint8(p))
}

// ParseProto is the inverse of Proto.String for the two it knows.
func ParseProto(s string) (Proto, error) {
	switch s {
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	case "":
		return 0, nil
	}
	return 0, fmt.Errorf("unknown protocol %q: want tcp or udp", s)
}

// Tier says which kind of capture an event comes from.
type Tier uint8

// The tiers.
const (
	TierNone Tier = iota
	TierEBPF
	TierPoll
	TierETW
	TierImport
	numTiers
)

var tierNames = [numTiers]string{"", "ebpf", "poll", "etw", "import"}

func (t Tier) String() string { return word(tierNames[:], int(t)) }

// ParseTier is the inverse of Tier.String.
func ParseTier(s string) (Tier, error) {
	i, err := parseWord("tier", tierNames[:], s)
	return Tier(i), err
}

// Provenance says how an event is known.
type Provenance uint8

// The provenances.
const (
	Observed    Provenance = iota // seen when it happened
	Snapshotted                   // found to be there already
	Inferred                      // concluded by reconciliation
	numProvenances
)

var provenanceNames = [numProvenances]string{"observed", "snapshot", "inferred"}

func (p Provenance) String() string { return word(provenanceNames[:], int(p)) }

// ParseProvenance is the inverse of Provenance.String.
func ParseProvenance(s string) (Provenance, error) {
	i, err := parseWord("provenance", provenanceNames[:], s)
	return Provenance(i), err
}

// Role says what the owner did to the socket.
type Role uint8

// The roles.
const (
	RoleNone     Role = iota
	RoleCreator       // opened the connection or listener
	RoleBinder        // bound the port
	RoleAcceptor      // accepted the connection
	RoleListener      // only owns the listener: nobody accepted the connection yet
	RoleCloser        // closed it
	RoleUser          // sent or received on it
	RoleHolder        // has it open; what it did to it is not known
	numRoles
)

var roleNames = [numRoles]string{"", "creator", "binder", "acceptor", "listener", "closer", "user", "holder"}

func (r Role) String() string { return word(roleNames[:], int(r)) }

// ParseRole is the inverse of Role.String.
func ParseRole(s string) (Role, error) {
	i, err := parseWord("role", roleNames[:], s)
	return Role(i), err
}

// Reason says in a word why an attempt failed or a thing ended.
type Reason uint8

// The reasons.
const (
	ReasonNone             Reason = iota
	ReasonRefused                 // the peer answered with RST
	ReasonTimedOut                // no answer
	ReasonHostUnreachable         // ICMP, or no neighbour
	ReasonNetUnreachable          // no route
	ReasonReset                   // RST after the handshake began
	ReasonNoPortsLeft             // no ephemeral port free
	ReasonDenied                  // EACCES, EPERM: privilege, LSM or firewall
	ReasonAddressInUse            // EADDRINUSE
	ReasonNoSuchAddress           // EADDRNOTAVAIL: the local address is not this host's
	ReasonAborted                 // the caller closed the socket before an answer
	ReasonNotSent                 // failed inside this host before any packet; errno unknown
	ReasonInvalid                 // EINVAL, EAFNOSUPPORT and the like
	ReasonIdle                    // a flow without datagrams for the idle time
	ReasonClosed                  // the socket was closed
	ReasonExited                  // ended with its process
	ReasonOther                   // see Errno
	ReasonProtoUnreachable        // ICMP protocol or port unreachable, told apart from RST
	numReasons
)

var reasonNames = [numReasons]string{"", "refused", "timed-out", "host-unreachable", "net-unreachable", "reset",
	"no-ports-left", "denied", "address-in-use", "no-such-address", "aborted", "not-sent", "invalid", "idle",
	"closed", "exited", "other", "port-unreachable"}

func (r Reason) String() string { return word(reasonNames[:], int(r)) }

// ParseReason is the inverse of Reason.String.
func ParseReason(s string) (Reason, error) {
	i, err := parseWord("reason", reasonNames[:], s)
	return Reason(i), err
}

// Reasons lists every reason's word, without the zero.
func Reasons() []string { return append([]string(nil), reasonNames[1:]...) }

// State is a socket's state as a user reads it in a table.
type State uint8

// The states. TCP's are RFC 9293 section 3.3.2's; Bound is UDP's only one.
const (
	StateNone State = iota
	StateListen
	StateBound
	StateSynSent
	StateSynReceived
	StateEstablished
	StateFinWait1
	StateFinWait2
	StateCloseWait
	StateClosing
	StateLastAck
	StateTimeWait
	StateClosed
	numStates
)

var stateNames = [numStates]string{"", "LISTEN", "BOUND", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"}

func (s State) String() string { return word(stateNames[:], int(s)) }

// TCPState translates the Linux kernel's number of a TCP state
// (include/net/tcp_states.h).
func TCPState(n uint8) State {
	table := [...]State{StateNone, StateEstablished, StateSynSent, StateSynReceived, StateFinWait1, StateFinWait2,
		StateTimeWait, StateClosed, StateCloseWait, StateLastAck, StateListen, StateClosing, StateSynReceived}
	if int(n) < len(table) {
		return table[n]
	}
	return StateNone
}

func word(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("#%d", i)
}

func parseWord(what string, names []string, s string) (int, error) {
	for i, n := range names {
		if n == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q: want one of %s", what, s, strings.TrimPrefix(strings.Join(names, ", "), ", "))
}

// ReasonOf translates a Linux error number (asm-generic/errno.h) of a failed
// bind, listen or connect. Zero gives ReasonNone.
func ReasonOf(errno uint16) Reason {
	switch errno {
	case 0:
		return ReasonNone
	case 1, 13: // EPERM, EACCES
		return ReasonDenied
	case 22, 97, 93, 94, 88, 106: // EINVAL, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, ENOTSOCK, EISCONN
		return ReasonInvalid
	case 98:
		return ReasonAddressInUse
	case 99:
		return ReasonNoSuchAddress
	case 101, 100: // ENETUNREACH, ENETDOWN
		return ReasonNetUnreachable
	case 104, 32: // ECONNRESET, EPIPE
		return ReasonReset
	case 103: // ECONNABORTED
		return ReasonAborted
	case 110:
		return ReasonTimedOut
	case 111:
		return ReasonRefused
	case 113, 112: // EHOSTUNREACH, EHOSTDOWN
		return ReasonHostUnreachable
	case 92: // ENOPROTOOPT: ICMP protocol unreachable, as icmp_err_convert has it
		return ReasonProtoUnreachable
	}
	return ReasonOther
}
