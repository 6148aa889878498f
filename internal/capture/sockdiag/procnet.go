package sockdiag

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxTable bounds what is read of one /proc/PID/net file: 150 bytes a socket
// make some 400,000 sockets.
const maxTable = 64 << 20

// parseTable calls yield for each socket of a /proc/PID/net/{tcp,udp}[6] file
// (proc_pid_net(5)); the row is valid during the call only.
//
//	sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
//	 0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0       1234  ...
//
// Addresses are hexadecimal words in the byte order of the machine, ports are
// plain hexadecimal numbers.
func parseTable(b []byte, proto activity.Proto, yield func(*row)) error {
	line := 0
	for len(b) > 0 {
		var l []byte
		l, b, _ = bytes.Cut(b, []byte("\n"))
		line++
		if line == 1 || len(l) == 0 {
			continue // the headings
		}
		var r row
		if err := parseLine(l, proto, &r); err != nil {
			return fmt.Errorf("line %d %q: %w", line, l[:min(len(l), 80)], err)
		}
		yield(&r)
	}
	return nil
}

func parseLine(l []byte, proto activity.Proto, r *row) error {
	f := bytes.Fields(l)
	if len(f) < 10 {
		return fmt.Errorf("%d fields, want 10 or more", len(f))
	}
	local, v6, err := parseHexAddr(f[1])
	if err != nil {
		return fmt.Errorf("local address: %w", err)
	}
	remote, _, err := parseHexAddr(f[2])
	if err != nil {
		return fmt.Errorf("remote address: %w", err)
	}
	state, err := strconv.ParseUint(string(f[3]), 16, 8)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	_, rx, _ := bytes.Cut(f[4], []byte(":"))
	queue, err := strconv.ParseUint(string(rx), 16, 32)
	if err != nil {
		return fmt.Errorf("receive queue: %w", err)
	}
	uid, err := strconv.ParseUint(string(f[7]), 10, 32)
	if err != nil {
		return fmt.Errorf("uid: %w", err)
	}
	inode, err := strconv.ParseUint(string(f[9]), 10, 64)
	if err != nil {
		return fmt.Errorf("inode: %w", err)
	}
	*r = row{proto: proto, v6: v6, state: socketState(proto, uint8(state)),
		uid: uint32(uid), inode: inode, rqueue: uint32(queue)}
	r.setAddrs(local, remote)
	r.mini = r.state == activity.StateTimeWait
	return nil
}

// parseHexAddr decodes "0100007F:0016", or the same with four words for IPv6.
func parseHexAddr(s []byte) (a netip.AddrPort, v6 bool, err error) {
	addr, port, ok := bytes.Cut(s, []byte(":"))
	if !ok || len(addr) != 8 && len(addr) != 32 {
		return a, false, fmt.Errorf("%q is not an address", s)
	}
	p, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return a, false, fmt.Errorf("port %q: %w", port, err)
	}
	var raw [16]byte
	n, err := hex.Decode(raw[:], addr)
	if err != nil {
		return a, false, fmt.Errorf("%q: %w", addr, err)
	}
	for i := 0; i < n; i += 4 { // printed as a number, so most significant first
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	if n == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[:4])), uint16(p)), false, nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw), uint16(p)), true, nil
}
