package snmp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/ber"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// binding is one variable of an answer.
func binding(object byte, value []byte) []byte {
	return ber.TLV(ber.Sequence, ber.Text(ber.OID, systemGroup+string([]byte{object, 0})), value)
}

// response is an answer of version v to the request with the id.
func response(v, id, status int64, bindings ...[]byte) []byte {
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, v), ber.Text(ber.OctetString, "public"),
		ber.TLV(opResponse, ber.Int(ber.Integer, id), ber.Int(ber.Integer, status), ber.Int(ber.Integer, 0), ber.TLV(ber.Sequence, bindings...)))
}

func report(id int64, engineID string) []byte {
	security := ber.TLV(ber.Sequence, ber.Text(ber.OctetString, engineID), ber.Int(ber.Integer, 3), ber.Int(ber.Integer, 500),
		ber.TLV(ber.OctetString), ber.TLV(ber.OctetString), ber.TLV(ber.OctetString))
	return ber.TLV(ber.Sequence, ber.Int(ber.Integer, v3), ber.TLV(ber.Sequence, ber.Int(ber.Integer, id), ber.Int(ber.Integer, 1500), ber.TLV(ber.OctetString, []byte{0}), ber.Int(ber.Integer, userBased)),
		ber.TLV(ber.OctetString, security), ber.TLV(ber.Sequence, ber.Text(ber.OctetString, engineID), ber.TLV(ber.OctetString), pdu(opReport, id, nil)))
}

func system7() [][]byte {
	return [][]byte{
		binding(1, ber.Text(ber.OctetString, "a switch")), binding(2, ber.Text(ber.OID, "\x2b\x06\x01\x04\x01\xbf\x08")),
		binding(3, ber.Int(timeTicks, 123456)), binding(4, ber.TLV(0x80)), binding(5, ber.Text(ber.OctetString, "sw7")),
		binding(6, ber.Text(ber.OctetString, "\xff\x00")), binding(7, ber.Int(ber.Integer, 72)), binding(9, ber.Int(ber.Integer, 1)),
		ber.TLV(ber.Sequence, ber.Text(ber.OID, "\x2b\x06"), ber.Int(ber.Integer, 1)),
	}
}

func TestAnswer(t *testing.T) {
	r := replies{id: 100}
	r.hear(response(v2c, 101, 0, system7()...))
	r.hear(report(103, "\x80\x00\x1f\x88"))
	want := &probe.Answer{Protocol: "snmp", Summary: "sw7, a switch", Fields: []probe.Field{
		{Name: "versions", Values: []string{"2c", "3"}},
		{Name: "sysDescr", Values: []string{"a switch"}},
		{Name: "sysObjectID", Values: []string{"1.3.6.1.4.1.8072"}},
		{Name: "sysUpTime", Values: []string{"20m34.56s"}},
		{Name: "sysName", Values: []string{"sw7"}},
		{Name: "sysLocation", Values: []string{"ff00"}},
		{Name: "sysServices", Values: []string{"72"}},
		{Name: "engineID", Values: []string{"80001f88"}},
		{Name: "enterprise", Values: []string{"8072 net-snmp"}},
		{Name: "engineBoots", Values: []string{"3"}},
		{Name: "engineTime", Values: []string{"500"}},
	}}
	if d := cmp.Diff(want, r.answer("snmp")); d != "" {
		t.Error(d)
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		name, versions, summary string
		heard                   [][]byte
	}{
		{"version 1 refuses, 2c answers", "1 2c", "a switch", [][]byte{response(v1, 100, 2), response(v2c, 101, 0, system7()[0])}},
		{"version 1 alone, refusing", "1", "2 noSuchName", [][]byte{response(v1, 100, 2)}},
		{"an error without a name", "2c", "99", [][]byte{response(v2c, 101, 99)}},
		{"nothing visible", "2c", "no system group", [][]byte{response(v2c, 101, 0)}},
		{"version 3 alone", "3", "SNMPv3 alone, engine 8000", [][]byte{report(103, "\x80\x00")}},
		{"other ids", "", "SNMPv3 alone, engine ", [][]byte{response(v1, 101, 0), response(v2c, 100, 0), report(100, "x"), report(103, "")}},
		{"our own questions", "", "SNMPv3 alone, engine ", [][]byte{getRequest(v1, "public", 100), getRequest(v2c, "public", 101), discovery(103)}},
		{"noise", "", "SNMPv3 alone, engine ", [][]byte{nil, []byte("noise"), ber.TLV(ber.Sequence), bytes.Repeat([]byte{0x30, 2}, 50)}},
	} {
		r := replies{id: 100}
		for _, b := range tt.heard {
			r.hear(b)
		}
		a := r.answer("snmp")
		var versions []string
		if a.Get("versions") != "" {
			versions = a.Fields[0].Values
		}
		if strings.Join(versions, " ") != tt.versions || a.Summary != tt.summary {
			t.Errorf("%s: %+v", tt.name, a)
		}
	}
}

// TestCommunity: what is sent has the community; what is told and what fails
// has not.
func TestCommunity(t *testing.T) {
	const secret = "s3cret-word"
	for _, silent := range []bool{false, true} {
		asked := make(chan []byte, 20)
		addr := probetest.ServeUDP(t, func(q []byte) [][]byte {
			asked <- q
			if silent {
				return [][]byte{[]byte("noise")}
			}
			r := replies{}
			e, _, _ := ber.Parse(q)
			parts, _ := e.Want(ber.Integer, ber.OctetString, opGet)
			if len(parts) == 0 {
				return nil
			}
			p, _ := parts[2].Want(ber.Integer)
			r.id, _ = p[0].Int()
			v, _ := parts[0].Int()
			return [][]byte{response(v, r.id, 0, system7()...)}
		})
		d := probetest.Dialer{Addr: addr, Timeout: 50 * time.Millisecond}
		a, err := Prober{Community: secret}.Ask(t.Context(), d, probe.Target{Addr: addr.Addr(), Proto: probe.UDP, Port: 161})
		if told := fmt.Sprintf("%+v %q %v", a, a.Raw, err); strings.Contains(told, secret) || silent != errors.Is(err, probe.ErrProtocol) {
			t.Errorf("%s", told)
		}
		for _, want := range []bool{false, true} { // version 3 has no community
			if q := <-asked; bytes.Contains(q, []byte(secret)) != want {
				t.Errorf("asked %q", q)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	if got := fmt.Sprintf("%x", getRequest(v2c, "public", 1)); !strings.HasPrefix(got, "307a02010104067075626c6963"+"a06d020101020100020100"+"3062"+"300c06082b060102010101000500"+"300c06082b060102010102000500") {
		t.Error(got)
	}
	if got := fmt.Sprintf("%x", discovery(1)); got != "3038020103"+"300e020101020300ffe3040104020103"+"0410300e040002010002010004000400"+"0400"+"301104000400a00b0201010201000201003000" {
		t.Error(got)
	}
}

func TestStrangers(t *testing.T) { probetest.Strangers(t, Prober{}, probe.UDP) }

// FuzzHear: what is taken is no more than was there.
func FuzzHear(f *testing.F) {
	f.Add(response(v2c, 101, 0, system7()...))
	f.Add(report(103, "\x80\x00\x1f\x88"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := replies{id: 100}
		r.hear(b)
		n := 0
		for _, s := range r.system {
			if s != nil {
				n += len(s.fields)
			}
		}
		if n > len(objects()) || r.engine != nil && len(r.engine.id) > len(b) {
			t.Fatalf("%x gives %+v", b, r)
		}
		_ = r.answer("snmp")
	})
}
