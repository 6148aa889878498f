//go:build !linux || plainwire

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// plainSockets is how many sockets a plain wire has at once: each has a goroutine.
const plainSockets = 1024

// plain is the wire of systems other than Linux: the net package's sockets, one
// goroutine each. What a refusal was, the system's own hooks tell (refusal).
type plain struct {
	source uint16
	events chan event
	wakes  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu    sync.Mutex
	last  sock
	tries map[sock]*plainTry
}

// plainTry is a try to connect.
type plainTry struct {
	cancel context.CancelFunc
	conn   net.Conn // once made
}

// newWire returns a wire whose packets leave from the port source, unless it is 0.
func newWire(source uint16) (wire, error) {
	w := &plain{source: source, events: make(chan event), wakes: make(chan struct{}, 1), tries: map[sock]*plainTry{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

func (w *plain) now() time.Time { return time.Now() }

func (w *plain) budget() int { return plainSockets }

func (w *plain) connect(j *job) (sock, error) {
	ctx, cancel := context.WithCancel(w.ctx)
	t := &plainTry{cancel: cancel}
	w.mu.Lock()
	w.last++
	c := w.last
	w.tries[c] = t
	w.mu.Unlock()
	w.group.Go(func() {
		e := w.try(ctx, j.target, t)
		e.job, e.sock, e.at = j, c, time.Now()
		w.tell(ctx, e)
	})
	return c, nil
}

// try connects, and tells how that ended.
func (w *plain) try(ctx context.Context, target Target, t *plainTry) event {
	why := &refusal{}
	defer why.close()
	nd := net.Dialer{Control: why.control, KeepAlive: -1}
	if w.source != 0 {
		nd.LocalAddr = &net.TCPAddr{Port: int(w.source)}
	}
	conn, err := nd.DialContext(ctx, "tcp", netip.AddrPortFrom(target.Addr, target.Port).String())
	if err == nil {
		w.mu.Lock()
		t.conn = conn
		w.mu.Unlock()
		return event{sign: Accepted} // net has looked whether it met itself
	}
	return why.tell(target, err, w.source)
}

// tell sends an event, unless nobody wants it.
func (w *plain) tell(ctx context.Context, e event) {
	select {
	case w.events <- e:
	case <-ctx.Done():
	}
}

// send uses a socket for each datagram, connected, so that an error names its port.
func (w *plain) send(t Target) error {
	nd := net.Dialer{}
	if w.source != 0 {
		nd.LocalAddr = &net.UDPAddr{Port: int(w.source)}
	}
	c, err := nd.DialContext(w.ctx, "udp", netip.AddrPortFrom(t.Addr, t.Port).String())
	if err != nil {
		return sourceError(w.source, err)
	}
	if err := hearErrors(c.(*net.UDPConn)); err != nil {
		c.Close()
		return err
	}
	if _, err := c.Write(nil); err != nil {
		c.Close()
		return fmt.Errorf("send: %w", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(2 * maxWait)) // longer than a try waits
	w.group.Go(func() {
		defer c.Close()
		defer context.AfterFunc(w.ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
		e := event{udp: key(t), sock: noSock, sign: Reply}
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, errMessageSize) {
			icmp, ok := refusedDatagram(t.Addr, err)
			if !ok {
				return // silence
			}
			e.sign, e.icmp = ICMP, icmp
		}
		e.at = time.Now()
		w.tell(w.ctx, e)
	})
	return nil
}

// refusedDatagram is what a refusal of a datagram stands for: the system tells
// that it was an ICMP port unreachable, and not whose.
func refusedDatagram(a netip.Addr, err error) (icmpError, bool) {
	if !errors.Is(err, errPortUnreachable) {
		return icmpError{}, false
	}
	if a.Is4() {
		return icmpError{Type: 3, Code: 3, From: a}, true
	}
	return icmpError{Type: 1, Code: 4, From: a}, true
}

func (w *plain) poll(until time.Time, each func(event)) error {
	var late <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	select {
	case e := <-w.events:
		each(e)
	case <-w.wakes:
	case <-late:
	}
	return nil
}

func (w *plain) wake() {
	select {
	case w.wakes <- struct{}{}:
	default: // one is there
	}
}

func (w *plain) drop(c sock) {
	if conn, _ := w.take(c); conn != nil {
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // no TIME_WAIT for a connection without a word
		}
		conn.Close()
	}
}

func (w *plain) take(c sock) (net.Conn, error) {
	w.mu.Lock()
	t := w.tries[c]
	delete(w.tries, c)
	w.mu.Unlock()
	conn := t.conn
	t.cancel()
	if conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (w *plain) close() error {
	w.cancel()
	w.group.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tries {
		t.cancel()
		if t.conn != nil {
			t.conn.Close()
		}
	}
	return nil
}

// controlUDP has nothing to set before a socket is used.
func controlUDP(string, string, syscall.RawConn) error { return nil }

// hearErrors makes the socket tell ICMP errors.
func (c *datagrams) hearErrors() error { return hearErrors(c.UDPConn) }

// icmpError is the ICMP error that an error of the socket stands for.
func (c *datagrams) icmpError(err error) (icmpError, bool) {
	return refusedDatagram(c.d.target.Addr, err)
}

// connectFailed tells why a connect failed, as far as its error does.
func connectFailed(target Target, err error, source uint16) event {
	switch {
	case errors.Is(err, errRefused):
		return event{sign: Reset}
	case errors.Is(err, errHostUnreachable), errors.Is(err, errNetUnreachable):
		return event{sign: ICMP, icmp: unreachable(target.Addr)}
	}
	return event{sign: LocalFail, err: sourceError(source, err)}
}

// unreachable is the ICMP error that a host unreachable stands for, from nobody
// known.
func unreachable(a netip.Addr) icmpError {
	if a.Is4() {
		return icmpError{Type: 3, Code: 1}
	}
	return icmpError{Type: 1, Code: 3}
}
