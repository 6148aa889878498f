// Package probetest helps the probers' tests: a plain Dialer, and peers that
// say what the test tells them to.
package probetest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

// patience is for a machine that does much else; answers take milliseconds.
const patience = 20 * time.Second

// Dialer opens plain connections to an address: what the engine does, without
// its verdicts.
type Dialer struct {
	Addr    netip.AddrPort
	Timeout time.Duration // how long an answer may take; 0: 2 s
	NS      Namespace     // where to connect from; nil: here

	Others map[uint16]netip.AddrPort // other ports of the host, where they are elsewhere
}

// Namespace is where a testutil.NetNS is meant: what f opens is in it.
type Namespace interface{ Do(f func()) }

func (d Dialer) do(f func()) {
	if d.NS == nil {
		f()
		return
	}
	d.NS.Do(f)
}

// TCP connects.
func (d Dialer) TCP(ctx context.Context) (c net.Conn, err error) {
	d.do(func() {
		var nd net.Dialer
		c, err = nd.DialContext(ctx, "tcp", d.Addr.String())
	})
	return c, err
}

// UDP opens an unconnected socket.
func (d Dialer) UDP(ctx context.Context) (probe.Datagrams, error) {
	network := "udp4"
	if d.Addr.Addr().Is6() {
		network = "udp6"
	}
	var c *net.UDPConn
	var err error
	d.do(func() { c, err = net.ListenUDP(network, nil) })
	if err != nil {
		return nil, err
	}
	return &datagrams{UDPConn: c, to: d.Addr, do: d.do}, nil
}

// Beside opens connections to another port.
func (d Dialer) Beside(port uint16) probe.Dialer {
	o := d
	o.Addr = netip.AddrPortFrom(d.Addr.Addr(), port)
	if a, ok := d.Others[port]; ok {
		o.Addr = a
	}
	return o
}

// Wait is Timeout.
func (d Dialer) Wait() time.Duration {
	if d.Timeout == 0 {
		return 2 * time.Second
	}
	return d.Timeout
}

// datagrams sends to one address, and hears all ports of it.
type datagrams struct {
	*net.UDPConn
	to, peer netip.AddrPort
	do       func(func())
}

func (c *datagrams) LocalAddr() net.Addr {
	at := *c.UDPConn.LocalAddr().(*net.UDPAddr)
	c.do(func() {
		if o, err := net.Dial("udp", c.to.String()); err == nil {
			at.IP = o.LocalAddr().(*net.UDPAddr).IP
			o.Close()
		}
	})
	return &at
}

func (c *datagrams) Write(b []byte) (int, error) { return c.WriteToUDPAddrPort(b, c.to) }

func (c *datagrams) Read(b []byte) (int, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil || from.Addr().Unmap() == c.to.Addr() {
			c.peer = from
			return n, err
		}
	}
}

func (c *datagrams) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.to) }

func (c *datagrams) Peer() netip.AddrPort { return c.peer }

func (c *datagrams) WriteTo(b []byte, port uint16) (int, error) {
	return c.WriteToUDPAddrPort(b, netip.AddrPortFrom(c.to.Addr(), port))
}

// Ask has p ask the port at addr, with all the time that a busy machine takes, and fails
// the test on an error.
func Ask(t testing.TB, p probe.Prober, proto probe.Proto, addr netip.AddrPort) *probe.Answer {
	t.Helper()
	a, err := Try(t, p, proto, addr)
	if err != nil {
		t.Fatalf("%s at %s: %v", p.Protocol(), addr, err)
	}
	return a
}

// Try is Ask for what may go wrong.
func Try(t testing.TB, p probe.Prober, proto probe.Proto, addr netip.AddrPort) (*probe.Answer, error) {
	t.Helper()
	return try(t, p, proto, Dialer{Addr: addr}, patience)
}

// AskIn is Ask from within a namespace.
func AskIn(t testing.TB, ns Namespace, p probe.Prober, proto probe.Proto, addr netip.AddrPort) *probe.Answer {
	t.Helper()
	a, err := try(t, p, proto, Dialer{Addr: addr, NS: ns}, patience)
	if err != nil {
		t.Fatalf("%s at %s: %v", p.Protocol(), addr, err)
	}
	return a
}

func try(t testing.TB, p probe.Prober, proto probe.Proto, d Dialer, limit time.Duration) (*probe.Answer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return p.Ask(ctx, d, probe.Target{Addr: d.Addr.Addr(), Proto: proto, Port: d.Addr.Port()})
}

// Serve answers each TCP connection on a loopback port with f, until the test
// ends; the connection is closed after f.
func Serve(t testing.TB, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			f(c)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// ServeUDP answers each datagram on a loopback port with those that f returns,
// until the test ends.
func ServeUDP(t testing.TB, f func([]byte) [][]byte) netip.AddrPort {
	t.Helper()
	return ServeUDPTo(t, func(q []byte, from netip.AddrPort) ([][]byte, netip.AddrPort) { return f(q), from })
}

// ServeUDPTo is ServeUDP that answers to where f says, given who asked.
func ServeUDPTo(t testing.TB, f func(q []byte, from netip.AddrPort) (answers [][]byte, to netip.AddrPort)) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			answers, to := f(append([]byte{}, buf[:n]...), from)
			for _, b := range answers {
				_, _ = c.WriteToUDPAddrPort(b, to)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Play is a peer of a conversation by lines: it says these, whatever it hears, and
// leaves.
func Play(lines ...string) (say func(string) error, next func() (string, error), heard *[]string) {
	heard = new([]string)
	say = func(l string) error { *heard = append(*heard, l); return nil }
	next = func() (string, error) {
		if len(lines) == 0 {
			return "", io.EOF
		}
		l := lines[0]
		lines = lines[1:]
		return l, nil
	}
	return say, next, heard
}

// Strangers holds p to its promise on peers of other protocols: an error that
// wraps probe.ErrProtocol where something was said, another where nothing was,
// and never an answer or a wait to the end of time.
func Strangers(t *testing.T, p probe.Prober, proto probe.Proto) {
	t.Helper()
	for name, says := range map[string]string{
		"smtp":    "220 mail.example ESMTP\r\n",
		"zeros":   string(make([]byte, 700)),
		"ones":    ones(700),
		"one":     "\x00",
		"closes":  "",
		"newline": "\n",
	} {
		t.Run("stranger "+name, func(t *testing.T) {
			t.Parallel()
			a, err := try(t, p, proto, Dialer{Addr: stranger(t, proto, says), Timeout: 50 * time.Millisecond}, 400*time.Millisecond)
			if err == nil {
				t.Fatalf("understood %+v", a)
			}
			if got := errors.Is(err, probe.ErrProtocol); got != (says != "") {
				t.Errorf("another protocol is %v: %v", got, err)
			}
		})
	}
}

// stranger says the same to all who come; by UDP, an empty answer is none.
func stranger(t *testing.T, proto probe.Proto, says string) netip.AddrPort {
	if proto == probe.TCP {
		return Serve(t, func(c net.Conn) {
			if _, err := c.Write([]byte(says)); err == nil && says != "" {
				_, _ = c.Read(make([]byte, 4<<10)) // the question, so that no reset overtakes what was said
			}
		})
	}
	return ServeUDP(t, func([]byte) [][]byte {
		if says == "" {
			return nil
		}
		return [][]byte{[]byte(says)}
	})
}

func ones(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return string(b)
}
