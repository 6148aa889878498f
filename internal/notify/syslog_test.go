package notify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// message is RFC 5424's grammar, as far as ours go.
func message() *regexp.Regexp {
	return regexp.MustCompile(`^<83>1 2026-11-24T20:41:50\.191786Z web1 portreporter \d+ interest \[portreporter@32473 rule="r" reason="a \\"quote\\", a \\\\ and a \\\]"\] \x{feff}alert \d+$`)
}

func send(t *testing.T, s Sink, n int) {
	t.Helper()
	if err := s.Send(context.Background(), alert(n)); err != nil {
		t.Error(err)
	}
}

func TestSyslogUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := NewSyslog("udp://"+c.LocalAddr().String(), "web 1\n")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	send(t, s, 1)
	buf := make([]byte, 4096)
	n, _, err := c.ReadFrom(buf)
	if err != nil || !message().Match(buf[:n]) {
		t.Errorf("%v: %q", err, buf[:n])
	}
	long := alert(2)
	long.Text = strings.Repeat("ä", maxDatagram)
	if err := s.Send(context.Background(), long); err != nil {
		t.Fatal(err)
	}
	if n, _, _ = c.ReadFrom(buf); n > maxDatagram || n < maxDatagram-4 || !utf8.Valid(buf[:n]) {
		t.Errorf("a long message has %d bytes", n)
	}
}

// readFrame reads one message with octet counting.
func readFrame(r *bufio.Reader) (string, error) {
	count, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// TestSyslogTCP: the connection is made when it is needed, and made anew when
// the daemon was restarted.
func TestSyslogTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := NewSyslog("tcp://"+l.Addr().String(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for round := range 2 {
		send(t, s, 2*round)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, 2*round+1)
		r := bufio.NewReader(c)
		for i := range 2 {
			if m, err := readFrame(r); err != nil || !message().MatchString(m) || !strings.HasSuffix(m, fmt.Sprint("alert ", 2*round+i)) {
				t.Errorf("round %d: %v: %q", round, err, m)
			}
		}
		c.(*net.TCPConn).SetLinger(0) // the daemon dies
		c.Close()
		for s.(*syslog).conn != nil && round == 0 { // until this end has noticed
			if _, err := s.(*syslog).conn.Read(make([]byte, 1)); err != nil {
				break
			}
		}
	}
	l.Close()
	gone, _ := NewSyslog("tcp://"+l.Addr().String(), "web1")
	if err := gone.Send(context.Background(), alert(1)); err == nil || !strings.HasPrefix(err.Error(), "syslog: ") {
		t.Errorf("no daemon: %v", err)
	}
}

func TestSyslogTLS(t *testing.T) {
	cert, pool := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if m, err := readFrame(bufio.NewReader(c)); err == nil {
				got <- m
			}
			c.Close()
		}
	}()
	s, err := NewSyslog("tls://"+l.Addr().String(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), alert(1)); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
	s.(*syslog).tls = &tls.Config{RootCAs: pool}
	send(t, s, 2)
	if m := <-got; !message().MatchString(m) {
		t.Errorf("%q", m)
	}
	s.Close()
}

// certificate makes one for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestSyslogLocal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	testutil.Skip(t, testutil.Need{What: "Unix datagram sockets", Linux: true}, err)
	defer c.Close()
	s, err := NewSyslog("local", "web1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.(*syslog).address = path
	send(t, s, 1)
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	want := regexp.MustCompile(fmt.Sprintf(`^<83>Nov 2[345] \d\d:\d\d:50 portreporter\[%d\]: alert 1$`, os.Getpid()))
	if err != nil || !want.Match(buf[:n]) {
		t.Errorf("%v: %q", err, buf[:n])
	}
}

func TestSyslogTargets(t *testing.T) {
	for _, bad := range []string{"", "udp", "udp://", "http://x", "udp://u@x", "udp://x/path", "udp://x?y", "locale", "tcp://[::1"} {
		if _, err := NewSyslog(bad, "h"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for target, want := range map[string]string{"udp://a": "a:514", "tcp://a": "a:601", "tls://[::1]": "[::1]:6514", "tls://a:1": "a:1"} {
		s, err := NewSyslog(target, "h")
		if err != nil || s.(*syslog).address != want {
			t.Errorf("%s: %+v, %v", target, s, err)
		}
	}
}

func TestSyslogPriority(t *testing.T) {
	for s, want := range map[activity.Severity]int{activity.SeverityCritical: 82, activity.SeverityHigh: 83, activity.SeverityMedium: 84, activity.SeverityLow: 85, activity.SeverityInfo: 86} {
		if got := priority(s); got != want {
			t.Errorf("%v: %d, want %d", s, got, want)
		}
	}
	if got := header("\x00 \n"); got != "-" {
		t.Errorf("no name: %q", got)
	}
}
