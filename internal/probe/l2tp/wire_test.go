package l2tp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func accepted(tunnel uint16) []byte {
	private := avp(avpHost, []byte("other")...)
	private[3] = 9 // another vendor's attribute
	secret := avp(avpVendor, 1, 2, 3)
	secret[0] |= hidden >> 8
	return control(tunnel, 0, 1, avp(avpMessage, 0, startReply), avp(avpProtocol, 1, 0), avp(avpFirmware, 6, 0x90),
		avp(avpHost, []byte("lns7")...), avp(avpVendor, []byte("example\x00")...), private, secret, avp(avpTunnel, 0x12, 0x34))
}

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		b    []byte
		want reply
		bad  bool
	}{
		"accepted":         {b: accepted(7), want: reply{startReply, 0x1234, "lns7", "example", "1.0", "0x0690", ""}},
		"refused":          {b: control(7, 0, 1, avp(avpMessage, 0, stopTunnel), avp(avpResult, 0, 4, 0, 0, 'n', 'o')), want: reply{kind: stopTunnel, result: "4 not authorized: no"}},
		"refused, bare":    {b: control(7, 0, 1, avp(avpMessage, 0, stopTunnel), avp(avpResult, 0, 99)), want: reply{kind: stopTunnel, result: "99"}},
		"acknowledgement":  {b: control(7, 0, 1), bad: true},
		"another's tunnel": {b: accepted(8), bad: true},
		"our own":          {b: startRequest(7), bad: true},
		"no message first": {b: control(7, 0, 1, avp(avpHost, 'x'), avp(avpMessage, 0, startReply)), bad: true},
		"an AVP of 3 byte": {b: control(7, 0, 1, avp(avpMessage, 0, startReply), []byte{0x80, 3, 0}), bad: true},
		"empty":            {bad: true},
	} {
		got, err := parse(tt.b, 7)
		if (err != nil) != tt.bad || got != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	whole := accepted(7)
	for n := range whole {
		if _, err := parse(whole[:n], 7); err == nil {
			t.Errorf("the first %d bytes are an answer", n)
		}
	}
}

func TestRequests(t *testing.T) {
	if got := fmt.Sprintf("%x", startRequest(0x0701)); got != "c8020052"+"0000000000000000"+"8008000000000001"+"8008000000020100"+"800a0000000300000003"+"800a0000000400000000"+
		"801200000007"+"706f72747265706f72746572"+"8008000000090701"+"80080000000a0004" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%x", stop(0x1234, 7)); got != "c8020024"+"1234000000010001"+"8008000000000004"+"8008000000090007"+"8008000000010001" {
		t.Error(got)
	}
}

// TestStops: the peer's tunnel is stopped at once; one that was refused is not.
func TestStops(t *testing.T) {
	for _, accepts := range []bool{true, false} {
		heard := make(chan []byte, 10)
		addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
			heard <- q
			id := binary.BigEndian.Uint16(q[len(q)-10:])
			if len(q) != len(startRequest(0)) {
				return nil
			}
			if accepts {
				return [][]byte{control(id, 0, 1), accepted(id)}
			}
			return [][]byte{control(id, 0, 1, avp(avpMessage, 0, stopTunnel), avp(avpResult, 0, 4))}
		})
		a := probetest.Ask(t, Prober{}, probe.UDP, addr)
		want := []probe.Field{{Name: "answer", Values: []string{"StopCCN"}}, {Name: "result", Values: []string{"4 not authorized"}}}
		summary := "StopCCN, 4 not authorized"
		if accepts {
			want = []probe.Field{{Name: "answer", Values: []string{"SCCRP"}}, {Name: "hostName", Values: []string{"lns7"}}, {Name: "vendorName", Values: []string{"example"}},
				{Name: "protocolVersion", Values: []string{"1.0"}}, {Name: "firmware", Values: []string{"0x0690"}}}
			summary = "SCCRP, lns7, example"
		}
		if d := cmp.Diff(want, a.Fields); d != "" || a.Summary != summary {
			t.Errorf("%s: %s", a.Summary, d)
		}
		<-heard
		if accepts {
			if b := <-heard; len(b) < 20 || b[19] != stopTunnel || binary.BigEndian.Uint16(b[4:]) != 0x1234 {
				t.Errorf("the tunnel is not stopped: %x", b)
			}
		} else if len(heard) > 0 {
			t.Errorf("a tunnel that is not there is stopped: %x", <-heard)
		}
	}
}

func TestStrangers(t *testing.T) { probetest.Strangers(t, Prober{}, probe.UDP) }

// FuzzParse: an answer that is taken is to our request, and no more than came.
func FuzzParse(f *testing.F) {
	f.Add(accepted(7))
	f.Add(control(7, 0, 1, avp(avpMessage, 0, stopTunnel), avp(avpResult, 0, 4, 0, 0, 'n', 'o')))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b, 7)
		if err == nil && (binary.BigEndian.Uint16(b[4:]) != 7 || len(r.host)+len(r.vendor) > len(b) || r.kind == startTunnel) {
			t.Fatalf("%x gives %+v", b, r)
		}
	})
}
