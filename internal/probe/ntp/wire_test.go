package ntp

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serverPacket is an answer in the layout of RFC 5905 figure 8.
func serverPacket(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll("24 02 06 e9 00000a3d 00010000 c0000201 ec9c8d00 80000000 0102030405060708 ec9c8e00 40000000 ec9c8e00 80000000", " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	p, err := parse(serverPacket(t))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2025, 10, 17, 9, 42, 24, 0, time.UTC)
	want := packet{
		version: 4, stratum: 2, precision: -23, rootDelay: 39993286 * time.Nanosecond, rootDisp: time.Second, refID: [4]byte{192, 0, 2, 1},
		reference: at.Add(500*time.Millisecond - 256*time.Second), originate: 0x0102030405060708,
		receive: at.Add(250 * time.Millisecond), transmit: at.Add(500 * time.Millisecond),
	}
	if d := cmp.Diff(want, p, cmp.AllowUnexported(packet{})); d != "" {
		t.Error(d)
	}
	if s := p.state() + " " + p.referenceID(); s != "stratum 2 192.0.2.1" {
		t.Errorf("%q", s)
	}
}

func TestStates(t *testing.T) {
	for _, tt := range []struct {
		p           packet
		state, from string
	}{
		{packet{stratum: 1, refID: [4]byte{'G', 'P', 'S'}}, "stratum 1", "GPS"},
		{packet{leap: 3, refID: [4]byte{'R', 'A', 'T', 'E'}}, "kiss-o'-death RATE", "RATE"},
		{packet{leap: 3, stratum: 16, refID: [4]byte{'I', 'N', 'I', 'T'}}, "not synchronized", "INIT"},
		{packet{leap: 3, stratum: 3, refID: [4]byte{10, 0, 0, 1}}, "not synchronized", "10.0.0.1"},
	} {
		if tt.p.state() != tt.state || tt.p.referenceID() != tt.from {
			t.Errorf("%+v: %q from %q", tt.p, tt.p.state(), tt.p.referenceID())
		}
	}
}

// TestEra: from 2036 on, the seconds begin anew.
func TestEra(t *testing.T) {
	for v, want := range map[uint64]string{1 << 32: "2036-02-07T06:28:17Z", 0xffffffff << 32: "2036-02-07T06:28:15Z", 1 << 63: "1968-01-20T03:14:08Z"} {
		if got := timestamp(v).Format(time.RFC3339); got != want {
			t.Errorf("%#x is %s, want %s", v, got, want)
		}
	}
}

// TestOffset: of a clock that is two seconds ahead, over a path of 100 ms.
func TestOffset(t *testing.T) {
	sent := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := packet{version: 4, stratum: 1, receive: sent.Add(2050 * time.Millisecond), transmit: sent.Add(2050 * time.Millisecond)}
	if a := (Prober{}).answer(p, sent, sent.Add(100*time.Millisecond)); a.Get("offset") != "2s" || a.Summary != "NTPv4, stratum 1, 2026-01-01T00:00:02Z, clock offset 2s" {
		t.Errorf("%+v", a)
	}
	if a := (Prober{}).answer(packet{version: 4, leap: 3, refID: [4]byte{'D', 'E', 'N', 'Y'}}, sent, sent); a.Get("offset") != "" || a.Summary != "NTPv4, kiss-o'-death DENY" {
		t.Errorf("%+v", a)
	}
}

// FuzzParse: the answer is found by the number that the question had, and times
// stay within the two eras.
func FuzzParse(f *testing.F) {
	f.Add(serverPacket(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse(b)
		if err != nil {
			return
		}
		if len(b) < size || b[0]&7 != modeServer {
			t.Fatal("not a server's packet")
		}
		for _, at := range []time.Time{p.receive, p.transmit, p.reference} {
			if !at.IsZero() && (at.Year() < 1968 || at.Year() > 2104) {
				t.Errorf("time %v", at)
			}
		}
		_, _ = p.state(), p.referenceID()
	})
}
