package rpc

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestStrangers(t *testing.T) {
	probetest.Strangers(t, Prober{}, probe.TCP)
}

func TestStrangersUDP(t *testing.T) {
	probetest.Strangers(t, Prober{}, probe.UDP)
}

// mapper is an endpoint mapper of the test's own, written from C706 and MS-RPCE:
// it gives one part a call, in fragments of so many bytes.
func mapper(parts [][]byte, fragment int) func(net.Conn) {
	return func(c net.Conn) {
		for call := -1; ; call++ {
			b := make([]byte, headerSize)
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			h, err := parseHeader(b)
			if err != nil {
				return
			}
			body := make([]byte, h.size-headerSize)
			if _, err := io.ReadFull(c, body); err != nil {
				return
			}
			id := binary.LittleEndian.Uint32(b[12:])
			switch {
			case h.kind == pduBind:
				_, _ = c.Write(pdu(pduBindAck, id, make([]byte, 44)))
			case call == len(parts):
				_, _ = c.Write(pdu(pduFault, id, []byte{0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0}))
			default:
				for stub := parts[call]; len(stub) > 0; {
					n := min(fragment, len(stub))
					p := pdu(pduResponse, id, append(make([]byte, 8), stub[:n]...))
					if stub = stub[n:]; len(stub) > 0 {
						p[3] = 0
					}
					_, _ = c.Write(p)
				}
			}
		}
	}
}

func TestParts(t *testing.T) {
	all := entries()
	for _, tt := range []struct {
		name     string
		parts    [][]byte
		fragment int
		summary  string
	}{
		{"one part", [][]byte{lookupReply(0, 0, all...)}, 5000, "5 endpoints"},
		{"in fragments, of odd sizes", [][]byte{lookupReply(0, 0, all...)}, 33, "5 endpoints"},
		{"parts until there are no more", [][]byte{lookupReply(1, 0, all[:2]...), lookupReply(2, 0, all[2:4]...), lookupReply(3, 0, all[4:]...), lookupReply(3, notRegistered)}, 5000, "5 endpoints"},
		{"nothing registered", [][]byte{lookupReply(0, notRegistered)}, 5000, "0 endpoints"},
		{"refused", nil, 5000, "0 endpoints, incomplete: fault 0x00000005"},
		{"refused half way", [][]byte{lookupReply(1, 0, all...)}, 5000, "5 endpoints, incomplete: fault 0x00000005"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := probetest.Ask(t, Prober{}, probe.TCP, probetest.Serve(t, mapper(tt.parts, tt.fragment)))
			if a.Summary != tt.summary {
				t.Errorf("%s", a.Summary)
			}
		})
	}
}

// TestWithoutEnd: a mapper that goes on for ever is left.
func TestWithoutEnd(t *testing.T) {
	parts := make([][]byte, maxCalls+1)
	for i := range parts {
		parts[i] = lookupReply(1, 0, entries()[0])
	}
	a := probetest.Ask(t, Prober{}, probe.TCP, probetest.Serve(t, mapper(parts, 5000)))
	if a.Get("endpoints") != "512" || !strings.Contains(a.Get("incomplete"), "more than") {
		t.Errorf("%s", a.Summary)
	}
}

// udpMapper answers over the connectionless protocol (no server of Debian's
// does): the header that was asked with, a response's type, and the next part.
func udpMapper(parts ...[]byte) func([]byte) [][]byte {
	return func(q []byte) [][]byte {
		n := int(binary.LittleEndian.Uint32(q[64:]))
		r := append([]byte{}, q[:datagramSize]...)
		if n >= len(parts) {
			r[1] = pduReject
			return [][]byte{binary.LittleEndian.AppendUint32(r, 0x1c010003)}
		}
		r[1] = pduResponse
		binary.LittleEndian.PutUint16(r[74:], uint16(len(parts[n])))
		stray := append([]byte{}, r...)
		stray[40] ^= 1 // another's activity
		return [][]byte{stray, append(r, parts[n]...)}
	}
}

func TestUDP(t *testing.T) {
	all := entries()
	for _, tt := range []struct {
		name    string
		parts   [][]byte
		summary string
	}{
		{"two parts", [][]byte{lookupReply(1, 0, all[:3]...), lookupReply(0, 0, all[3:]...)}, "5 endpoints"},
		{"refused", nil, "0 endpoints, incomplete: fault 0x1c010003"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := probetest.Ask(t, Prober{}, probe.UDP, probetest.ServeUDP(t, udpMapper(tt.parts...)))
			if a.Summary != tt.summary {
				t.Errorf("%s", a.Summary)
			}
		})
	}
}

// TestUDPGoesSilent: what came before stands; silence from the start is silence.
func TestUDPGoesSilent(t *testing.T) {
	half := udpMapper(lookupReply(1, 0, entries()...))
	for _, answered := range []uint32{0, 1} {
		addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
			if binary.LittleEndian.Uint32(q[64:]) >= answered {
				return nil
			}
			return half(q)
		})
		d := probetest.Dialer{Addr: addr, Timeout: 50 * time.Millisecond}
		a, err := Prober{}.Ask(t.Context(), d, probe.Target{Addr: addr.Addr(), Proto: probe.UDP, Port: 135})
		if answered == 0 {
			if err == nil || errors.Is(err, probe.ErrProtocol) {
				t.Errorf("silence: %+v, %v", a, err)
			}
		} else if err != nil || !strings.HasPrefix(a.Summary, "5 endpoints, incomplete: ") {
			t.Errorf("half: %+v, %v", a, err)
		}
	}
}
