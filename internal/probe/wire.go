package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// wire is how the scan's questions get out, and what comes back: the system's
// sockets, or a test's made-up network with a clock of its own.
type wire interface {
	now() time.Time
	// connect begins the job's try to connect. Its outcome is an event, unless it
	// returns an error: errBusy when there is no socket or port to be had now.
	connect(j *job) (sock, error)
	// send sends an empty datagram.
	send(t Target) error
	// poll waits for events until a time (the zero time: for ever), or a wake.
	poll(until time.Time, each func(event)) error
	// wake ends poll, now or the next time; from any goroutine.
	wake()
	// drop ends a connection or a try of one at once, with a RST where it was made.
	drop(sock)
	// take hands an accepted connection over.
	take(sock) (net.Conn, error)
	// budget is how many sockets there may be.
	budget() int
	close() error
}

// errBusy is that there is no socket to be had for the moment.
var errBusy = errors.New("no socket left")

// sock names a wire's socket.
type sock int

// noSock is none.
const noSock sock = -1

// event is what came back.
type event struct {
	job  *job           // TCP
	sock sock           // TCP
	udp  netip.AddrPort // UDP: the target's
	at   time.Time
	sign Sign // NoSign: it was ourselves, and nothing is known
	icmp icmpError
	err  error // LocalFail

	limited bool // no sign: the host limits what it says
}

// icmpError is an ICMP error as the socket tells it.
type icmpError struct {
	Type, Code uint8
	From       netip.Addr
}

// Error tells the type and code as on the wire, and who sent it.
func (e icmpError) Error() string {
	if !e.From.IsValid() {
		return fmt.Sprintf("refused by ICMP type %d code %d", e.Type, e.Code)
	}
	return fmt.Sprintf("refused by %s: ICMP type %d code %d", e.From, e.Type, e.Code)
}

// judge is what an event says of the port (RFC 792, RFC 4443 section 3.1).
//
// By TCP a host refuses with a RST: whoever sends an ICMP error instead is a
// firewall or a router, even with the host's own address. By UDP, port unreachable
// is how the host itself says so; from another address, it is a firewall's.
func judge(t Target, e event) (Verdict, Evidence) {
	ev := Evidence{Sign: e.sign}
	switch e.sign {
	case Accepted, Reply:
		return Listening, ev
	case Reset:
		return NotListening, ev
	case ICMP:
		ev.ICMPType, ev.ICMPCode, ev.From = e.icmp.Type, e.icmp.Code, e.icmp.From
		if t.Proto == UDP && e.icmp.portUnreachable() && ev.From.WithZone("") == t.Addr.WithZone("") {
			return NotListening, ev
		}
		return Filtered, ev
	case LocalFail:
		ev.Err = e.err
		return NoVerdict, ev
	}
	ev.Sign, ev.Limited = Silence, e.limited
	if t.Proto == UDP {
		return ListeningOrFiltered, ev
	}
	return Filtered, ev
}

// portUnreachable: destination unreachable, port unreachable, of either version.
func (e icmpError) portUnreachable() bool {
	if e.From.Is4() {
		return e.Type == 3 && e.Code == 3
	}
	return e.Type == 1 && e.Code == 4
}
