package sockdiag

import (
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// hold opens n UDP and TCP sockets of this process in the thread's namespace:
// listeners on 127.1.x.y, for they are cheap to make.
func hold(b *testing.B, n int) {
	b.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if limit.Cur < uint64(n+200) {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n+200) {
			b.Skipf("at most %d open files, want %d (%v)", limit.Cur, n+200, err)
		}
	}
	for i := range n {
		addr := fmt.Sprintf("127.1.%d.%d:7", i>>8&0xff, i&0xff)
		var c interface{ Close() error }
		var err error
		if i%4 == 0 {
			c, err = net.ListenPacket("udp4", addr)
		} else {
			c, err = listenPlain(i)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
	}
}

// listenPlain makes a TCP listener without the Go poller's and Multipath TCP's
// part in it.
func listenPlain(i int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "listener")
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 7, Addr: [4]byte{127, 1, byte(i >> 8), byte(i)}}); err != nil {
		return nil, err
	}
	return f, unix.Listen(fd, 1)
}

// BenchmarkSockets is a whole snapshot: tables and holders of every process.
func BenchmarkSockets(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			inNamespace(b)
			hold(b, n)
			s, err := Open(Config{OwnNamespaceOnly: true, NoNotifications: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				if _, err := s.Sockets(func(*activity.Socket) bool { got++; return true }); err != nil || got != n {
					b.Fatalf("%d sockets, %v", got, err)
				}
			}
		})
	}
}

// BenchmarkScan is a scan that finds nothing new.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			inNamespace(b)
			hold(b, n)
			s, err := Open(Config{OwnNamespaceOnly: true, NoNotifications: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.scan(true); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.scan(false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
