package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/testutil"
)

// fake is a Prober of a made-up protocol: it sends its name and understands a peer
// that sends it back with "!", after a greeting where there is one.
type fake struct {
	name  string
	ports []Port
	greet string // what its servers begin with
	gauge *gauge // nil: not counted
}

// gauge counts who asks at once.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) add(n int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func (f fake) Protocol() string { return f.name }
func (f fake) Ports() []Port    { return f.ports }

func (f fake) Ask(ctx context.Context, d Dialer, t Target) (*Answer, error) {
	f.gauge.add(1)
	defer f.gauge.add(-1)
	var c net.Conn
	var err error
	if t.Proto == UDP {
		c, err = d.UDP(ctx)
	} else {
		c, err = d.TCP(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(d.Wait()))
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(c, f.name); err != nil {
		return nil, err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	for err == nil && f.greet != "" && string(b[:n]) == f.greet {
		n, err = c.Read(b)
	}
	got := string(b[:n])
	switch {
	case err != nil && n == 0:
		return nil, err
	case got == f.name+"!" || got == f.greet+f.name+"!":
		return &Answer{Protocol: f.name, Summary: "understood"}, nil
	}
	return &Answer{Protocol: f.name, Raw: b[:n]}, fmt.Errorf("%w: %q", ErrProtocol, got)
}

// serveTCP answers each connection: it says greet, and understands one protocol,
// or says "what?".
func serveTCP(t *testing.T, greet, protocol string) uint16 {
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
			_, _ = io.WriteString(c, greet)
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				if n, _ := c.Read(b); n > 0 && protocol != "" {
					_, _ = io.WriteString(c, reply(string(b[:n]), protocol))
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func reply(question, protocol string) string {
	if question == protocol {
		return protocol + "!"
	}
	return "what?"
}

// serveUDP is a port that answers one protocol, and nothing else.
func serveUDP(t *testing.T, protocol string) uint16 {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if string(b[:n]) == protocol {
				_, _ = c.WriteToUDPAddrPort([]byte(protocol+"!"), from)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// fakes are the probers of the tests: each is at home at a port that is not used.
func fakes() []Prober {
	return []Prober{
		fake{name: "http", ports: []Port{{TCP, 1, "http"}}},
		fake{name: "other", ports: []Port{{TCP, 2, "other"}, {UDP, 2, "other"}}},
		fake{name: "ssh", ports: []Port{{TCP, 3, "ssh"}}, greet: "SSH-2.0-x\r\n"},
		fake{name: "tls", ports: []Port{{TCP, 1, "https"}, {TCP, 4, "other"}}},
		fake{name: "udp", ports: []Port{{UDP, 5, "udp"}}},
	}
}

func TestKnown(t *testing.T) {
	for _, tc := range []struct {
		target Target
		want   string
	}{
		{Target{Proto: TCP, Port: 1}, "http tls"},
		{Target{Proto: TCP, Port: 1, Service: "https"}, "http tls"}, // TLS last, though it is meant by name
		{Target{Proto: TCP, Port: 1, Service: "ssh"}, "ssh http tls"},
		{Target{Proto: TCP, Port: 9, Service: "other"}, "other tls"},
		{Target{Proto: UDP, Port: 9, Service: "other"}, "other"},
		{Target{Proto: UDP, Port: 9, Service: "ssh"}, ""}, // no question of its own by UDP
		{Target{Proto: TCP, Port: 9}, ""},
		{Target{Proto: UDP, Port: 5}, "udp"},
	} {
		var got []string
		for _, p := range known(fakes(), tc.target) {
			got = append(got, p.Protocol())
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: %q, want %q", tc.target, got, tc.want)
		}
	}
}

// TestIdentify: who answers is found by name, by its greeting, or by asking all.
func TestIdentify(t *testing.T) {
	testutil.NoLeaks(t)
	for _, tc := range []struct {
		name            string
		greet, protocol string
		service         string
		plain           bool // no guessing
		want            string
	}{
		{name: "by its service name", protocol: "other", service: "other", plain: true, want: "other: understood"},
		{name: "by asking", protocol: "other", want: "other: understood"},
		{name: "the web", protocol: "http", want: "http: understood"},
		{name: "by its greeting", greet: "SSH-2.0-x\r\n", protocol: "ssh", want: "ssh: understood"},
		{name: "another than its name says", greet: "SSH-2.0-x\r\n", protocol: "ssh", service: "http", want: "ssh: understood"},
		{name: "a greeting that nobody knows", greet: "hello\r\n", protocol: "other", want: ": hello"},
		{name: "nobody's", protocol: "", want: "-"},
		{name: "not asked", protocol: "other", plain: true, want: "-"},
		{name: "not what its name says", protocol: "ssh", service: "http", plain: true, want: ": what?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target := Target{Addr: loopback4(), Proto: TCP, Port: serveTCP(t, tc.greet, tc.protocol), Service: tc.service}
			r := run(t, &Runner{Probers: fakes(), Guess: !tc.plain}, target)[target]
			if r.Verdict != Listening || r.Evidence.Sign != Accepted {
				t.Errorf("%v by %+v", r.Verdict, r.Evidence)
			}
			if got := summary(r); got != tc.want {
				t.Errorf("answer %q, want %q", got, tc.want)
			}
		})
	}
}

func summary(r Result) string {
	if r.Answer == nil {
		return "-"
	}
	return r.Answer.Protocol + ": " + r.Answer.Summary
}

// TestIdentifyUDP: by UDP the answer is the verdict.
func TestIdentifyUDP(t *testing.T) {
	testutil.NoLeaks(t)
	closed := Target{Addr: loopback4(), Proto: UDP, Port: 6, Service: "other"}
	named := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "udp"), Service: "udp"}
	guessed := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "other")}
	mute := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "nothing"), Service: "udp"}
	silent := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "other"), Service: "netbios-dgm"}
	got := run(t, &Runner{Probers: fakes(), Guess: true, Wait: 200 * time.Millisecond}, closed, named, guessed, mute, silent)
	for target, want := range map[Target]string{
		closed:  "NOT LISTENING ICMP -",
		named:   "LISTENING reply udp: understood",
		guessed: "LISTENING reply other: understood",
		mute:    "LISTENING or FILTERED silence -",
		silent:  "LISTENING or FILTERED silence -",
	} {
		r := got[target]
		sign := map[Sign]string{ICMP: "ICMP", Reply: "reply", Silence: "silence"}[r.Evidence.Sign]
		if got := fmt.Sprint(r.Verdict, " ", sign, " ", summary(r)); got != want || r.Evidence.Tries == 0 {
			t.Errorf("%+v: %q after %d tries, want %q", target, got, r.Evidence.Tries, want)
		}
	}
}

