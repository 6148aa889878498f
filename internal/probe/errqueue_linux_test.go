package probe

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// queued is a control message as the kernel queues one: see parseErrQueue.
func queued(level, kind uint32, origin, icmpType, code uint8, from netip.Addr) []byte {
	d := binary.NativeEndian.AppendUint32(nil, uint32(unix.ECONNREFUSED))
	d = append(d, origin, icmpType, code, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	if from.Is4() {
		d = binary.NativeEndian.AppendUint16(d, unix.AF_INET)
		d = append(append(d, 0, 0), from.AsSlice()...)
	} else if from.Is6() {
		d = binary.NativeEndian.AppendUint16(d, unix.AF_INET6)
		d = append(append(d, 0, 0, 0, 0, 0, 0), from.AsSlice()...)
		d = append(d, 0, 0, 0, 0)
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(unix.SizeofCmsghdr+len(d)))
	b = binary.NativeEndian.AppendUint32(b, level)
	b = append(binary.NativeEndian.AppendUint32(b, kind), d...)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

func TestParseErrQueue(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	icmp4 := queued(unix.IPPROTO_IP, unix.IP_RECVERR, originICMP, 3, 13, v4)
	icmp6 := queued(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, originICMP6, 1, 4, v6)
	mapped := queued(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, originICMP, 3, 3, netip.MustParseAddr("::ffff:192.0.2.1"))
	local := queued(unix.IPPROTO_IP, unix.IP_RECVERR, 1, 0, 0, netip.Addr{})
	ttl := queued(unix.IPPROTO_IP, unix.IP_TTL, originICMP, 3, 13, v4)
	for name, tc := range map[string]struct {
		b    []byte
		want icmpError
		ok   bool
	}{
		"ICMP":             {icmp4, icmpError{3, 13, v4}, true},
		"ICMPv6":           {icmp6, icmpError{1, 4, v6}, true},
		"mapped":           {mapped, icmpError{3, 3, v4}, true},
		"after another":    {append(append([]byte{}, ttl...), icmp4...), icmpError{3, 13, v4}, true},
		"nobody":           {queued(unix.IPPROTO_IP, unix.IP_RECVERR, originICMP, 3, 1, netip.Addr{}), icmpError{Type: 3, Code: 1}, true},
		"the host's own":   {local, icmpError{}, false},
		"nothing":          {nil, icmpError{}, false},
		"cut in the head":  {icmp4[:10], icmpError{}, false},
		"cut in the error": {icmp4[:30], icmpError{}, false},
		"long":             {append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, icmp4[8:]...), icmpError{}, false},
	} {
		got, ok := parseErrQueue(tc.b)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: %+v, %v, want %+v, %v", name, got, ok, tc.want, tc.ok)
		}
	}
}

// FuzzParseErrQueue: whatever the bytes, it ends without reading past them, and an
// error that it finds is found again behind any other control message.
func FuzzParseErrQueue(f *testing.F) {
	f.Add(queued(unix.IPPROTO_IP, unix.IP_RECVERR, originICMP, 3, 13, netip.MustParseAddr("192.0.2.1")))
	f.Add(queued(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, originICMP6, 1, 4, netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseErrQueue(b)
		if !ok && e != (icmpError{}) {
			t.Fatalf("nothing, and %+v", e)
		}
		other := queued(unix.IPPROTO_IP, unix.IP_TTL, 0, 0, 0, netip.Addr{})
		if again, ok2 := parseErrQueue(append(other, b...)); again != e || ok2 != ok {
			t.Fatalf("%+v, %v; behind another %+v, %v", e, ok, again, ok2)
		}
	})
}
