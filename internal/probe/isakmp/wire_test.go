package isakmp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func sa1(attributes ...[]byte) []byte {
	transform := payload(0, []byte{1, 1, 0, 0}, bytes.Join(attributes, nil))
	return payload(payloadVendor1, make([]byte, 8), payload(0, []byte{1, 1, 0, 1}, transform))
}

func vendor(hexed string) []byte {
	b, _ := hex.DecodeString(hexed)
	return payload(0, b)
}

func notify1(code uint16) []byte {
	return payload(0, []byte{0, 0, 0, 1, 1, 0}, binary.BigEndian.AppendUint16(nil, code))
}

func notify2(next byte, code uint16) []byte {
	return payload(next, []byte{0, 0}, binary.BigEndian.AppendUint16(nil, code))
}

func sa2() []byte {
	t := bytes.Join([][]byte{
		payload(3, []byte{1, 0, 0, 12}, attribute(14, 256)), payload(3, []byte{2, 0, 0, 5}), payload(3, []byte{3, 0, 0, 12}), payload(0, []byte{4, 0, 0, 31}),
	}, nil)
	return payload(payloadNotify2, payload(0, []byte{1, 1, 0, 4}, t))
}

// answer1 is a main mode message of the peer's, with its cookie.
func answer1(e exchange, next byte, payloads []byte) []byte {
	b := e.message(next, version1, mainModeType, 0, payloads)
	b[8] = 1
	return b
}

func chosen(e exchange, payloads []byte) []byte { return answer1(e, payloadSA1, payloads) }

func TestHear(t *testing.T) {
	e := exchange{cookie: [8]byte{1, 2, 3}}
	for _, tt := range []struct {
		name     string
		b        []byte
		one, two string
	}{
		{"version 1 refuses", e.message(payloadNotify1, version1, informative1, 0, notify1(14)), "notified NO-PROPOSAL-CHOSEN (14)", ""},
		{"a code without a name", e.message(payloadNotify1, version1, informative1, 0, notify1(99)), "notified 99", ""},
		{"version 1 chooses", chosen(e, append(sa1(attribute(1, 7), attribute(14, 128), attribute(2, 2), attribute(3, 1), attribute(4, 14), []byte{0, 12, 0, 4, 0, 0, 1, 0}), vendor("09002689dfd6b712")...)),
			"chose AES-128, SHA1, shared key, MODP-2048", ""},
		{"version 1 chooses 3DES", chosen(e, append(sa1(attribute(1, 5), attribute(2, 77), attribute(3, 3), attribute(4, 2)), vendor("")...)), "chose 3DES, 77, RSA signatures, MODP-1024", ""},
		{"version 1 chooses nothing", chosen(e, payload(0)), "chose no transform", ""},
		{"version 2 refuses", e.message(payloadNotify2, version2, saInitType, flagResponse, notify2(0, 14)), "", "notified NO_PROPOSAL_CHOSEN (14)"},
		{"version 2 wants a cookie", e.message(payloadNotify2, version2, saInitType, flagResponse, notify2(0, cookieWanted)), "", "notified COOKIE (16390)"},
		{"version 2 chooses, and tells of NAT", e.message(payloadSA2, version2, saInitType, flagResponse, append(sa2(), notify2(0, 16388)...)), "", "chose AES-CBC-256, PRF-SHA2-256, SHA2-256-128, Curve25519"},
		{"version 2 chooses nothing", e.message(payloadSA2, version2, saInitType, flagResponse, payload(0)), "", "chose no transform"},
		{"status alone", e.message(payloadNotify2, version2, saInitType, flagResponse, notify2(0, 16388)), "", ""},
		{"our own, echoed", e.mainMode(), "", ""},
		{"our own of version 2", e.saInit(make([]byte, publicSize+nonceSize)), "", ""},
		{"another's cookie", (&exchange{}).message(payloadNotify1, version1, informative1, 0, notify1(14)), "", ""},
		{"a bad length", append(e.message(payloadNotify1, version1, informative1, 0, notify1(14)), 0), "", ""},
		{"a payload cut short", e.message(payloadNotify1, version1, informative1, 0, []byte{0, 0, 0, 40}), "", ""},
		{"a payload of no length", e.message(payloadNotify1, version1, informative1, 0, []byte{11, 0, 0, 0}), "", ""},
		{"nothing in it", e.message(0, version1, informative1, 0, nil), "", ""},
	} {
		got := exchange{cookie: e.cookie}
		got.hear(tt.b)
		if got.one != tt.one || got.two != tt.two {
			t.Errorf("%s: %q, %q", tt.name, got.one, got.two)
		}
	}
}

func TestVendors(t *testing.T) {
	e := exchange{cookie: [8]byte{1}}
	for range 2 {
		e.hear(answer1(e, payloadVendor1, bytes.Join([][]byte{
			payload(payloadVendor1, mustHex("afcad71368a1f1c96b8696fc77570100")), payload(payloadSA1, []byte{0xab, 0xcd}), payload(0),
		}, nil)))
	}
	want := &probe.Answer{Protocol: "isakmp", Summary: "IKEv1 chose no transform", Fields: []probe.Field{
		{Name: "versions", Values: []string{"1"}}, {Name: "IKEv1", Values: []string{"chose no transform"}},
		{Name: "vendor IDs", Values: []string{"RFC 3706 dead peer detection", "abcd"}},
	}}
	if d := cmp.Diff(want, e.answer("isakmp")); d != "" {
		t.Error(d)
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// TestMarked: at 4500 messages go and come behind four zero bytes, and what
// comes without them is ESP.
func TestMarked(t *testing.T) {
	for _, marked := range []bool{true, false} {
		addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
			if len(q) < 32 || binary.BigEndian.Uint32(q) != 0 {
				return nil
			}
			e := exchange{marked: marked}
			copy(e.cookie[:], q[4:])
			return [][]byte{e.mark(e.message(payloadNotify1, version1, informative1, 0, notify1(14)))}
		})
		d := probetest.Dialer{Addr: addr, Timeout: 50 * time.Millisecond}
		a, err := Prober{}.Ask(t.Context(), d, probe.Target{Addr: addr.Addr(), Proto: probe.UDP, Port: 4500})
		if marked != (err == nil) || marked && a.Summary != "IKEv1 notified NO-PROPOSAL-CHOSEN (14)" {
			t.Errorf("marked %v: %+v, %v", marked, a, err)
		}
	}
}

func TestStrangers(t *testing.T) { probetest.Strangers(t, Prober{}, probe.UDP) }

// FuzzHear: what is told of an answer is bounded, whatever it is.
func FuzzHear(f *testing.F) {
	e := exchange{cookie: [8]byte{1, 2, 3}}
	f.Add(e.mainMode())
	f.Add(e.message(payloadSA2, version2, saInitType, flagResponse, append(sa2(), notify2(0, 16388)...)))
	f.Add(e.message(payloadNotify1, version1, informative1, 0, notify1(14)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := exchange{cookie: e.cookie}
		got.hear(b)
		if len(got.one)+len(got.two) > 64*40 || len(got.vendors) > maxVendors {
			t.Fatalf("%x gives %+v", b, got)
		}
		for _, v := range got.vendors {
			if len(v) > 128 {
				t.Fatalf("vendor %s", v)
			}
		}
	})
}
