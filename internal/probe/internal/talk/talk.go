// Package talk holds a prober's conversation: it opens the connection, bounds
// what is read, keeps the first bytes for the answer, and ends at once when the
// context does.
package talk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

const (
	maxSeen = 4 << 10  // kept for Answer.Raw
	maxRead = 64 << 10 // of one message
	sends   = 2        // of a question by UDP: one may be lost
)

// Conn is a TCP connection, or what runs inside one, of one conversation.
type Conn struct {
	net.Conn

	r    *bufio.Reader
	seen *head
	stop func() bool
}

// Open connects to d's port. The connection ends with ctx; where ctx has no
// deadline, it has an answer's time.
func Open(ctx context.Context, d probe.Dialer) (*Conn, error) {
	c, err := d.TCP(ctx)
	if err != nil {
		return nil, err
	}
	return Over(ctx, c, d.Wait()), nil
}

// Over talks over a connection that is there, such as a TLS one, and owns it.
func Over(ctx context.Context, c net.Conn, wait time.Duration) *Conn {
	seen := &head{}
	t := &Conn{Conn: c, r: bufio.NewReaderSize(io.TeeReader(c, seen), 4<<10), seen: seen}
	t.stop = limit(ctx, c, wait)
	return t
}

// limit ends what waits on c when ctx is done, until the stop that it returns.
func limit(ctx context.Context, c net.Conn, wait time.Duration) (stop func() bool) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(wait)
	}
	// A connection that refuses a deadline is closed; the read that follows says so.
	_ = c.SetDeadline(end)
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// Read reads what the peer sends, as all methods that read do: through one
// buffer, and kept for Seen.
func (c *Conn) Read(b []byte) (int, error) { return c.r.Read(b) }

// Seen is the first 4 KiB that the peer sent.
func (c *Conn) Seen() []byte {
	c.seen.mu.Lock()
	defer c.seen.mu.Unlock()
	return c.seen.b[:len(c.seen.b):len(c.seen.b)]
}

// Send writes a message whole.
func (c *Conn) Send(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Full reads exactly n bytes, which are the caller's; more than 64 KiB is
// another protocol's idea of a length, and refused.
func (c *Conn) Full(n int) ([]byte, error) {
	if n < 0 || n > maxRead {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return b, nil
}

// Framed reads a message that tells its own length: a head of this size, and as
// many bytes as length finds in it.
func (c *Conn) Framed(size int, length func(head []byte) (int, error)) (head, body []byte, err error) {
	if head, err = c.Full(size); err != nil {
		return nil, nil, err
	}
	n, err := length(head)
	if err != nil {
		return nil, nil, err
	}
	body, err = c.Full(n)
	return head, body, err
}

// Line reads a line of at most 4 KiB, and returns it without its end. What does
// not begin as text is none, and is not waited for.
func (c *Conn) Line() (string, error) {
	if b, err := c.r.Peek(1); err == nil && (b[0] < ' ' && b[0] != '\t' && b[0] != '\r' && b[0] != '\n' || b[0] > '~') {
		return "", fmt.Errorf("read a line: byte 0x%02x is no text", b[0])
	}
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("read a line: %w", err)
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return string(b), nil
}

// Fail is how a prober ends on err: another protocol when the peer has said
// something, silence when it has not.
func (c *Conn) Fail(protocol string, err error) (*probe.Answer, error) {
	return Fail(protocol, c.Seen(), err)
}

// Fail is how a prober ends on err after the peer has said seen.
func Fail(protocol string, seen []byte, err error) (*probe.Answer, error) {
	if len(seen) == 0 {
		return nil, fmt.Errorf("%s: %w", protocol, err)
	}
	if !errors.Is(err, probe.ErrProtocol) {
		err = fmt.Errorf("%w: %w", probe.ErrProtocol, err)
	}
	return &probe.Answer{Protocol: protocol, Raw: Head(seen)}, fmt.Errorf("%s: %w", protocol, err)
}

// Head is the part of b that an answer keeps.
func Head(b []byte) []byte { return b[:min(len(b), maxSeen)] }

// Ask sends a question by UDP, once more when an answer's time has passed, and
// returns the first datagram that is says yes to: its answer, and not somebody's
// late one. When only others came, it returns the first of those and an error
// that wraps ErrProtocol.
func Ask(ctx context.Context, d probe.Dialer, question []byte, is func([]byte) bool) ([]byte, error) {
	c, err := d.UDP(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return AskOn(ctx, c, d.Wait(), question, is)
}

// AskOn is Ask on a socket that is there, and stays open. What is to be asked
// also is sent before the question, each time.
func AskOn(ctx context.Context, c net.Conn, wait time.Duration, question []byte, is func([]byte) bool, also ...[]byte) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var other []byte
	var err error
	for range sends {
		if err = write(c, append(also[:len(also):len(also)], question)); err != nil {
			err = fmt.Errorf("send: %w", err)
			break
		}
		var b []byte
		b, err = await(ctx, c, wait, is, &other)
		if b != nil {
			return b, nil
		}
		if ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if other != nil {
		return other, fmt.Errorf("%w: no datagram is an answer", probe.ErrProtocol)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, err
}

func write(c net.Conn, datagrams [][]byte) error {
	for _, b := range datagrams {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// await reads datagrams until one is an answer, for as long as one may take.
func await(ctx context.Context, c net.Conn, wait time.Duration, is func([]byte) bool, other *[]byte) ([]byte, error) {
	end := time.Now().Add(wait)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	_ = c.SetReadDeadline(end)
	if err := ctx.Err(); err != nil { // it may have ended before the deadline was set
		return nil, err
	}
	buf := make([]byte, maxRead)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if b := buf[:n:n]; is(b) {
			return b, nil
		}
		if *other == nil {
			*other = append([]byte{}, Head(buf[:n])...)
		}
	}
}

// head keeps the first bytes of what passes. It may be asked while a library
// reads on behind it.
type head struct {
	mu sync.Mutex
	b  []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, b[:min(len(b), maxSeen-len(h.b))]...)
	return len(b), nil
}
