package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portreporter/portreporter/internal/activity"
)

// The facility of all messages: security and authorization (RFC 5424 section
// 6.2.1).
const facility = 10

// How long a connection or a message may take.
const syslogPatience = 5 * time.Second

// The longest message: what RFC 5424 section 6.1 says receivers should take
// by UDP, and what is common by TCP.
const (
	maxDatagram = 2048
	maxStream   = 8192
)

// syslog sends messages to a syslog daemon, over a connection that it opens
// when there is something to send.
type syslog struct {
	network string // "unixgram", "udp", "tcp", "tls"
	address string
	host    string // this host's name, in messages
	conn    net.Conn
	tls     *tls.Config // nil: this machine's authorities
}

// NewSyslog returns a sink for a syslog target, which is one of
//
//	local               the daemon of this machine (/dev/log)
//	udp://HOST[:514]    RFC 5426
//	tcp://HOST[:601]    RFC 6587, with octet counting
//	tls://HOST[:6514]   RFC 5425; the certificate must be one that this machine trusts
//
// Messages are those of RFC 5424, but for the local daemon, which wants the
// older form. host is this host's name. Nothing is connected yet.
func NewSyslog(target, host string) (Sink, error) {
	if target == "local" {
		return &syslog{network: "unixgram", address: "/dev/log", host: host}, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("syslog: %q: want local, udp://HOST, tcp://HOST or tls://HOST", target)
	}
	port, ok := map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("syslog: unknown way %q: want local, udp, tcp or tls", u.Scheme)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	return &syslog{network: u.Scheme, address: net.JoinHostPort(u.Hostname(), port), host: host}, nil
}

func (s *syslog) Send(ctx context.Context, a *Alert) error {
	var msg []byte
	switch s.network {
	case "unixgram":
		msg = s.legacy(a)
	case "udp":
		msg = cut(s.message(a), maxDatagram)
	default:
		msg = cut(s.message(a), maxStream)
		msg = append(strconv.AppendInt(nil, int64(len(msg)), 10), append([]byte{' '}, msg...)...)
	}
	ctx, cancel := context.WithTimeout(ctx, syslogPatience)
	defer cancel()
	again := s.conn != nil // a connection that was idle may be gone
	err := s.write(ctx, msg)
	if err != nil && again {
		err = s.write(ctx, msg)
	}
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	return nil
}

// write sends a message whole, or closes the connection.
func (s *syslog) write(ctx context.Context, msg []byte) (err error) {
	if s.conn == nil {
		if s.conn, err = s.dial(ctx); err != nil {
			s.conn = nil
			return err
		}
	}
	deadline, _ := ctx.Deadline()
	if err = s.conn.SetWriteDeadline(deadline); err == nil {
		_, err = s.conn.Write(msg)
	}
	if err != nil {
		s.conn.Close()
		s.conn = nil
	}
	return err
}

func (s *syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.network == "tls" {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, s.network, s.address)
}

func (s *syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// priority is the PRI of a message: facility and severity (RFC 5424 section 6.2.1).
func priority(s activity.Severity) int { return facility*8 + level(s) }

// level gives syslog's severity: 2 critical, 3 error, 4 warning, 5 notice, 6
// informational.
func level(s activity.Severity) int {
	switch s {
	case activity.SeverityCritical:
		return 2
	case activity.SeverityHigh:
		return 3
	case activity.SeverityMedium:
		return 4
	case activity.SeverityLow:
		return 5
	}
	return 6
}

// message makes one of RFC 5424. The number after "@" is the one that RFC 5612
// sets aside for examples: we have none of our own.
func (s *syslog) message(a *Alert) []byte {
	b := fmt.Appendf(nil, "<%d>1 %s %s portreporter %d interest [portreporter@32473", priority(a.Severity),
		a.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), header(s.host), os.Getpid())
	for _, f := range a.Fields {
		b = fmt.Appendf(b, ` %s="%s"`, f.Name, escape(f.Value))
	}
	b = append(b, "] \ufeff"...)
	return append(b, a.Text...)
}

// legacy makes a message as glibc's syslog(3) does (RFC 3164 section 4.1.2).
func (s *syslog) legacy(a *Alert) []byte {
	return cut(fmt.Appendf(nil, "<%d>%s portreporter[%d]: %s", priority(a.Severity), a.Time.Local().Format(time.Stamp), os.Getpid(), a.Text), maxDatagram)
}

// header gives a name as it may stand in a message's header.
func header(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	if name == "" {
		return "-"
	}
	return name[:min(len(name), 255)]
}

// escape writes a value as RFC 5424 section 6.3.3 wants it.
func escape(v string) string {
	return strings.NewReplacer(`"`, `\"`, `\`, `\\`, `]`, `\]`).Replace(v)
}

// cut shortens a message without cutting a character in two.
func cut(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	for most > 0 && !utf8.RuneStart(b[most]) {
		most--
	}
	return b[:most]
}

// errNoJournald is why there is no journald to send to.
var errNoJournald = errors.New("journald: it does not run on this machine")
