package probe

import (
	"bytes"
	"context"
	"net"
	"slices"
	"time"
)

// lineQuiet is how long a service may pause in the midst of its greeting: those
// that stutter on purpose say a byte a second.
const lineQuiet = 2 * time.Second

// overhear reads what a service says unasked, until that is a whole line, or no
// text. It has patience in all, and calls speaks when a line has only begun. An
// error says that the service closed, or that its time is over; what it said before
// is returned all the same.
func overhear(ctx context.Context, c net.Conn, patience time.Duration, speaks func()) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	end := time.Now().Add(patience)
	_ = c.SetReadDeadline(end)
	b := make([]byte, 0, maxRaw)
	for len(b) < cap(b) && ctx.Err() == nil {
		n, err := c.Read(b[len(b):cap(b)])
		first := len(b) == 0
		b = b[:len(b)+n]
		if complete(b) {
			return b, c.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return b, err
		}
		if first {
			speaks()
		}
		if quiet := time.Now().Add(lineQuiet); quiet.Before(end) {
			_ = c.SetReadDeadline(quiet)
		}
	}
	return b, ctx.Err()
}

// complete says whether the bytes are a greeting that tells all it will: a line,
// or what is no text.
func complete(b []byte) bool {
	t := bytes.TrimLeft(b, "\r\n")
	return bytes.IndexByte(t, '\n') >= 0 || len(b) > 0 && !text(b)
}

// replay is a connection of which something was heard already: it is read again.
type replay struct {
	net.Conn
	heard []byte
}

// Read implements net.Conn.
func (c *replay) Read(b []byte) (int, error) {
	if len(c.heard) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.heard)
	c.heard = c.heard[n:]
	return n, nil
}

// handed is a dialer whose first connection is there: a service that has greeted
// on it need not be made to greet again, which it may do late, or no more.
type handed struct {
	*dialer
	conn net.Conn // nil: given away
}

// TCP implements Dialer. Probers open their first connection before others.
func (d *handed) TCP(ctx context.Context) (net.Conn, error) {
	if c := d.conn; c != nil {
		d.conn = nil
		return c, nil
	}
	return d.dialer.TCP(ctx)
}

// pay has nothing to pay for a connection that is there.
func (d *handed) pay(ctx context.Context) error {
	if d.conn != nil {
		return ctx.Err()
	}
	return d.dialer.pay(ctx)
}

// greets are the protocols that may begin with these bytes, the likeliest first.
func greets(b []byte) []string {
	for _, g := range []struct {
		prefix    string
		contains  string
		protocols []string
	}{
		{"SSH-", "", []string{"ssh"}},
		{"220", "FTP", []string{"ftp", "smtp"}},
		{"220", "", []string{"smtp", "ftp"}},
		{"+OK", "", []string{"pop3"}},
		{"* OK", "", []string{"imap"}},
		{"* PREAUTH", "", []string{"imap"}},
		{"RFB ", "", []string{"vnc"}},
		{"@RSYNCD:", "", []string{"rsync"}},
		{"INFO {", "", []string{"nats"}},
		{"HTTP/", "", []string{"http"}},
		{"\x15\x03", "", []string{"tls"}},
	} {
		if bytes.HasPrefix(b, []byte(g.prefix)) && bytes.Contains(b, []byte(g.contains)) {
			return g.protocols
		}
	}
	// MySQL: length 3, sequence number 0, then protocol 10 or an error packet.
	if len(b) > 5 && b[3] == 0 && (b[4] == 10 || b[4] == 0xff) && int(b[0])|int(b[1])<<8 >= 5 {
		return []string{"mysql"}
	}
	return nil
}

// speaksFirst: such a service says what it is before it is asked (see greets).
func speaksFirst(p Prober) bool {
	return slices.Contains([]string{"ssh", "ftp", "smtp", "pop3", "imap", "vnc", "rsync", "nats", "mysql"}, p.Protocol())
}

// text says whether the bytes are words of a service that speaks first, not an
// answer in a protocol's own octets.
func text(b []byte) bool {
	for _, c := range b[:min(len(b), 16)] {
		if c >= 0x7f || c < ' ' && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// later says whether a service that greeted so asks to come back: it has too many
// clients (RFC 959 and RFC 5321, code 421).
func later(said []byte) bool { return bytes.HasPrefix(said, []byte("421")) }

// complaint are the protocols whose words answered a question that was another's,
// mostly HTTP's.
func complaint(b []byte) []string {
	switch {
	case bytes.HasPrefix(b, []byte("-ERR")) || bytes.HasPrefix(b, []byte("-DENIED")) || bytes.HasPrefix(b, []byte("-NOAUTH")):
		return []string{"redis"}
	case bytes.HasPrefix(b, []byte("ERROR\r\n")):
		return []string{"memcached"}
	case bytes.HasPrefix(b, []byte("SIP/2.0 ")):
		return []string{"sip"}
	case bytes.HasPrefix(b, []byte("AMQP")):
		return []string{"amqp"}
	case bytes.HasPrefix(b, []byte("HTTP/")) && bytes.Contains(b, []byte("MongoDB")):
		return []string{"mongodb"} // it has an answer for browsers
	}
	return greets(b)
}
