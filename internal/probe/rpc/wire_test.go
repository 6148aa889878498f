package rpc

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
)

// entry is an endpoint as a mapper of the test's own tells it.
type entry struct {
	uuid, annotation string
	floors           [][2]string // after the interface and the transfer syntax: left, right
}

// Floors of the bindings that PortQry's own examples show.
func tcpFloors(ip string, port uint16) [][2]string {
	return [][2]string{{"\x0b", "\x00\x00"}, {"\x07", string(binary.BigEndian.AppendUint16(nil, port))}, {"\x09", ip}}
}

func pipeFloors(host, pipe string) [][2]string {
	return [][2]string{{"\x0b", "\x00\x00"}, {"\x0f", pipe + "\x00"}, {"\x11", host + "\x00"}}
}

func udpFloors(ip string, port uint16) [][2]string {
	return [][2]string{{"\x0a", "\x00\x00"}, {"\x08", string(binary.BigEndian.AppendUint16(nil, port))}, {"\x09", ip}}
}

func (e entry) tower() []byte {
	floors := append([][2]string{
		{"\x0d" + string(uuidBytes(e.uuid)) + "\x01\x00", "\x00\x00"},
		{"\x0d" + string(uuidBytes(ndrUUID)) + "\x02\x00", "\x00\x00"},
	}, e.floors...)
	b := binary.LittleEndian.AppendUint16(nil, uint16(len(floors)))
	for _, f := range floors {
		for _, side := range f {
			b = append(binary.LittleEndian.AppendUint16(b, uint16(len(side))), side...)
		}
	}
	return b
}

// lookupReply is the results of ept_lookup.
func lookupReply(handle byte, status uint32, entries ...entry) []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }
	u32 := binary.LittleEndian.AppendUint32
	b := make([]byte, handleSize)
	b[4] = handle
	n := uint32(len(entries))
	b = u32(u32(u32(u32(b, n), 500), 0), n)
	for i, e := range entries {
		b = append(pad(b), make([]byte, 16)...)
		note := e.annotation + "\x00"
		b = append(u32(u32(u32(b, uint32(i+3)), 0), uint32(len(note))), note...)
	}
	for _, e := range entries {
		t := e.tower()
		b = append(u32(u32(pad(b), uint32(len(t))), uint32(len(t))), t...)
	}
	return u32(pad(b), status)
}

const notRegistered = 0x16c9a0d6 // ept_s_not_registered

// entries are in the shape of PortQry's example for UDP 135.
func entries() []entry {
	const ip = "\xa9\xfe\x0c\xbf"
	return []entry{
		{"50abc2a4-574d-40b3-9d66-ee4fd5fba076", "", tcpFloors(ip, 4144)},
		{"ecec0d70-a603-11d0-96b1-00a0c91ece30", "NTDS Backup Interface", pipeFloors(`\\DC7`, `\PIPE\lsass`)},
		{"e3514235-4b06-11d1-ab04-00c04fc2dcd2", "MS NT Directory DRS Interface", tcpFloors(ip, 1030)},
		{"e3514235-4b06-11d1-ab04-00c04fc2dcd2", "MS NT Directory DRS Interface", udpFloors(ip, 1032)},
		{"11111111-2222-3333-4444-555555555555", "", [][2]string{{"\x0c", "\x00\x00"}, {"\x10", "LRPC-1\x00"}}},
	}
}

// TestPortQryShape: the fields give PortQry's text.
func TestPortQryShape(t *testing.T) {
	all, _, more, err := parseLookup(lookupReply(1, 0, entries()...))
	if err != nil || !more {
		t.Fatalf("%v, more %v", err, more)
	}
	a := answer("rpc", all, nil)
	var text strings.Builder
	for _, f := range a.Fields {
		switch f.Name {
		case "UUID":
			fmt.Fprintf(&text, "\nUUID: %s", f.Values[0])
		case "annotation":
			fmt.Fprintf(&text, " %s", f.Values[0])
		case "binding":
			fmt.Fprintf(&text, "\n%s\n", f.Values[0])
		case "endpoints":
			fmt.Fprintf(&text, "\nTotal endpoints found: %s\n", f.Values[0])
		}
	}
	want := `
UUID: 50abc2a4-574d-40b3-9d66-ee4fd5fba076
ncacn_ip_tcp:169.254.12.191[4144]

UUID: ecec0d70-a603-11d0-96b1-00a0c91ece30 NTDS Backup Interface
ncacn_np:\\DC7[\PIPE\lsass]

UUID: e3514235-4b06-11d1-ab04-00c04fc2dcd2 MS NT Directory DRS Interface
ncacn_ip_tcp:169.254.12.191[1030]

UUID: e3514235-4b06-11d1-ab04-00c04fc2dcd2 MS NT Directory DRS Interface
ncadg_ip_udp:169.254.12.191[1032]

UUID: 11111111-2222-3333-4444-555555555555
ncalrpc:[LRPC-1]

Total endpoints found: 5
`
	if d := cmp.Diff(want, text.String()); d != "" {
		t.Error(d)
	}
	if a.Summary != "5 endpoints" || a.Get("name") != "DNS server (MS-DNSP)" || a.Get("version") != "1.0" {
		t.Errorf("%+v", a)
	}
}

func TestLookupEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		n    int
		more bool
	}{
		{"the last part", lookupReply(0, 0, entries()...), 5, false},
		{"nothing more", lookupReply(1, notRegistered), 0, false},
		{"empty with a handle", lookupReply(1, 0), 0, false},
	} {
		all, _, more, err := parseLookup(tt.b)
		if err != nil || len(all) != tt.n || more != tt.more {
			t.Errorf("%s: %d, more %v, %v", tt.name, len(all), more, err)
		}
	}
	whole := lookupReply(1, 0, entries()...)
	for n := range whole {
		if _, _, _, err := parseLookup(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a reply", n, len(whole))
		}
	}
}

func TestTower(t *testing.T) {
	for _, tt := range []struct {
		floors [][2]string
		want   string
	}{
		{[][2]string{{"\x0b", ""}, {"\x1f", "\x02\x51"}, {"\x09", "\xc0\x00\x02\x01"}}, "ncacn_http:192.0.2.1[593]"},
		{[][2]string{{"\x0b", ""}, {"\x07", "\x02\x51"}, {"\x09", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"}}, "ncacn_ip_tcp:2001:db8::1[593]"},
		{[][2]string{{"\x07", "\x02"}, {"\x09", "\xc0\x00"}}, "ncacn_ip_tcp:[]"},
		{[][2]string{{"\x7f", "what"}}, ""},
	} {
		var e endpoint
		e.read(entry{"50abc2a4-574d-40b3-9d66-ee4fd5fba076", "", tt.floors}.tower())
		a := &probe.Answer{}
		e.describe(a)
		if a.Get("binding") != tt.want || e.uuid == "" {
			t.Errorf("%q: %+v", tt.floors, a)
		}
	}
	var e endpoint
	e.read([]byte{2, 0, 19, 0, 0x0d, 1})
	if e != (endpoint{}) {
		t.Errorf("a tower cut short: %+v", e)
	}
}

// TestNames: each is found by what a tower says, and so in lower case.
func TestNames(t *testing.T) {
	for id, want := range map[string]string{epmUUID: "Endpoint mapper", "12345678-1234-abcd-ef00-01234567cffb": "Netlogon (MS-NRPC)", "00000000-0000-0000-0000-000000000000": ""} {
		if got := knownInterface(uuidText(uuidBytes(id))); got != want {
			t.Errorf("%s is %q", id, got)
		}
	}
	if uuidText(uuidBytes("junk")) != "00000000-0000-0000-0000-000000000000" {
		t.Error("junk is a UUID")
	}
}

func TestRequests(t *testing.T) {
	const bindWant = "05000b03100000004800000001000000" + "d016d016000000000100000000000100" +
		"0883afe11f5dc91191a408002b14a0fa03000000" + "045d888aeb1cc9119fe808002b10486002000000"
	if got := fmt.Sprintf("%x", bindPDU()); got != bindWant {
		t.Errorf("bind %s", got)
	}
	q := requestPDU(1, lookup(make([]byte, handleSize), 500))
	if h, err := parseHeader(q); err != nil || h.size != len(q) || h.kind != pduRequest || !h.last {
		t.Errorf("request %+v, %v", h, err)
	}
	if d := datagram(make([]byte, 16), 7, []byte("stub")); len(d) != datagramSize+4 || d[64] != 7 || d[74] != 4 || d[68] != opLookup {
		t.Errorf("datagram %x", d)
	}
}

// FuzzLookup: what is understood is no more than was there.
func FuzzLookup(f *testing.F) {
	f.Add(lookupReply(1, 0, entries()...))
	f.Add(lookupReply(0, notRegistered))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, handle, more, err := parseLookup(b)
		if err != nil {
			return
		}
		if len(handle) != handleSize || len(all)*28 > len(b) || more && len(all) == 0 {
			t.Fatalf("%d bytes: %d endpoints, handle %x, more %v", len(b), len(all), handle, more)
		}
		for _, e := range all {
			if len(e.annotation)+len(e.host)+len(e.port) > len(b)+64 {
				t.Fatalf("%+v of %d bytes", e, len(b))
			}
		}
	})
}

// FuzzHeader: a header that is taken keeps its PDU within its own size.
func FuzzHeader(f *testing.F) {
	f.Add(bindPDU(), []byte{0})
	f.Fuzz(func(t *testing.T, b, body []byte) {
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if h.size < headerSize || h.size > 0xffff {
			t.Fatalf("%+v", h)
		}
		if part, err := h.stub(body); err == nil && len(part) > len(body) {
			t.Fatal("more than there was")
		}
	})
}
