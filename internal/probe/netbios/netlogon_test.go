package netbios

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/netlogon"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// controller is a domain controller of the test's own, from RFC 1002 section
// 4.4 and MS-ADTS section 6.3. It answers to where a datagram's header says.
type controller struct {
	names []string // of its status; nil: its name service is silent
	// says returns the datagrams that answer one, given what it asks for.
	says func(called string, slot string, q []byte) [][]byte
	met  chan string // what the datagram service met
}

// extended is a domain controller's answer, see the tests of package netlogon.
const extended = "\x17\x00\x00\x00\x01\x00\x00\x00" + "0123456789abcdef" + "\x04corp\x04test\x00" + "\xc0\x18" + "\x03dc7\xc0\x18" + "\x04CORP\x00" + "\x03DC7\x00" + "\x00" + "\x06Berlin\x00" + "\x00"

// oldForm is one of a domain before Active Directory.
const oldForm = "\x13\x00" + "\\\x00\\\x00D\x00C\x007\x00\x00\x00" + "\x00\x00" + "C\x00O\x00R\x00P\x00\x00\x00" + "\x01\x00\x00\x00\xff\xff\xff\xff"

// asked finds in a datagram what its fields must be at: which name is called, and
// which mailslot is to be answered.
func asked(t *testing.T, q []byte) (called, slot string) {
	if len(q) < 14+68+92 {
		return "", ""
	}
	if size := int(binary.BigEndian.Uint16(q[10:])); size != len(q)-14 || q[1] != 2 || q[12] != 0 || q[13] != 0 {
		t.Errorf("head %x of %d bytes", q[:14], len(q))
	}
	for i := range 16 {
		called += string([]byte{(q[14+34+1+2*i]-'A')<<4 | (q[14+34+2+2*i] - 'A')})
	}
	smb := q[14+68:]
	data := smb[binary.LittleEndian.Uint16(smb[33+24:]):]
	if string(smb[:5]) != "\xffSMB\x25" || smb[32] != 17 || string(smb[33+34+2:33+34+2+23]) != `\MAILSLOT\NET\NETLOGON`+"\x00" ||
		int(binary.LittleEndian.Uint16(smb[33+22:])) != len(data) || int(binary.LittleEndian.Uint16(smb[33+34:])) != 23+len(data) {
		t.Errorf("SMB %q", smb)
	}
	const ours = "\x12\x00\x00\x00P\x00O\x00R\x00T\x00R\x00E\x00P\x00O\x00R\x00T\x00E\x00R\x00\x00\x00\x00\x00"
	if !strings.HasPrefix(string(data), ours) {
		t.Errorf("data %q", data)
	}
	slot, _, _ = strings.Cut(string(data)[min(len(ours), len(data)):], "\x00")
	return called, slot
}

// answerTo is a datagram with a write to a mailslot.
func answerTo(slot, data string) []byte {
	body := append(encode("DC7", ' ', 0), encode(computer, ' ', 0)...)
	body = append(body, mailslotWrite(slot, []byte(data))...)
	head := []byte{directUnique, onlyFragment, 9, 9, 127, 0, 0, 1, 0, 138, byte(len(body) >> 8), byte(len(body)), 0, 0}
	return append(head, body...)
}

// start returns a Dialer to the controller's datagram service.
func (c *controller) start(t *testing.T) probetest.Dialer {
	c.met = make(chan string, 10)
	status := probetest.ServeUDP(t, func(q []byte) [][]byte {
		if c.names == nil {
			return nil
		}
		return [][]byte{statusReply(q, "\x00\x15\x5d\x01\xc6\x1e", c.names...)}
	})
	at := probetest.ServeUDPTo(t, func(q []byte, from netip.AddrPort) ([][]byte, netip.AddrPort) {
		called, slot := asked(t, q)
		c.met <- called
		if len(q) > 0 { // a controller answers to where the datagram says that it is from
			from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(q[4:8])), binary.BigEndian.Uint16(q[8:]))
		}
		return c.says(called, slot, q), from
	})
	return probetest.Dialer{Addr: at, Timeout: 100 * time.Millisecond, Others: map[uint16]netip.AddrPort{137: status}}
}

