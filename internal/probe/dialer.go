package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// dialer opens connections to one target for its Probers, and keeps what they
// show of the port, whatever the Probers make of it.
type dialer struct {
	target Target
	source uint16
	wait   time.Duration
	path   time.Duration // of it, the part that the way there and back takes
	rate   *bucket       // what may be sent; nil: all
	slots  chan struct{} // of the host: whoever asks at an unusual port holds one

	mu    sync.Mutex
	paid  int      // taken from rate and not used yet
	first net.Conn // TCP: the scan's; given to whoever comes first
	sent  time.Time
	sends int
	rtt   time.Duration // UDP: from the last datagram sent to the first heard
	heard []byte        // UDP: the first datagram, its first 4 KiB; not nil when one came
	icmp  *icmpError    // UDP: the last
	local error         // UDP: nothing could be sent
}

func newDialer(q *question, source uint16) *dialer {
	return &dialer{target: q.result.Target, source: source, wait: q.wait, path: q.path, rate: q.rate, slots: q.slots, first: q.conn}
}

// Wait implements Dialer.
func (d *dialer) Wait() time.Duration { return d.wait }

// Beside implements Dialer: from any source port, as that is the target's.
func (d *dialer) Beside(port uint16) Dialer {
	t := d.target
	t.Port = port
	return &dialer{target: t, wait: d.wait, path: d.path, rate: d.rate}
}

// close closes the scan's connection, if nobody wanted it.
func (d *dialer) close() {
	if c := d.scans(); c != nil {
		c.Close()
	}
}

// scans gives the scan's connection away, once.
func (d *dialer) scans() net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.first
	d.first = nil
	return c
}

// TCP implements Dialer.
func (d *dialer) TCP(ctx context.Context) (net.Conn, error) {
	if c := d.scans(); c != nil {
		return c, nil
	}
	d.mu.Lock()
	d.spend()
	d.mu.Unlock()
	nd := net.Dialer{Timeout: d.wait + maxWait}
	return nd.DialContext(ctx, "tcp", netip.AddrPortFrom(d.target.Addr, d.target.Port).String())
}

// UDP implements Dialer.
func (d *dialer) UDP(ctx context.Context) (Datagrams, error) {
	network, any := "udp4", netip.IPv4Unspecified()
	if d.target.Addr.Is6() {
		network, any = "udp6", netip.IPv6Unspecified()
	}
	listen := func(port uint16) (net.PacketConn, error) {
		lc := net.ListenConfig{Control: controlUDP}
		return lc.ListenPacket(ctx, network, netip.AddrPortFrom(any, port).String())
	}
	c, err := listen(d.source)
	if err != nil && d.source != 0 {
		c, err = listen(0) // PortQry's way, too: a second question has another port
	}
	if err != nil {
		return nil, err
	}
	u := &datagrams{UDPConn: c.(*net.UDPConn), d: d}
	if err := u.hearErrors(); err != nil {
		c.Close()
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		_ = u.SetDeadline(t) // a new socket takes one
	}
	return u, nil
}

// refused says whether ICMP errors are all that a UDP port said.
func (d *dialer) refused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.icmp != nil && d.heard == nil
}

// told takes what the Probers met into a result: by UDP it is the verdict.
func (d *dialer) told(r *Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Target.Proto != UDP {
		return
	}
	e := event{}
	switch {
	case r.Answer != nil || d.heard != nil: // overrules an ICMP error: see askers.divert
		e.sign = Reply
	case d.icmp != nil:
		e.sign, e.icmp = ICMP, *d.icmp
	case d.local != nil:
		e.sign, e.err = LocalFail, d.local
	case r.Verdict != NoVerdict: // silent, as the scan found
		r.Evidence.Tries += d.sends
		return
	}
	tries := r.Evidence.Tries
	r.Verdict, r.Evidence = judge(r.Target, e)
	r.Evidence.Tries, r.Evidence.RTT = tries+d.sends, d.rtt
}

// datagrams is a UDP socket towards a target, for one Prober.
type datagrams struct {
	*net.UDPConn
	d       *dialer
	peer    netip.AddrPort
	pending *icmpError // met by a Write, for the next Read
}

// RemoteAddr implements net.Conn.
func (c *datagrams) RemoteAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.d.target.Addr, c.d.target.Port))
}

// LocalAddr implements net.Conn: the socket's port, at the address that the
// route to the target has, which a socket of its own finds out without a packet.
func (c *datagrams) LocalAddr() net.Addr {
	local := c.UDPConn.LocalAddr()
	o, err := net.Dial("udp", c.RemoteAddr().String())
	if err != nil {
		return local // no route: the unspecified address
	}
	defer o.Close()
	at := *o.LocalAddr().(*net.UDPAddr)
	at.Port = local.(*net.UDPAddr).Port
	return &at
}

// Peer implements Datagrams.
func (c *datagrams) Peer() netip.AddrPort { return c.peer }

// Write implements net.Conn.
func (c *datagrams) Write(b []byte) (int, error) { return c.WriteTo(b, c.d.target.Port) }

// WriteTo implements Datagrams.
func (c *datagrams) WriteTo(b []byte, port uint16) (int, error) {
	c.d.sending()
	to := netip.AddrPortFrom(c.d.target.Addr, port)
	n, err := c.WriteToUDPAddrPort(b, to)
	if err == nil {
		return n, nil
	}
	if e, ok := c.icmpError(err); ok { // an earlier datagram's: this one has not left
		c.pending = &e
		n, err = c.WriteToUDPAddrPort(b, to)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.d.failed(err)
	}
	return n, err
}

// Read implements net.Conn.
func (c *datagrams) Read(b []byte) (int, error) {
	if e := c.pending; e != nil {
		c.pending = nil
		return 0, c.refused(*e)
	}
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			if e, ok := c.icmpError(err); ok {
				return 0, c.refused(e)
			}
			return n, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if from.Addr().WithZone("") == c.d.target.Addr.WithZone("") {
			c.peer = from
			c.d.hears(b[:n])
			return n, nil
		}
	}
}

// refused notes an ICMP error and makes it one of Read.
func (c *datagrams) refused(e icmpError) error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.icmp = &e
	c.d.rtt = time.Since(c.d.sent)
	return &net.OpError{Op: "read", Net: "udp", Source: c.UDPConn.LocalAddr(), Addr: c.RemoteAddr(), Err: e}
}

// raw runs f on the socket's descriptor.
func (c *datagrams) raw(f func(fd uintptr)) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(f)
}

func (d *dialer) sending() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spend()
	d.sends++
	d.sent = time.Now()
}

// pay waits until a question may begin, unless the scan has paid for its
// connection. What a question sends beyond its first packet is owed: it is not
// held up in its midst, but what comes after it is.
func (d *dialer) pay(ctx context.Context) error {
	d.mu.Lock()
	free := d.first != nil || d.rate == nil
	d.mu.Unlock()
	if free {
		return ctx.Err()
	}
	if err := d.rate.wait(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paid++
	return nil
}

// spend counts a connection or a datagram. The mutex is held.
func (d *dialer) spend() {
	switch {
	case d.paid > 0:
		d.paid--
	case d.rate != nil:
		d.rate.owe()
	}
}

func (d *dialer) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.local = err
}

func (d *dialer) hears(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.heard == nil {
		d.heard = append([]byte{}, b[:min(len(b), maxRaw)]...)
		d.rtt = time.Since(d.sent)
	}
}
