package talk_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/probe/internal/talk"
)

func open(t *testing.T, ctx context.Context, f func(net.Conn)) *talk.Conn {
	t.Helper()
	c, err := talk.Open(ctx, probetest.Dialer{Addr: probetest.Serve(t, f)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConn(t *testing.T) {
	long := strings.Repeat("x", 6000)
	c := open(t, t.Context(), func(c net.Conn) {
		b := make([]byte, 5)
		n, _ := c.Read(b)
		_, _ = c.Write([]byte("one\r\ntwo\n\n" + string(b[:n]) + long))
	})
	if err := c.Send([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two", ""} {
		if l, err := c.Line(); l != want || err != nil {
			t.Errorf("line %q, %v; want %q", l, err, want)
		}
	}
	if b, err := c.Full(5); string(b) != "hello" || err != nil {
		t.Errorf("full: %q, %v", b, err)
	}
	if _, err := c.Line(); err == nil {
		t.Error("a line longer than the buffer is no error")
	}
	if _, err := c.Full(1 << 20); err == nil {
		t.Error("1 MiB is no error")
	}
	if s := c.Seen(); len(s) != 4096 || !strings.HasPrefix(string(s), "one\r\n") {
		t.Errorf("%d bytes seen", len(s))
	}
}

// TestFramed: head and body, and what goes wrong in each.
func TestFramed(t *testing.T) {
	size := func(head []byte) (int, error) {
		if head[0] == '!' {
			return 0, errors.New("no head")
		}
		return int(head[0] - '0'), nil
	}
	for says, want := range map[string]string{"3xabc": "3x+abc", "0x": "0x+", "5xabc": "", "!xabc": "", "3": ""} {
		c := open(t, t.Context(), func(c net.Conn) { _, _ = c.Write([]byte(says)) })
		head, body, err := c.Framed(2, size)
		if got := string(head) + "+" + string(body); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", says, got, err)
		}
	}
}

// TestEnds: what waits ends with the context, whether by deadline or by cancel.
func TestEnds(t *testing.T) {
	for _, how := range []string{"deadline", "cancel", "none"} {
		ctx, cancel := context.WithCancel(t.Context())
		if how == "deadline" {
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		}
		addr := probetest.Serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }) // until we close
		c, err := talk.Open(ctx, probetest.Dialer{Addr: addr, Timeout: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if how == "cancel" {
			time.AfterFunc(time.Millisecond, cancel)
		}
		if _, err := c.Full(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", how, err)
		}
		c.Close()
		cancel()
	}
}

func TestFail(t *testing.T) {
	cause := errors.New("no version")
	a, err := talk.Fail("x", nil, cause)
	if a != nil || errors.Is(err, probe.ErrProtocol) || !errors.Is(err, cause) {
		t.Errorf("silence: %v, %v", a, err)
	}
	a, err = talk.Fail("x", make([]byte, 9000), cause)
	if len(a.Raw) != 4096 || !errors.Is(err, probe.ErrProtocol) || !errors.Is(err, cause) {
		t.Errorf("another protocol: %d bytes, %v", len(a.Raw), err)
	}
	if _, again := talk.Fail("y", []byte("b"), err); strings.Count(again.Error(), probe.ErrProtocol.Error()) != 1 {
		t.Errorf("said twice: %v", again)
	}
}

func yes(b []byte) bool { return string(b) == "yes" }

func ask(t *testing.T, addr netip.AddrPort, wait time.Duration) (string, error) {
	t.Helper()
	b, err := talk.Ask(t.Context(), probetest.Dialer{Addr: addr, Timeout: wait}, []byte("?"), yes)
	return string(b), err
}

func TestAsk(t *testing.T) {
	var n atomic.Int32
	second := probetest.ServeUDP(t, func([]byte) [][]byte {
		if n.Add(1) == 1 {
			return nil // lost
		}
		return [][]byte{[]byte("late answer of another"), []byte("yes")}
	})
	if b, err := ask(t, second, 50*time.Millisecond); b != "yes" || err != nil {
		t.Errorf("the second question: %q, %v", b, err)
	}

	other := probetest.ServeUDP(t, func([]byte) [][]byte { return [][]byte{[]byte("no"), []byte("never")} })
	if b, err := ask(t, other, 10*time.Millisecond); b != "no" || !errors.Is(err, probe.ErrProtocol) {
		t.Errorf("others' datagrams: %q, %v", b, err)
	}

	n.Store(0)
	silent := probetest.ServeUDP(t, func([]byte) [][]byte { n.Add(1); return nil })
	if _, err := ask(t, silent, 10*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || n.Load() != 2 {
		t.Errorf("silence: %v after %d questions", err, n.Load())
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := talk.Ask(ctx, probetest.Dialer{Addr: silent}, []byte("?"), yes); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What is asked besides is asked again too.
func TestAskAlso(t *testing.T) {
	var n atomic.Int32
	addr := probetest.ServeUDP(t, func(b []byte) [][]byte {
		if string(b) == "also" && n.Add(1) == 2 { // the first is lost
			return [][]byte{[]byte("yes")}
		}
		return nil
	})
	d := probetest.Dialer{Addr: addr}
	c, err := d.UDP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := talk.AskOn(t.Context(), c, 50*time.Millisecond, []byte("?"), yes, []byte("also")); string(b) != "yes" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestLineOfBytes: no line is waited for where no text begins.
func TestLineOfBytes(t *testing.T) {
	for _, first := range []string{"\x00", "\xff", "\x16\x03", "\x7f"} {
		c := open(t, t.Context(), func(c net.Conn) {
			_, _ = c.Write([]byte(first))
			_, _ = c.Read(make([]byte, 1))
		})
		if l, err := c.Line(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q reads as %q, %v", first, l, err)
		}
	}
}
