package link_test

import (
	"net"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/link"
)

// exchange sends n datagrams over a link, one after the other, and returns how
// many were answered and how long the fastest took.
func exchange(t *testing.T, c link.Config, network string, end, n int) (answered int, fastest time.Duration) {
	t.Helper()
	a := testutil.NewNetNS(t)
	b := a.Link(c)
	addr := []string{testutil.Veth4[1].Addr().String(), testutil.Veth6[1].Addr().String()}[end]
	var server net.PacketConn
	b.Do(func() {
		var err error
		if server, err = net.ListenPacket(network, net.JoinHostPort(addr, "7000")); err != nil {
			t.Fatal(err)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 10)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buf[:n], from)
		}
	}()
	defer func() { server.Close(); <-done }()

	var client net.Conn
	a.Do(func() {
		var err error
		if client, err = net.Dial(network, server.LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
	})
	defer client.Close()
	fastest = time.Hour
	for i := range n {
		start := time.Now()
		_ = client.SetReadDeadline(start.Add(2*c.Delay + 100*time.Millisecond))
		if _, err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if hears(client, byte(i)) {
			answered++
			fastest = min(fastest, time.Since(start))
		}
	}
	return answered, fastest
}

// hears waits for the answer to a datagram, and not a late one to another.
func hears(c net.Conn, want byte) bool {
	b := make([]byte, 10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return false
		}
		if n == 1 && b[0] == want {
			return true
		}
	}
}

// TestDelay: nothing is faster than the link, by both versions.
func TestDelay(t *testing.T) {
	for end, network := range []string{"udp4", "udp6"} {
		n, fastest := exchange(t, link.Config{Delay: 15 * time.Millisecond}, network, end, 10)
		if n == 0 || fastest < 30*time.Millisecond {
			t.Errorf("%s: %d answers of 10, the first in %v", network, n, fastest)
		}
	}
}

// TestLoss: a link loses some, or all.
func TestLoss(t *testing.T) {
	if n, _ := exchange(t, link.Config{Loss: 1}, "udp4", 0, 3); n != 0 {
		t.Errorf("%d answers over a link that loses all", n)
	}
	if n, _ := exchange(t, link.Config{Loss: 0.5, Seed: 1}, "udp4", 0, 30); n == 0 || n == 30 {
		t.Errorf("%d answers of 30 over a link that loses half, each way", n)
	}
}
