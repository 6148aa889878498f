package filter

import (
	"math/bits"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// class is what kind of value a field has.
type class uint8

const (
	classWord class = iota
	classFlag
	classPort
	classAddr
	classNumber
	classText
	classTime
)

func (c class) String() string {
	return [...]string{"word", "yes or no", "port", "address", "number", "text", "time"}[c]
}

// unit is how a number is written.
type unit uint8

const (
	unitCount unit = iota // 10k
	unitBytes             // 1MB, 1MiB
	unitNanos             // 1h30m
)

// fieldID names a field in the switches of subject.go.
type fieldID uint8

const (
	fKind fieldID = iota
	fProto
	fState
	fTier
	fProvenance
	fRole
	fReason
	fUnknown
	fPort
	fLocalPort
	fRemotePort
	fIP
	fLocal
	fRemote
	fPID
	fParentPID
	fUID
	fEUID
	fNetNS
	fSocket
	fSeq
	fErrno
	fCloser
	fRx
	fTx
	fBytes
	fPackets
	fRxPackets
	fTxPackets
	fRetransmits
	fBacklog
	fDuration
	fRTT
	fReset
	fMapped
	fAutoBind
	fInbound
	fUnaccepted
	fRecovered
	fGuessed
	fMPTCP
	fTruncated
	fPeerFirst
	fDeleted
	fMemFD
	fKernel
	fProcess
	fName
	fExe
	fArgs
	fCwd
	fParent
	fAncestor
	fUser
	fEUser
	fLogin
	fUnit
	fContainer
	fRuntime
	fImage
	fPod
	fCgroup
	fPackage
	fSHA256
	fModule
	fHolder
	fTime
	fSince
	fUntil
	fAt
	fBare // a word without a field; not in the table
)

// field is one row of the table of fields.
type field struct {
	id      fieldID
	class   class
	unit    unit
	name    string
	aliases string // space separated: other tools' words, and the JSON names
	help    string
}

// fields is the language's vocabulary, in the order of the documentation.
var fields = [...]field{
	{id: fKind, class: classWord, name: "kind", help: "what happened: accept, connect-failed, *-failed ..."},
	{id: fProto, class: classWord, name: "proto", aliases: "protocol", help: "tcp or udp"},
	{id: fPort, class: classPort, name: "port", help: "either port: 443, 8000-8100, ssh"},
	{id: fLocalPort, class: classPort, name: "lport", aliases: "local.port sport", help: "the local port"},
	{id: fRemotePort, class: classPort, name: "rport", aliases: "remote.port dport", help: "the remote port"},
	{id: fIP, class: classAddr, name: "ip", aliases: "addr address", help: "either end: address, CIDR, address:port, loopback, private, public ..."},
	{id: fLocal, class: classAddr, name: "local", aliases: "local.ip laddr src", help: "the local end"},
	{id: fRemote, class: classAddr, name: "remote", aliases: "remote.ip raddr dst", help: "the remote end"},
	{id: fProcess, class: classText, name: "process", aliases: "proc", help: "the process's short name or its executable's file name"},
	{id: fName, class: classText, name: "name", aliases: "comm", help: "the process's short name (15 bytes on Linux)"},
	{id: fPID, class: classNumber, name: "pid", help: "the owner's process number"},
	{id: fExe, class: classText, name: "exe", aliases: "path", help: "the executable: its path, or its file name"},
	{id: fArgs, class: classText, name: "args", aliases: "cmdline command argv", help: "text in the command line"},
	{id: fCwd, class: classText, name: "cwd", help: "the working directory"},
	{id: fParent, class: classText, name: "parent", help: "the parent's name or process number"},
	{id: fParentPID, class: classNumber, name: "ppid", help: "the parent's process number"},
	{id: fAncestor, class: classText, name: "ancestor", help: "the name or process number of any ancestor"},
	{id: fUser, class: classText, name: "user", help: "the owner's user, by name or number"},
	{id: fUID, class: classNumber, name: "uid", help: "the owner's user number"},
	{id: fEUser, class: classText, name: "euser", aliases: "effective_user", help: "the effective user, by name or number"},
	{id: fEUID, class: classNumber, name: "euid", help: "the effective user number"},
	{id: fLogin, class: classText, name: "login", aliases: "login_user", help: "who logged in to start it, by name or number"},
	{id: fUnit, class: classText, name: "unit", aliases: "service", help: "the systemd unit or Windows service; .service may be left out"},
	{id: fContainer, class: classText, name: "container", aliases: "container.name container.id", help: "the container's name, or its id from 6 digits on"},
	{id: fRuntime, class: classText, name: "runtime", aliases: "container.runtime", help: "the container's runtime: docker, podman ..."},
	{id: fImage, class: classText, name: "image", aliases: "container.image", help: "the container's image"},
	{id: fPod, class: classText, name: "pod", aliases: "container.pod", help: "the Kubernetes pod, as namespace/name or name"},
	{id: fCgroup, class: classText, name: "cgroup", help: "the control group's path"},
	{id: fPackage, class: classText, name: "package", help: "the package that the executable is of"},
	{id: fSHA256, class: classText, name: "sha256", help: "the executable's SHA-256, or its first digits"},
	{id: fModule, class: classText, name: "module", help: "a mapped library: path, file name or package"},
	{id: fHolder, class: classText, name: "holder", help: "any process that has the socket open, by name or number"},
	{id: fDeleted, class: classFlag, name: "deleted", help: "the executable's file is gone"},
	{id: fMemFD, class: classFlag, name: "memfd", help: "the executable never was a file"},
	{id: fKernel, class: classFlag, name: "kernel", help: "the owner is a kernel thread"},
	{id: fRx, class: classNumber, unit: unitBytes, name: "rx", help: "payload bytes received: >1MB"},
	{id: fTx, class: classNumber, unit: unitBytes, name: "tx", help: "payload bytes sent"},
	{id: fBytes, class: classNumber, unit: unitBytes, name: "bytes", help: "payload bytes both ways"},
	{id: fPackets, class: classNumber, name: "packets", help: "packets both ways"},
	{id: fRxPackets, class: classNumber, name: "rxpackets", aliases: "rx_packets", help: "packets received"},
	{id: fTxPackets, class: classNumber, name: "txpackets", aliases: "tx_packets", help: "packets sent"},
	{id: fDuration, class: classNumber, unit: unitNanos, name: "duration", help: "how long it lasted: >10s, 1h..3d"},
	{id: fRTT, class: classNumber, unit: unitNanos, name: "rtt", help: "the smoothed round trip time: >100ms"},
	{id: fRetransmits, class: classNumber, name: "retransmits", aliases: "retrans", help: "segments sent again"},
	{id: fBacklog, class: classNumber, name: "backlog", help: "connections that wait to be accepted (list only)"},
	{id: fReason, class: classWord, name: "reason", help: "why it failed or ended: refused, timed-out ..."},
	{id: fErrno, class: classNumber, name: "errno", help: "the kernel's error number"},
	{id: fCloser, class: classNumber, name: "closer", help: "the process number of who closed first"},
	{id: fReset, class: classFlag, name: "reset", help: "ended by RST"},
	{id: fState, class: classWord, name: "state", help: "the socket's state (list only): listen, established ..."},
	{id: fRole, class: classWord, name: "role", help: "what the owner did: acceptor, creator ..."},
	{id: fTier, class: classWord, name: "tier", help: "how it was captured: ebpf, poll, etw, import"},
	{id: fProvenance, class: classWord, name: "provenance", help: "how it is known: observed, snapshot, inferred"},
	{id: fUnknown, class: classWord, name: "unknown", help: "a fact that could not be learnt: owner, bytes ..."},
	{id: fMapped, class: classFlag, name: "mapped", help: "IPv4 on an IPv6 socket"},
	{id: fAutoBind, class: classFlag, name: "autobind", help: "the kernel chose the local port"},
	{id: fInbound, class: classFlag, name: "inbound", help: "the peer began it"},
	{id: fUnaccepted, class: classFlag, name: "unaccepted", help: "a connection that no process accepted"},
	{id: fRecovered, class: classFlag, name: "recovered", help: "told by a second hook"},
	{id: fGuessed, class: classFlag, name: "guessed", help: "the reason, or a datagram's sender, is concluded, not told"},
	{id: fMPTCP, class: classFlag, name: "mptcp", help: "a Multipath TCP subflow"},
	{id: fTruncated, class: classFlag, name: "truncated", help: "the counters began late"},
	{id: fPeerFirst, class: classFlag, name: "peerfirst", aliases: "peer_first", help: "the peer ended the connection first"},
	{id: fNetNS, class: classNumber, name: "netns", help: "the network namespace's number"},
	{id: fSocket, class: classNumber, name: "socket", aliases: "cookie", help: "the socket's cookie"},
	{id: fSeq, class: classNumber, name: "seq", help: "the event's sequence number"},
	{id: fTime, class: classTime, name: "time", help: "when: >=2026-11-24, <today"},
	{id: fSince, class: classTime, name: "since", aliases: "after from", help: "not before: 2h, today, \"yesterday 14:00\""},
	{id: fUntil, class: classTime, name: "until", aliases: "before", help: "before"},
	{id: fAt, class: classTime, name: "at", aliases: "on", help: "within the day, hour, minute or second that is named"},
}

// bareField stands for the field of a word without one.
func bareField() *field { return &field{id: fBare, class: classText} }

// findField returns the field of that name or alias, in any case; nil for none.
// The JSON names' prefix "process." may be written.
func findField(name string) *field {
	name = strings.ToLower(name)
	short := strings.TrimPrefix(name, "process.")
	for i := range fields {
		f := &fields[i]
		if f.name == name || f.name == short {
			return f
		}
		for a := range strings.FieldsSeq(f.aliases) {
			if a == name || a == short {
				return f
			}
		}
	}
	return nil
}

// words lists the words of a field of classWord; a word's index is its bit.
func (f *field) words() []string {
	switch f.id {
	case fKind:
		return list(func(i int) string { return activity.Kind(i).String() })
	case fProto:
		return []string{"", "tcp", "udp"}
	case fState:
		return list(func(i int) string { return strings.ToLower(activity.State(i).String()) })
	case fTier:
		return list(func(i int) string { return activity.Tier(i).String() })
	case fProvenance:
		return list(func(i int) string { return activity.Provenance(i).String() })
	case fRole:
		return list(func(i int) string { return activity.Role(i).String() })
	case fReason:
		return list(func(i int) string { return activity.Reason(i).String() })
	case fUnknown:
		return []string{"owner", "bytes", "packets", "duration", "rtt", "retransmits", "reason", "closer", "local", "remote", "holder"}
	}
	return nil
}

// list collects words until the vocabulary answers "#n", its form of a number
// without a word.
func list(word func(int) string) (ws []string) {
	for i := range 64 {
		w := word(i)
		if strings.HasPrefix(w, "#") {
			break
		}
		ws = append(ws, w)
	}
	return ws
}

// setOf names the words of a set, lowest bit first.
func (f *field) setOf(set uint64) (ws []string) {
	all := f.words()
	for ; set != 0; set &= set - 1 {
		if i := bits.TrailingZeros64(set); i < len(all) {
			ws = append(ws, all[i])
		}
	}
	return ws
}

// Field describes one field for completion and documentation.
type Field struct {
	Name    string
	Aliases []string
	Type    string   // "word", "yes or no", "port", "address", "number", "text" or "time"
	Values  []string // the words that it takes; nil when it takes more than words
	Help    string   // one line
}

// Fields lists every field of the language in the order of docs/FILTER.md. The
// caller owns the result.
func Fields() []Field {
	fs := make([]Field, len(fields))
	for i := range fields {
		f := &fields[i]
		fs[i] = Field{Name: f.name, Aliases: strings.Fields(f.aliases), Type: f.class.String(), Help: f.help}
		switch f.class {
		case classFlag:
			fs[i].Values = []string{"yes", "no"}
		case classWord:
			for _, w := range f.words() {
				if w != "" {
					fs[i].Values = append(fs[i].Values, w)
				}
			}
		}
	}
	return fs
}
