// Package probe tests ports from the outside and says what answers: a Target
// goes in, a Result with its Verdict and the evidence for it comes out.
//
// The engine finds the verdict (connect, refusal, ICMP error, silence); a
// Prober, one package each under probe, asks in its protocol's own words and
// understands the answer. Nothing here prints.
package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Proto is a transport protocol, by its IP protocol number.
type Proto uint8

// The transports.
const (
	TCP Proto = 6
	UDP Proto = 17
)

// String returns "tcp" or "udp".
func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return "?"
}

// Target is one port of one address.
type Target struct {
	Host    string     // as the user named it, for TLS and HTTP too; "" the address
	Addr    netip.Addr // unmapped; with its zone where it has one
	Proto   Proto
	Port    uint16
	Service string // name in the services file, which picks the question; "" unknown
}

// Verdict is what a test says of a port, in PortQry's four words.
type Verdict uint8

// The verdicts. The zero value is no verdict: the test itself failed.
const (
	NoVerdict           Verdict = iota
	Listening                   // something answered
	NotListening                // the host says that nothing listens there
	Filtered                    // a firewall refused, or TCP met silence
	ListeningOrFiltered         // UDP met silence, which both give
)

// String returns PortQry's word: "LISTENING", "NOT LISTENING", "FILTERED",
// "LISTENING or FILTERED", or "UNKNOWN".
func (v Verdict) String() string {
	switch v {
	case Listening:
		return "LISTENING"
	case NotListening:
		return "NOT LISTENING"
	case Filtered:
		return "FILTERED"
	case ListeningOrFiltered:
		return "LISTENING or FILTERED"
	}
	return "UNKNOWN"
}

// Sign is the kind of thing that a verdict rests on.
type Sign uint8

// The signs.
const (
	NoSign    Sign = iota
	Accepted       // TCP: the connection was made (SYN, ACK)
	Reset          // TCP: RST
	ICMP           // an ICMP or ICMPv6 error (RFC 792, RFC 4443)
	Reply          // UDP: a datagram came back
	Silence        // nothing, after Tries
	LocalFail      // the host that asks could not send: no route, no permission
)

// Evidence is what a verdict rests on.
type Evidence struct {
	Sign     Sign
	ICMPType uint8      // with Sign ICMP, as on the wire of its IP version
	ICMPCode uint8      //
	From     netip.Addr // who sent the ICMP error: the target, a router or a firewall
	Tries    int        // how often it was asked
	Limited  bool       // UDP silence from a host that limits its ICMP errors: unproven
	RTT      time.Duration
	Err      error // LocalFail: why
}

// Result is one port tested.
type Result struct {
	Target   Target
	Verdict  Verdict
	Evidence Evidence
	Asked    string  // protocol that answered; else the last that was asked by name or port, "" none was
	Answer   *Answer // what the service said; nil: not asked, or it said nothing that was understood
	Start    time.Time
	Took     time.Duration // all of it, the questions included
}

// Answer is what a service said of itself. Its texts are the peer's, raw: they
// are to be escaped where they are shown.
type Answer struct {
	Protocol string  // "dns", "ssh": the Prober's; "" nobody understood what is in Raw
	Summary  string  // the gist in one line: "OpenSSH 9.2p1 Debian-2", "REFUSED, 9.18.49"
	Fields   []Field // all of it, in the protocol's order
	Raw      []byte  // the first bytes as received, at most 4 KiB; nil where they say nothing to people
}

// Field is one fact of an answer, named in the protocol's own terms
// ("namingContexts", "sysDescr"), with its values in the order received.
type Field struct {
	Name   string
	Values []string
}

// Add appends a field, unless it has no value.
func (a *Answer) Add(name string, values ...string) {
	if len(values) > 0 {
		a.Fields = append(a.Fields, Field{name, values})
	}
}

// Get returns the first value of a field, "" when there is none.
func (a *Answer) Get(name string) string {
	for _, f := range a.Fields {
		if f.Name == name {
			return f.Values[0]
		}
	}
	return ""
}

// ErrProtocol is wrapped by a Prober's error when the peer answered and does
// not speak its protocol. Any other error means that no answer came.
var ErrProtocol = errors.New("speaks another protocol")

// Port is where a protocol is at home.
type Port struct {
	Proto Proto
	Port  uint16
	Name  string // in services files: "ldap"
}

// Prober asks one protocol's question. It is stateless and safe for concurrent
// use, and never sends more than it may expect back: no amplification.
type Prober interface {
	// Protocol is a short lower-case name: "dns".
	Protocol() string
	// Ports are the ports at which it is asked without being told, the usual first.
	Ports() []Port
	// Ask asks over connections that d opens, until ctx is done, and returns
	// what was understood. With an error that wraps ErrProtocol the Answer may
	// still hold what came (Raw).
	Ask(ctx context.Context, d Dialer, t Target) (*Answer, error)
}

// Dialer opens connections to the target of one test. What it opened is closed
// by who asked for it; its deadline is that of ctx.
type Dialer interface {
	// TCP connects to the target's port.
	TCP(ctx context.Context) (net.Conn, error)
	// UDP returns a socket that sends to the target's port, and receives from
	// any port of the target's address (TFTP answers from another, RFC 1350
	// section 4), as one datagram a Read. ICMP errors come as errors of Read.
	UDP(ctx context.Context) (Datagrams, error)
	// Beside opens connections to another port of the target's address, for what
	// must be known to ask: what it meets there says nothing of the target.
	Beside(port uint16) Dialer
	// Wait is how long an answer may take, by what is known of the path.
	Wait() time.Duration
}

// Datagrams is a UDP socket towards one address.
type Datagrams interface {
	net.Conn // its LocalAddr is where the target's host answers to, NAT aside
	// Peer is the port that the last datagram read came from.
	Peer() netip.AddrPort
	// WriteTo sends to another port of the target's address.
	WriteTo(b []byte, port uint16) (int, error)
}
