package tftp

import (
	"net"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x05\x00\x01File not found\x00":          "error 1, File not found",
		"\x00\x05\x00\x02":                            "2 Access violation",
		"\x00\x05\x00\x00no end":                      "error 0, no end",
		"\x00\x05\x00\x09x\x00":                       "",
		"\x00\x05\x00":                                "",
		"\x00\x03\x00\x01data":                        "DATA",
		"\x00\x03\x00\x01" + strings.Repeat("x", 512): "DATA",
		"\x00\x03\x00\x01" + strings.Repeat("x", 513): "",
		"\x00\x03\x00\x02data":                        "",
		"\x00\x06tsize\x005\x00":                      "OACK",
		"\x00\x06":                                    "",
		"\x00\x04\x00\x01":                            "",
		string(readRequest("x")):                      "",
		"":                                            "",
	} {
		r, err := parse([]byte(in))
		got := ""
		if err == nil {
			got = r.String()
		}
		if got != want {
			t.Errorf("%.30q is %q, want %q", in, got, want)
		}
	}
	if errorName(99) != "99" {
		t.Error(errorName(99))
	}
}

// TestAnotherPort: a server answers from a port of its choice, and is told
// there that its file is not wanted.
func TestAnotherPort(t *testing.T) {
	transfer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer transfer.Close()
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	go func() {
		defer close(told)
		b := make([]byte, 600)
		n, from, err := l.ReadFromUDP(b)
		if err != nil || string(b[:n]) != "\x00\x01"+fileName+"\x00octet\x00" {
			return
		}
		_, _ = transfer.WriteToUDP([]byte("\x00\x03\x00\x01hello"), from)
		n, _, _ = transfer.ReadFromUDP(b)
		told <- string(b[:n])
	}()
	defer l.Close()
	a := probetest.Ask(t, Prober{}, probe.UDP, l.LocalAddr().(*net.UDPAddr).AddrPort())
	if a.Summary != "DATA" || a.Get("from port") == "" || a.Get("error") != "" {
		t.Errorf("%+v", a)
	}
	if got := <-told; got != string(goodbye()) {
		t.Errorf("the server was told %q", got)
	}
}

func TestStrangers(t *testing.T) { probetest.Strangers(t, Prober{}, probe.UDP) }

// FuzzParse: no more is understood than came, and an answer has its words.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x00\x05\x00\x01File not found\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parse(b); err == nil && (len(r.text) > len(b) || r.String() == "" || len(b) < 3) {
			t.Fatalf("%x gives %+v", b, r)
		}
	})
}
