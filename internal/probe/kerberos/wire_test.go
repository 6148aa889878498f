package kerberos

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// message is a KRB-ERROR of these fields and the two that each has.
func message(fields ...[]byte) []byte {
	var b []byte
	for _, f := range append([][]byte{field(0, ber.Int(ber.Integer, 5)), field(1, ber.Int(ber.Integer, krbErrorType))}, fields...) {
		b = append(b, f...)
	}
	return ber.TLV(tagKRBError, ber.TLV(ber.Sequence, b))
}

func unknownClient() []byte {
	name := ber.TLV(ber.Sequence, field(0, ber.Int(ber.Integer, 2)), field(1, ber.TLV(ber.Sequence, ber.Text(generalString, "krbtgt"), ber.Text(generalString, "EXAMPLE"))))
	return message(field(4, ber.Text(generalTime, "20261124194501Z")), field(5, ber.Int(ber.Integer, 999)), field(6, ber.Int(ber.Integer, 6)),
		field(9, ber.Text(generalString, "EXAMPLE")), field(10, name), field(11, ber.Text(generalString, "CLIENT_NOT_FOUND")))
}

func TestParse(t *testing.T) {
	e, err := parseError(unknownClient())
	if err != nil {
		t.Fatal(err)
	}
	want := &probe.Answer{Protocol: "kerberos", Summary: "realm EXAMPLE, 6 KDC_ERR_C_PRINCIPAL_UNKNOWN", Fields: []probe.Field{
		{Name: "error", Values: []string{"6 KDC_ERR_C_PRINCIPAL_UNKNOWN"}},
		{Name: "realm", Values: []string{"EXAMPLE"}},
		{Name: "service", Values: []string{"krbtgt/EXAMPLE"}},
		{Name: "time", Values: []string{"2026-11-24T19:45:01Z"}},
		{Name: "clock skew", Values: []string{"-59s"}},
		{Name: "text", Values: []string{"CLIENT_NOT_FOUND"}},
	}}
	if d := cmp.Diff(want, e.answer("kerberos", "ASKED", time.Date(2026, 11, 24, 19, 46, 0, 7, time.UTC))); d != "" {
		t.Error(d)
	}
	if a := e.answer("kerberos", "EXAMPLE", time.Now()); a.Get("realm")+a.Get("service") != "" || a.Summary != "6 KDC_ERR_C_PRINCIPAL_UNKNOWN" {
		t.Errorf("an echo is told: %+v", a)
	}
	if e, err := parseError(message(field(6, ber.Int(ber.Integer, 99)))); err != nil || e.answer("kerberos", "ASKED", time.Now()).Summary != "99" {
		t.Errorf("a bare error: %+v, %v", e, err)
	}
}

func TestMalformed(t *testing.T) {
	whole := unknownClient()
	for n := range whole {
		if _, err := parseError(whole[:n]); err == nil {
			t.Errorf("the first %d bytes are an error", n)
		}
	}
	for name, b := range map[string][]byte{
		"no code":          message(),
		"a request":        ticketRequest("X"),
		"time of no kind":  message(field(6, ber.Int(2, 1)), field(4, ber.Text(generalTime, "yesterday"))),
		"another type":     ber.TLV(tagKRBError, ber.TLV(ber.Sequence, field(1, ber.Int(2, 11)), field(6, ber.Int(2, 1)))),
		"nameless service": message(field(6, ber.Int(2, 1)), field(10, ber.TLV(ber.Sequence))),
		"empty":            ber.TLV(tagKRBError),
	} {
		if e, err := parseError(b); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// passwordReply puts an error in a reply of RFC 3244.
func passwordReply(e []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(6+len(e)))
	return append(append(b, 0, 1, 0, 0), e...)
}

func TestPasswordReply(t *testing.T) {
	for name, b := range map[string][]byte{"in a reply": passwordReply(unknownClient()), "alone": unknownClient()} {
		if e, err := parsePasswordReply(b); err != nil || e.realm != "EXAMPLE" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for _, b := range [][]byte{nil, {0, 6, 0, 1, 0, 0}, passwordRequest(), append(passwordReply(unknownClient()), 0)} {
		if e, err := parsePasswordReply(b); err == nil {
			t.Errorf("%x: %+v", b, e)
		}
	}
}

// center answers a TCP question with b behind its length.
func center(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		var n [4]byte
		if _, err := io.ReadFull(c, n[:]); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(n[:])))
		_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	}
}

func TestAsk(t *testing.T) {
	udp := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{[]byte("noise"), unknownClient()} })
	for _, a := range []*probe.Answer{
		probetest.Ask(t, Prober{}, probe.UDP, udp),
		probetest.Ask(t, Prober{Realm: "A"}, probe.TCP, probetest.Serve(t, center(unknownClient()))),
	} {
		if a.Get("realm") != "EXAMPLE" {
			t.Errorf("%+v", a)
		}
	}
	addr := probetest.Serve(t, center(passwordReply(unknownClient())))
	a, err := Prober{}.Ask(t.Context(), probetest.Dialer{Addr: addr}, probe.Target{Addr: addr.Addr(), Proto: probe.TCP, Port: 1464, Service: "kpasswd"})
	if err != nil || a.Get("realm") != "EXAMPLE" {
		t.Errorf("kpasswd: %+v, %v", a, err)
	}
	if _, err := probetest.Try(t, Prober{}, probe.TCP, probetest.Serve(t, center([]byte("what")))); !errors.Is(err, probe.ErrProtocol) {
		t.Errorf("no error message: %v", err)
	}
}

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// FuzzParse: an error that is taken has a code, and no more text than came.
func FuzzParse(f *testing.F) {
	f.Add(unknownClient())
	f.Add(passwordReply(unknownClient()))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parsePasswordReply(b)
		if err == nil && (e.code < 0 || len(e.realm)+len(e.text)+len(e.service) > len(b)) {
			t.Fatalf("%x gives %+v", b, e)
		}
	})
}