// TestDatagrams: the socket of a Prober hears any port of the target's address and
// no other address, and says who spoke.
func TestDatagrams(t *testing.T) {
	target := Target{Addr: loopback4(), Proto: UDP, Port: serveUDP(t, "udp")}
	d := newDialer(&question{result: Result{Target: target}, wait: time.Second}, 0)
	c, err := d.UDP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if to.Addr() != loopback4() {
		t.Fatalf("its address is %v: where the target answers to is wanted", to)
	}
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, s := range []*net.UDPConn{stranger, other} {
		if _, err := s.WriteToUDPAddrPort([]byte("from elsewhere"), to); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "from elsewhere" || c.Peer() != other.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Fatalf("%q from %v, %v", b[:n], c.Peer(), err)
	}
	if c.RemoteAddr().(*net.UDPAddr).AddrPort().Port() != target.Port {
		t.Errorf("towards %v", c.RemoteAddr())
	}
	if _, err := io.WriteString(c, "udp"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); err != nil || string(b[:n]) != "udp!" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	// A port that nobody holds is an error of Read, and of no other kind.
	if _, err := c.WriteTo([]byte("x"), 6); err != nil {
		t.Fatal(err)
	}
	var icmp icmpError
	if _, err := c.Read(b); !errors.As(err, &icmp) || icmp != (icmpError{3, 3, loopback4()}) {
		t.Fatalf("error %v", err)
	}
	if got, want := icmp.Error(), "refused by 127.0.0.1: ICMP type 3 code 3"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// neighbourly asks another port of the host first, and is not told of the target.
type neighbourly struct {
	fake
	beside uint16
	heard  chan string // what that port said, "" nothing
}

func (n neighbourly) Ask(ctx context.Context, d Dialer, t Target) (*Answer, error) {
	o := t
	o.Port = n.beside
	a, _ := fake{name: "beside"}.Ask(ctx, d.Beside(n.beside), o)
	if a == nil {
		a = &Answer{}
	}
	n.heard <- a.Summary
	return n.fake.Ask(ctx, d, t)
}

// TestBeside: what another port says or refuses is no evidence of the target's.
func TestBeside(t *testing.T) {
	answering, silent, closed := serveUDP(t, "beside"), serveUDP(t, "nobody"), closedUDP(t)
	for _, tt := range []struct {
		beside, port uint16
		heard, want  string
	}{
		{answering, silent, "understood", "LISTENING or FILTERED 1"},
		{answering, closed, "understood", "NOT LISTENING 1"},
		{closed, silent, "", "LISTENING or FILTERED 1"},
		{closed, serveUDP(t, "fake"), "", "LISTENING 1"},
	} {
		p := neighbourly{fake{name: "fake", ports: []Port{{UDP, tt.port, ""}}}, tt.beside, make(chan string, 1)}
		r := Runner{Probers: []Prober{p}, Wait: 100 * time.Millisecond, SourcePort: closedUDP(t)}
		var got string
		err := r.Run(t.Context(), slices.Values([]Target{{Addr: loopback4(), Proto: UDP, Port: tt.port}}), func(r Result) {
			got = fmt.Sprint(r.Verdict, " ", r.Evidence.Tries)
		})
		if heard := <-p.heard; err != nil || got != tt.want || heard != tt.heard {
			t.Errorf("%d beside %d: %q, want %q; heard %q, want %q: %v", tt.port, tt.beside, got, tt.want, heard, tt.heard, err)
		}
	}
}

// closedUDP is a port that nobody holds.
func closedUDP(t *testing.T) uint16 {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func TestGreets(t *testing.T) {
	for text, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2":         "ssh",
		"220 mail ESMTP":              "smtp ftp",
		"220 FTP ready":               "ftp smtp",
		"J\x00\x00\x00\x0a8.0.36\x00": "mysql",
		"INFO {\"server_id\"":         "nats",
		"hello":                       "",
		"":                            "",
		"\x00":                        "",
	} {
		if got := strings.Join(greets([]byte(text)), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := firstLine([]byte("\r\n one\r\ntwo")); got != "one" {
		t.Errorf("first line %q", got)
	}
	if slices.Contains([]bool{printer(9099), !printer(9100), !printer(9107), printer(9108)}, true) {
		t.Error("printers are at 9100 to 9107")
	}
}
