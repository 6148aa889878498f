package mssql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

// browserReply is a browser of the test's own, from MC-SQLR section 2.2.5:
// Debian has none.
func browserReply(text string) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{instancesReply}, uint16(len(text))), text...)
}

const twoInstances = `ServerName;DB7;InstanceName;MSSQLSERVER;IsClustered;No;Version;10.50.6000.34;tcp;1433;np;\\DB7\pipe\sql\query;;` +
	`ServerName;DB7;InstanceName;TEST;IsClustered;No;Version;15.0.1500.28;tcp;49361;;`

// TestPortQryShape: the fields give PortQry's text.
func TestPortQryShape(t *testing.T) {
	a := probetest.Ask(t, Prober{}, probe.UDP, probetest.ServeUDP(t, func(q []byte) [][]byte {
		if string(q) != "\x03" {
			return nil
		}
		return [][]byte{[]byte("noise"), browserReply(twoInstances)}
	}))
	var text strings.Builder
	text.WriteString("Server's response:\n")
	for _, f := range a.Fields {
		if f.Name == "ServerName" {
			text.WriteString("\n")
		}
		if f.Name != "instances" {
			fmt.Fprintf(&text, "%s %s\n", f.Name, f.Values[0])
		}
	}
	want := `Server's response:

ServerName DB7
InstanceName MSSQLSERVER
IsClustered No
Version 10.50.6000.34
tcp 1433
np \\DB7\pipe\sql\query

ServerName DB7
InstanceName TEST
IsClustered No
Version 15.0.1500.28
tcp 49361
`
	if d := cmp.Diff(want, text.String()); d != "" || a.Summary != "2 instances" {
		t.Errorf("%s: %s", a.Summary, d)
	}
}

func TestInstances(t *testing.T) {
	for _, tt := range []struct {
		in   []byte
		n    int // 0: no answer
		gist string
	}{
		{browserReply("ServerName;A;InstanceName;B;Version;1;tcp;5;;"), 1, "B 1, tcp 5"},
		{browserReply("ServerName;A;InstanceName;B;Version;1;;"), 1, "B 1"},
		{browserReply("ServerName;A;InstanceName;B"), 1, "B "},
		{browserReply("ServerName;A;np;;;"), 1, " "},
		{browserReply(";;;;"), 0, ""},
		{browserReply(""), 0, ""},
		{browserReply("hello"), 0, ""},
		{browserReply("a;b;c;d;;"), 0, ""},
		{append(browserReply("ServerName;A;;"), 'x'), 0, ""},
		{[]byte{5, 4}, 0, ""},
		{nil, 0, ""},
	} {
		all, err := parseInstances(tt.in)
		if len(all) != tt.n || (err == nil) != (tt.n > 0) {
			t.Errorf("%q: %v, %v", tt.in, all, err)
		} else if tt.n > 0 && all[0].gist() != tt.gist {
			t.Errorf("%q is %q, want %q", tt.in, all[0].gist(), tt.gist)
		}
	}
}

// instanceReply answers PRELOGIN, from MS-TDS section 2.2.6.5: no server of
// Debian's does.
func instanceReply(table, data string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{typeReply, statusLast}, uint16(headerSize+len(table)+len(data)))
	return append(append(b, 0, 0, 1, 0), table+data...)
}

func serve(t *testing.T, reply []byte) *probe.Answer {
	return probetest.Ask(t, Prober{}, probe.TCP, probetest.Serve(t, func(c net.Conn) {
		q := make([]byte, len(preloginRequest()))
		if _, err := io.ReadFull(c, q); err == nil {
			_, _ = c.Write(reply)
		}
	}))
}

func TestPrelogin(t *testing.T) {
	const table = "\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff"
	a := serve(t, instanceReply(table, "\x0f\x00\x07\xd0\x00\x05"+"\x01"))
	want := []probe.Field{{Name: "version", Values: []string{"15.0.2000.5"}}, {Name: "encryption", Values: []string{"on"}}}
	if d := cmp.Diff(want, a.Fields); d != "" {
		t.Error(d)
	}
	if got := fmt.Sprintf("%x", preloginRequest()); got != "1201002900000000"+"0000150006"+"01001b0001"+"02001c0001"+"03001d0004"+"ff"+"000000000000"+"00"+"00"+"00000000" {
		t.Errorf("request %s", got)
	}
	whole := table + "\x0f\x00\x07\xd0\x00\x05\x01"
	for n := range whole {
		if _, err := parsePrelogin([]byte(whole[:n])); err == nil {
			t.Errorf("the first %d bytes are an answer", n)
		}
	}
	for _, b := range []string{"\xff", "\x00\x00\x05\x00\x01\xff", "\x00\xff\xff\xff\xff\xff"} {
		if _, err := parsePrelogin([]byte(b)); !errors.Is(err, errNoAnswer) {
			t.Errorf("%x is an answer", b)
		}
	}
	for v, want := range map[byte]string{0: "off", 3: "required", 9: "0x09"} {
		if encryptionName(v) != want {
			t.Errorf("%d is %s", v, encryptionName(v))
		}
	}
}

func TestStrangers(t *testing.T) {
	for _, proto := range []probe.Proto{probe.TCP, probe.UDP} {
		t.Run(proto.String(), func(t *testing.T) { probetest.Strangers(t, Prober{}, proto) })
	}
}

// FuzzInstances: each instance has a name, and no more text than came.
func FuzzInstances(f *testing.F) {
	f.Add(browserReply(twoInstances))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseInstances(b)
		n := 0
		for _, i := range all {
			for _, field := range i {
				n += len(field.Name) + len(field.Values[0]) + 1
			}
		}
		if err == nil && (len(all) == 0 || n > len(b)) {
			t.Fatalf("%q gives %v", b, all)
		}
	})
}

// FuzzPrelogin: an answer has both of what is told.
func FuzzPrelogin(f *testing.F) {
	f.Add([]byte("\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff\x0f\x00\x07\xd0\x00\x05\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := parsePrelogin(b); err == nil && (l.version == "" || l.encryption == "") {
			t.Fatalf("%x gives %+v", b, l)
		}
	})
}
