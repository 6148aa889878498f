package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		w    int
		mark byte
		want string
	}{
		{"nginx", 4, 0, "ngi…"},
		{"nginx", 1, 0, "…"},
		{"漢字漢字", 5, 0, "漢字…"},
		{"漢字漢字", 4, 0, "漢…"}, // half a glyph is not shown
		{"192.168.100.200:65535", 14, ':', "192.168…:65535"},
		{"[2001:db8::1]:443", 10, ':', "[2001…:443"},
		{"192.168.100.200:65535", 6, ':', "192.1…"}, // no room for a port and more
		{"systemd-resolved(5)", 12, '(', "systemd-…(5)"},
		{"evil((((name(123)+4", 12, '(', "evil…(123)+4"},
		{"name", 3, '(', "na…"},
	} {
		got, n := cut([]byte(c.in), c.w, c.mark)
		if string(got) != c.want || n > c.w || n != displaywidth.String(string(got)) {
			t.Errorf("%q in %d columns: %q of %d, want %q", c.in, c.w, got, n, c.want)
		}
	}
}

func TestProcessCell(t *testing.T) {
	nginx := &activity.Process{Name: "nginx", Key: activity.ProcessKey{PID: 811}}
	key := func(n int) (ks []activity.ProcessKey) {
		for i := range n {
			ks = append(ks, activity.ProcessKey{PID: uint32(811 + i)})
		}
		return ks
	}
	for want, s := range map[string]activity.Socket{
		"nginx(811)":   {Process: nginx, Owner: nginx.Key, Holders: key(1)},
		"nginx(811)+4": {Process: nginx, Owner: nginx.Key, Holders: key(5)},
		"nginx(811)+1": {Process: nginx, Others: []*activity.Process{nginx}},
		"?(7)":         {Owner: activity.ProcessKey{PID: 7}},
		"unknown":      {Inode: 5, State: activity.StateEstablished},
		"-":            {State: activity.StateTimeWait},
	} {
		if got := string(appendProcessCell(nil, &s, known(s.Process))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSince(t *testing.T) {
	now := time.Date(2026, 11, 24, 1, 30, 0, 0, time.UTC)
	zone := time.FixedZone("EET", 2*3600)
	for _, c := range []struct {
		at     time.Time
		narrow bool
		want   string
	}{
		{now.Add(-time.Hour), false, "02:30:00"},
		{now.Add(-3 * time.Hour), false, "00:30:00"},         // today in the zone, yesterday in UTC
		{now.Add(-4 * time.Hour), false, "2026-11-23 23:30"}, // yesterday
		{now.Add(-4 * time.Hour), true, "4h"},
		{time.Unix(0, 0), false, "?"},
		{time.Unix(0, 0), true, "?"},
	} {
		tab := table{opt: &Options{Now: now, Location: zone}, narrow: c.narrow, today: now.In(zone).Format(time.DateOnly)}
		if got := string(tab.since(nil, c.at.UnixNano())); got != c.want {
			t.Errorf("%v, narrow %v: %q, want %q", c.at, c.narrow, got, c.want)
		}
	}
}

// TestAnyWidth draws tables of odd texts at every width: no line is wider than
// the terminal, all have as many lines as sockets, and columns stand in line.
func TestAnyWidth(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	word := func() string {
		return strings.Repeat([]string{"a", "漢", "é", "\x1b", "e\u0301"}[r.IntN(5)], r.IntN(40))
	}
	end := func() netip.AddrPort {
		var b [16]byte
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		a := netip.AddrFrom16(b)
		if r.IntN(2) == 0 {
			a = netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrPortFrom(a, uint16(r.IntN(65536)))
	}
	for w := 28; w < 200; w++ {
		sockets := make([]*activity.Socket, r.IntN(20))
		for i := range sockets {
			s := &activity.Socket{Proto: activity.TCP, State: activity.State(1 + r.IntN(12)), Local: end(), Since: int64(r.IntN(5)) * 1e18}
			if r.IntN(2) == 0 {
				s.Remote = end()
			}
			if r.IntN(3) > 0 {
				s.Process = &activity.Process{Name: word(), Exe: "/" + word(), Key: activity.ProcessKey{PID: r.Uint32()}, User: word(), Unit: activity.Unit{Name: word()}}
			}
			sockets[i] = s
		}
		out := string(AppendSockets(nil, sockets, Options{Width: w, Now: time.Unix(2e9, 0)}))
		if n := strings.Count(out, "\n"); n != len(sockets)+1 {
			t.Fatalf("%d lines of %d sockets:\n%s", n, len(sockets), out)
		}
		state := strings.Index(out, " STATE")
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if n := displaywidth.String(line); n > w {
				t.Fatalf("%d columns in %d: %s", n, w, line)
			}
			if state > 0 && columnAt(line, state) != ' ' {
				t.Fatalf("width %d: no gap before the state in %q", w, line)
			}
		}
	}
}

// columnAt returns the character at a terminal column of a line.
func columnAt(line string, col int) rune {
	for _, r := range line {
		w := displaywidth.Rune(r)
		if col < w {
			return r
		}
		col -= w
	}
	return ' '
}

func TestCSVQuoting(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a b": "a b", " a": `" a"`, "a ": `"a "`, "a,b": `"a,b"`, `a"b`: `"a""b"`, "a\nb": "\"a\nb\"", "\x1b": "\"\x1b\"", "=1+1": "=1+1", "é": "é",
	} {
		if got := string(appendField(nil, []byte(in))); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
}

// ExampleAppendSockets shows the table of a terminal of 80 columns.
func ExampleAppendSockets() {
	sshd := &activity.Process{Name: "sshd", Key: activity.ProcessKey{PID: 700}, User: "root", Unit: activity.Unit{Name: "ssh.service"}}
	now := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	fmt.Print(string(AppendSockets(nil, []*activity.Socket{{Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort("[::]:22"),
		Process: sshd, Owner: sshd.Key, Since: now.Add(-50 * time.Hour).UnixNano()}}, Options{Width: 80, Now: now})))
	// Output:
	// PROTO LOCAL STATE  PROCESS   USER UNIT/CONTAINER SINCE
	// tcp   *:22  LISTEN sshd(700) root ssh.service    2d
}

// limited takes so many bytes and then fails.
type limited struct {
	buf  bytes.Buffer
	room int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.buf.Len()+len(b) > l.room {
		return 0, io.ErrShortWrite
	}
	return l.buf.Write(b)
}

// TestWriteSockets: what is written in pieces is what is appended at once, and a
// writer that fails is written to no more.
func TestWriteSockets(t *testing.T) {
	for _, n := range []int{0, 1, rowsAtOnce - 1, rowsAtOnce, rowsAtOnce + 1, 2*piecesAtOnce*rowsAtOnce + 7} {
		sockets := make([]*activity.Socket, n)
		for i := range sockets {
			sockets[i] = &activity.Socket{Proto: activity.TCP, State: activity.StateListen, Cookie: uint64(i),
				Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), uint16(i))}
		}
		opt := Options{Now: time.Unix(2e9, 0), Findings: func(s *activity.Socket) []activity.Finding {
			if s.Cookie%1000 != 999 {
				return nil
			}
			return []activity.Finding{{Rule: "a-rule", Severity: activity.SeverityHigh}}
		}}
		want := AppendSockets(nil, sockets, opt)
		got := &limited{room: len(want)}
		if err := WriteSockets(got, sockets, opt); err != nil || !bytes.Equal(got.buf.Bytes(), want) {
			t.Errorf("%d sockets: %v, %d bytes, want %d", n, err, got.buf.Len(), len(want))
		}
		cut := &limited{room: len(want) / 2}
		if err := WriteSockets(cut, sockets, opt); !errors.Is(err, io.ErrShortWrite) || !bytes.HasPrefix(want, cut.buf.Bytes()) {
			t.Errorf("%d sockets: a full writer gives %v, and has %d bytes", n, err, cut.buf.Len())
		}
	}
}