func ask(t *testing.T, d probetest.Dialer, service string) (*probe.Answer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return Netlogon{}.Ask(ctx, d, probe.Target{Addr: d.Addr.Addr(), Proto: probe.UDP, Port: d.Addr.Port(), Service: service})
}

// TestNetlogon: who has the domain's name is asked by it, and understood among
// what else comes; who has none gets an empty datagram.
func TestNetlogon(t *testing.T) {
	domain := []string{nodeName("DC7", 0, 4), nodeName("CORP", 0x1b, 4), nodeName("CORP", 0, 0x84), nodeName("CORP", 0x1c, 0x84)}
	says := func(data string) func(string, string, []byte) [][]byte {
		return func(_, slot string, _ []byte) [][]byte { return [][]byte{answerTo(slot, data)} }
	}
	for _, tt := range []struct {
		name     string
		names    []string
		says     func(called, slot string, q []byte) [][]byte
		called   string
		summary  string // "" no answer
		stranger bool   // something came that was none
	}{
		{"extended", domain, says(extended), "CORP           \x1c", "dc7.corp.test of CORP, site Berlin", false},
		{"old", domain, says(oldForm), "CORP           \x1c", "DC7 of CORP", false},
		{"a primary one of old", domain[:2], says(oldForm), "CORP           \x1b", "DC7 of CORP", false},
		{"another's answer first", domain, func(_, slot string, _ []byte) [][]byte {
			return [][]byte{answerTo(`\MAILSLOT\NET\GETDC1`, oldForm), []byte("what?"), answerTo(strings.ToLower(slot), extended)}
		}, "CORP           \x1c", "dc7.corp.test of CORP, site Berlin", false},
		{"nobody of that name", domain, func(_, _ string, q []byte) [][]byte {
			return [][]byte{{datagramErr, 2, q[2] + 1, q[3], 0, 0, 0, 0, 0, 138, 0x84}, {datagramErr, 2, q[2], q[3], 0, 0, 0, 0, 0, 138, 0x82}}
		}, "CORP           \x1c", "datagram error: destination name not present (0x82)", false},
		{"silent", domain, func(string, string, []byte) [][]byte { return nil }, "CORP           \x1c", "", false},
		{"no netlogon in it", domain, says("what?"), "CORP           \x1c", "", true},
		{"no domain controller", domain[2:3], func(string, string, []byte) [][]byte { return nil }, "", "", false},
		{"no name service", nil, func(string, string, []byte) [][]byte { return nil }, "", "", false},
		{"no name service, and a stranger", nil, func(string, string, []byte) [][]byte { return [][]byte{[]byte("220 hello")} }, "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &controller{names: tt.names, says: tt.says}
			a, err := ask(t, c.start(t), datagramName)
			if got := <-c.met; got != tt.called {
				t.Errorf("called %q, want %q", got, tt.called)
			}
			summary := ""
			if err == nil {
				summary = a.Summary
			}
			if summary != tt.summary || errors.Is(err, probe.ErrProtocol) != tt.stranger {
				t.Errorf("%q, want %q: %v", summary, tt.summary, err)
			}
		})
	}
}

// unasked fails the test when a socket is asked for.
type unasked struct{ t *testing.T }

func (d unasked) TCP(context.Context) (net.Conn, error) { d.t.Error("TCP"); return nil, net.ErrClosed }
func (d unasked) UDP(context.Context) (probe.Datagrams, error) {
	d.t.Error("UDP")
	return nil, net.ErrClosed
}
func (d unasked) Beside(port uint16) probe.Dialer { d.t.Error("beside", port); return d }
func (d unasked) Wait() time.Duration             { return time.Second }

