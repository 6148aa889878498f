package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what a link does to each packet, both ways alike.
type Config struct {
	Delay time.Duration // one way
	Loss  float64       // the part of the packets that it loses, 0 to 1
	Seed  uint64        // which ones
}

const (
	maxPacket = 2048    // of the device's MTU of 1,500
	waiting   = 1 << 16 // packets on their way; what comes beyond is lost
)

// Tun makes a TUN device in the network namespace that the calling thread is in.
// It goes away when the file is closed.
func Tun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	r, err := unix.NewIfreq(name)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Carry carries packets between two TUN devices until either is closed.
func Carry(a, b *os.File, c Config) {
	var group sync.WaitGroup
	for i, way := range [][2]*os.File{{a, b}, {b, a}} {
		group.Go(func() { carry(way[0], way[1], c, rand.New(rand.NewPCG(c.Seed, uint64(i)))) })
	}
	group.Wait()
}

// packet is due at its end of the link.
type packet struct {
	data []byte
	due  time.Time
}

// carry is one way of the link.
func carry(from, to *os.File, c Config, rng *rand.Rand) {
	under, free := make(chan packet, waiting), make(chan []byte, 1024)
	var group sync.WaitGroup
	group.Go(func() { deliver(to, under, free) })
	defer group.Wait()
	defer close(under)
	for {
		buf := room(free)
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) || n == 0 && err != nil {
			return
		}
		if rng.Float64() < c.Loss {
			continue
		}
		select {
		case under <- packet{buf[:n], time.Now().Add(c.Delay)}:
		default: // as a queue that is full does
		}
	}
}

// room is a buffer for a packet, a used one if there is one.
func room(free chan []byte) []byte {
	select {
	case b := <-free:
		return b[:maxPacket]
	default:
		return make([]byte, maxPacket)
	}
}

// deliver writes packets when they are due.
func deliver(to *os.File, under <-chan packet, free chan<- []byte) {
	for p := range under {
		if d := time.Until(p.due); d > 0 {
			time.Sleep(d)
		}
		_, _ = to.Write(p.data) // a device that is down loses it
		select {
		case free <- p.data:
		default:
		}
	}
}
