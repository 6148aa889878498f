package memcached

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const question = "version\r\n"

// frame is what stands before each datagram (memcached's protocol.txt, "UDP
// protocol"): request id, sequence, count of datagrams, reserved.
func frame(id uint16) []byte {
	return []byte{byte(id >> 8), byte(id), 0, 0, 0, 1, 0, 0}
}

// unframe returns what a datagram says to request id.
func unframe(b []byte, id uint16) (string, error) {
	r := octets.New(b)
	got, seq, count := r.U16(), r.U16(), r.U16()
	r.Skip(2)
	if r.Err() != nil || got != id || seq != 0 || count == 0 {
		return "", errors.New("no frame of memcached")
	}
	return string(r.Rest()), nil
}

// uptime reads a line of statistics: "STAT uptime 46". False is another one.
func uptime(line string) (time.Duration, bool) {
	v, ok := strings.CutPrefix(line, "STAT uptime ")
	n, err := strconv.ParseUint(v, 10, 32)
	return time.Duration(n) * time.Second, ok && err == nil
}

// version reads the answer's line.
func version(line string) (string, error) {
	v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "VERSION ")
	if !ok || v == "" || strings.ContainsAny(v, "\r\n") {
		return "", errors.New("no VERSION")
	}
	return v, nil
}
