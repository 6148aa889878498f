package netbios

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// statusReply is a node of the test's own, from RFC 1002 section 4.2.18.
func statusReply(id []byte, mac string, names ...string) []byte {
	b := append(bytes.Clone(id[:2]), 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	b = append(b, encode("*", 0, 0)...)
	b = append(b, 0, typeStatus, 0, classIN, 0, 0, 0, 0, 0, byte(1+nameSize*len(names)+46), byte(len(names)))
	for _, n := range names {
		b = append(b, n...)
	}
	return append(append(b, mac...), make([]byte, 40)...)
}

// nodeName is a name of a status: text, suffix and flags.
func nodeName(text string, suffix byte, flags byte) string {
	return fmt.Sprintf("%-15s", text) + string([]byte{suffix, flags, 0})
}

func reply(id []byte) []byte {
	return statusReply(id, "\x00\x15\x5d\x01\xc6\x1e", nodeName("DC7", 0, 4), nodeName("CORP", 0, 0x84), nodeName("CORP", 0x1c, 0x84),
		nodeName("DC7", 0x20, 4), nodeName("CORP", 0x1b, 4), nodeName("X", 0x99, 4))
}

// TestPortQryShape: the fields give PortQry's line.
func TestPortQryShape(t *testing.T) {
	a := probetest.Ask(t, Prober{}, probe.UDP, probetest.ServeUDP(t, func(q []byte) [][]byte {
		return [][]byte{reply([]byte{q[0] + 1, q[1]}), reply(q)}
	}))
	if got := "Server's response: MAC address " + strings.ReplaceAll(a.Get("MAC address"), ":", ""); got != "Server's response: MAC address 00155d01c61e" {
		t.Error(got)
	}
	want := []string{"DC7 <00> unique, workstation", "CORP <00> group, domain or workgroup", "CORP <1c> group, domain controllers",
		"DC7 <20> unique, file server", "CORP <1b> unique, domain master browser", "X <99> unique"}
	if d := cmp.Diff(want, a.Fields[0].Values); d != "" || a.Summary != "DC7 of CORP, MAC address 00:15:5d:01:c6:1e" {
		t.Errorf("%s: %s", a.Summary, d)
	}
}

func TestStatus(t *testing.T) {
	whole := reply([]byte{0, 7})
	for n := range len(whole) - 40 { // statistics beyond the unit id are not read
		if _, err := parseStatus(whole[:n], 7); err == nil {
			t.Errorf("the first %d bytes are an answer", n)
		}
	}
	s, err := parseStatus(statusReply([]byte{0, 7}, "\x00\x00\x00\x00\x00\x00"), 7)
	if err != nil || s.gist() != "0 names" {
		t.Errorf("no names: %+v, %v", s, err)
	}
	if _, err := parseStatus(statusRequest(7), 7); err == nil {
		t.Error("a request is an answer")
	}
}

func TestRequests(t *testing.T) {
	// RFC 1001 section 14.1's way of writing: "*" and zeros are CK and AA.
	if got := string(statusRequest(7)[12:46]); got != " CK"+strings.Repeat("A", 30)+"\x00" {
		t.Errorf("%q", got)
	}
	q := sessionRequest()
	if len(q) != 72 || string(q[:4]) != "\x81\x00\x00\x44" || string(q[4:38]) != " CKFDENECFDEFFCFGEFFCCACACACACACA\x00" {
		t.Errorf("%q", q)
	}
}

func TestSession(t *testing.T) {
	for in, want := range map[string]string{
		"\x82\x00\x00\x00":                         "accepted",
		"\x83\x00\x00\x01\x82":                     "refused: called name not present (0x82)",
		"\x83\x00\x00\x01\x8f":                     "refused: unspecified error (0x8f)",
		"\x84\x00\x00\x06\xc0\x00\x02\x01\x00\x8b": "go to 192.0.2.1:139",
		"\x85\x00\x00\x00":                         "",
		"\x82\x00\x00\x01a":                        "",
		"\x83\x01\x00\x01a":                        "",
		"\x82\x00":                                 "",
	} {
		size, err := sessionReply([]byte(in)[:min(4, len(in))])
		got := ""
		if err == nil {
			got = sessionWords(in[0], []byte(in)[4:4+size])
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// FuzzStatus: what is understood is no more than was there.
func FuzzStatus(f *testing.F) {
	f.Add(reply([]byte{0, 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStatus(b, 7); err == nil && (len(s.mac) != 6 || len(s.names)*nameSize > len(b)) {
			t.Fatalf("%x gives %+v", b, s)
		}
	})
}
