package wsp

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// acknowledged is a server's answer, in the layout that its free clients read.
func acknowledged(command uint16, port uint16) []byte {
	b := make([]byte, minSize)
	binary.BigEndian.PutUint32(b[8:], 0x1234)
	copy(b[signatureAt:], signature)
	binary.BigEndian.PutUint16(b[commandAt:], command)
	binary.BigEndian.PutUint16(b[controlAt:], port)
	copy(b[controlAt+2:], []byte{192, 0, 2, 7})
	return b
}

func TestHello(t *testing.T) {
	b := hello()
	if string(b[24:28]) != "RWSP" || b[36] != 5 || b[0] != 0x0a || b[172] != 0x4b || b[216] != 0x39 || string(b[220:233]) != "portreporter\x00" || len(b) != 260 {
		t.Errorf("%d bytes: %x", len(b), b)
	}
}

func TestAsk(t *testing.T) {
	for _, tt := range []struct {
		b    []byte
		want *probe.Answer
	}{
		{acknowledged(0x1000, 1746), &probe.Answer{Protocol: "wsp", Summary: "hello acknowledged", Fields: []probe.Field{
			{Name: "answer", Values: []string{"0x1000"}}, {Name: "server", Values: []string{"0x00001234"}}, {Name: "control", Values: []string{"192.0.2.7:1746"}}}}},
		{acknowledged(0x0400, 0), &probe.Answer{Protocol: "wsp", Summary: "answered with command 0x0400", Fields: []probe.Field{
			{Name: "answer", Values: []string{"0x0400"}}, {Name: "server", Values: []string{"0x00001234"}}}}},
	} {
		udp := probetest.ServeUDP(t, func(q []byte) [][]byte { return [][]byte{q, tt.b} }) // an echo first
		tcp := probetest.Serve(t, func(c net.Conn) {
			if _, err := io.ReadFull(c, make([]byte, len(hello()))); err == nil {
				_, _ = c.Write(tt.b)
			}
		})
		for _, a := range []*probe.Answer{probetest.Ask(t, Prober{}, probe.UDP, udp), probetest.Ask(t, Prober{}, probe.TCP, tcp)} {
			if d := cmp.Diff(tt.want, a); d != "" {
				t.Error(d)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// FuzzParse: an answer that is taken is signed, and is none of ours.
func FuzzParse(f *testing.F) {
	f.Add(acknowledged(0x1000, 1746))
	f.Add(hello())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err == nil && (string(b[24:28]) != "RWSP" || r.command == helloAsk || len(b) < minSize) {
			t.Fatalf("%x gives %+v", b, r)
		}
	})
}
