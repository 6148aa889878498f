package dns

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// refuse is a server that refuses names of the Internet, and tells its version.
func refuse(q []byte) []byte {
	if q[questionEnd(q)-1] == classIN {
		return reply(q, 5, 0)
	}
	return reply(q, 0x0400, 1, rr("version.bind", typeTXT, classCH, 0, "\x05own 1"))
}

func TestRefused(t *testing.T) {
	udp := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{[]byte("noise"), refuse(q)} })
	tcp := probetest.Serve(t, func(c net.Conn) {
		for {
			var n [2]byte
			if _, err := io.ReadFull(c, n[:]); err != nil {
				return
			}
			q := make([]byte, binary.BigEndian.Uint16(n[:]))
			_, _ = io.ReadFull(c, q)
			r := refuse(q)
			_, _ = c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(r))))
			_, _ = c.Write(r)
		}
	})
	for _, a := range []*probe.Answer{probetest.Ask(t, Prober{}, probe.UDP, udp), probetest.Ask(t, Prober{}, probe.TCP, tcp)} {
		if a.Summary != "REFUSED, own 1, own 1" || a.Get("rcode") != "REFUSED" || a.Get("version.bind") != "own 1" {
			t.Errorf("%+v", a)
		}
	}
}

// TestOneAnswer: a server that answers only names of the Internet is asked for
// its version once, and not for its identity.
func TestOneAnswer(t *testing.T) {
	asked := make(chan string, 10)
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
		m, _ := parse(reply(q, 0, 0), q)
		asked <- m.question
		if q[questionEnd(q)-1] == classIN {
			return [][]byte{reply(q, 0, 0)}
		}
		return nil
	})
	d := probetest.Dialer{Addr: addr, Timeout: 20 * time.Millisecond}
	a, err := Prober{Name: "a.example"}.Ask(t.Context(), d, probe.Target{Addr: addr.Addr(), Proto: probe.UDP, Port: 53})
	if err != nil || a.Summary != "NOERROR" || a.Get("question") != "a.example" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, want := range []string{"a.example", "version.bind", "version.bind"} {
		if got := <-asked; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked for %s too", <-asked)
	}
}

// TestRootIsAMistake: a server that takes the root for one is asked again.
func TestRootIsAMistake(t *testing.T) {
	addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
		if q[headerSize] == 0 {
			return [][]byte{reply(q, 1, 0)}
		}
		return [][]byte{reply(q, 3, 0)}
	})
	a := probetest.Ask(t, Prober{}, probe.UDP, addr)
	if a.Get("rcode") != "NXDOMAIN" || a.Get("question") != "localhost" {
		t.Errorf("%+v", a)
	}
}