// TestNoGuess: where a service is guessed at, nothing is sent, to that port nor to
// the host's name service.
func TestNoGuess(t *testing.T) {
	a, err := Netlogon{}.Ask(t.Context(), unasked{t}, probe.Target{Proto: probe.UDP, Port: 514, Service: "syslog"})
	if err == nil || a != nil || errors.Is(err, probe.ErrProtocol) {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestQuestion: byte by byte as the specifications have it, and small.
func TestQuestion(t *testing.T) {
	q := question{0x0102, netip.MustParseAddrPort("192.0.2.9:4660"), name{"CORP", 0x1c, true}, `\MAILSLOT\NET\PR0102`}
	b := q.bytes()
	want := "\x11\x02\x01\x02\xc0\x00\x02\x09\x12\x34" + string([]byte{byte((len(b) - 14) >> 8), byte(len(b) - 14)}) + "\x00\x00" +
		" FAEPFCFEFCEFFAEPFCFEEFFCCACACAAA\x00" + " EDEPFCFACACACACACACACACACACACABM\x00" +
		"\xffSMB\x25" + strings.Repeat("\x00", 27) + "\x11"
	if d := cmp.Diff(want, string(b[:len(want)])); d != "" {
		t.Error(d)
	}
	if called, slot := asked(t, b); called != "CORP           \x1c" || slot != q.reply {
		t.Errorf("%q, %q", called, slot)
	}
	if len(b) > 256 {
		t.Errorf("%d bytes", len(b))
	}
	q.domain.group = false
	if q.bytes()[0] != directUnique {
		t.Error("a unique name is called as a group")
	}
	if n := newQuestion(q.self, q.domain); n.reply != fmt.Sprintf(`\MAILSLOT\NET\PR%04X`, n.id) {
		t.Errorf("mailslot %q of %x", n.reply, n.id)
	}
}

// TestDelivery: what is cut short, in pieces or to another mailslot is no answer.
func TestDelivery(t *testing.T) {
	q := question{reply: `\MAILSLOT\NET\PR0102`}
	whole := answerTo(q.reply, extended)
	if got, err := q.delivery(append(bytes.Clone(whole), "padding"...)); err != nil || string(got) != extended {
		t.Errorf("%q, %v", got, err)
	}
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], v)
		return b
	}
	smb := 14 + 68
	for name, b := range map[string][]byte{
		"another type":      change(0, 0x14),
		"more follows":      change(1, 3),
		"a later fragment":  change(12, 1),
		"too long":          change(10, 0xff),
		"no name":           change(14, 0xc0, 14),
		"another magic":     change(smb, 0xfe),
		"another command":   change(smb+4, 0x26),
		"other words":       change(smb+32, 16),
		"no set-up":         change(smb+33+26, 2),
		"a read":            change(smb+33+28, 2),
		"data in the head":  change(smb+33+24, 4, 0),
		"data beyond":       change(smb+33+22, 0xff),
		"another mailslot":  answerTo(q.reply+"A", extended),
		"our own question":  question{1, netip.MustParseAddrPort("192.0.2.9:1"), name{}, q.reply}.bytes(),
		"an error, no code": {datagramErr, 2, 0, 0, 0, 0, 0, 0, 0, 138},
	} {
		if got, err := q.delivery(b); err == nil {
			t.Errorf("%s: %q", name, got)
		}
		if got, err := q.refusal(b); err == nil {
			t.Errorf("%s: refused: %s", name, got)
		}
	}
	for n := range len(whole) {
		if got, err := q.delivery(whole[:n]); err == nil {
			t.Errorf("the first %d bytes: %q", n, got)
		}
	}
	if got, err := q.refusal([]byte{datagramErr, 2, 0, 0, 0, 0, 0, 0, 0, 138, 0x99}); err != nil || got != "unspecified (0x99)" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzDelivery: what is taken was there, and is a domain controller's answer only
// when it is one by itself.
func FuzzDelivery(f *testing.F) {
	q := question{reply: `\MAILSLOT\NET\PR0102`}
	f.Add(answerTo(q.reply, extended))
	f.Add(answerTo(q.reply, oldForm))
	f.Add([]byte{datagramErr, 2, 0, 0, 0, 0, 0, 0, 0, 138, 0x82})
	f.Fuzz(func(t *testing.T, b []byte) {
		said, err := q.delivery(b)
		if err == nil && !bytes.Contains(b, said) {
			t.Fatalf("%x holds no %x", b, said)
		}
		a, err := q.answer(b)
		if err != nil {
			return
		}
		if _, bad := netlogon.ParseMailslot(said); a.Get("error") == "" && bad != nil {
			t.Fatalf("%x gives %+v", b, a)
		}
	})
}
