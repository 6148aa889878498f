package control

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// conn is the server's end of one connection. Its deadlines give way to those
// of hurry, which ends everything once ctx is done.
type conn struct {
	net.Conn
	ctx     context.Context
	patient bool // a follower may stop reading for as long as it likes
	failed  bool // a write failed: nothing more can be said

	end time.Time // when ctx is done: until when writes may go on
}

// Write gives the client writeTimeout to take b, unless the server is patient
// or about to end.
func (c *conn) Write(b []byte) (int, error) {
	if !c.patient {
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	if c.ctx.Err() != nil {
		if c.end.IsZero() {
			c.end = time.Now().Add(drainTimeout)
		}
		c.SetWriteDeadline(c.end)
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.failed = true
	}
	return n, err
}

// readWithin limits the next read. Where ctx is done at the same time, hurry
// may come before or after: either way the read ends.
func (c *conn) readWithin(d time.Duration) {
	c.SetReadDeadline(time.Now().Add(d))
	if c.ctx.Err() != nil {
		c.SetReadDeadline(time.Now())
	}
}

func (c *conn) reply(frame []byte) error {
	_, err := c.Write(frame)
	return err
}

// finish ends an answer: with end, or with what went wrong, after which the
// connection can still be used.
func (c *conn) finish(err error) error {
	if c.failed {
		return net.ErrClosed
	}
	if err != nil {
		return c.reply(errorFrame(code(err), err))
	}
	return c.reply(appendFrame(nil, frameEnd))
}

// watch returns a channel that is closed when the client has gone, or has said
// something, which in follow it must not.
func (c *conn) watch() <-chan struct{} {
	gone := make(chan struct{})
	c.SetDeadline(time.Time{})
	if c.ctx.Err() != nil {
		c.SetReadDeadline(time.Now())
	}
	go func() {
		defer close(gone)
		var b [1]byte
		_, err := c.Conn.Read(b[:])
		if err != nil && !errors.Is(err, io.EOF) && c.ctx.Err() != nil {
			return // hurried: stream ends by ctx
		}
		c.Conn.Close() // a write that is stuck ends with it
	}()
	return gone
}

// code is what tells the client's program what the text tells its user.
func code(err error) byte {
	switch {
	case errors.Is(err, errBusy):
		return codeBusy
	case errors.Is(err, errVersion):
		return codeVersion
	case errors.Is(err, ErrPermission):
		return codePermission
	case errors.Is(err, ErrUnsupported):
		return codeUnsupported
	}
	return codeOther
}

// errorFrame carries err's text, cut to what fits a line.
func errorFrame(code byte, err error) []byte {
	text := err.Error()
	if len(text) > 1024 {
		text = text[:1024]
	}
	return appendFrame(nil, frameError, append([]byte{code}, text...)...)
}
