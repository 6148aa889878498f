package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// word prints an address as the kernel does on this machine.
func word(a netip.Addr) string {
	var s strings.Builder
	b := a.AsSlice()
	for i := 0; i < len(b); i += 4 {
		fmt.Fprintf(&s, "%08X", binary.NativeEndian.Uint32(b[i:]))
	}
	return s.String()
}

func tableLine(local, remote string, state int, uid, inode uint64) string {
	l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	return fmt.Sprintf("   0: %s:%04X %s:%04X %02X 00000000:00000005 00:00000000 00000000 %5d        0 %d 1 0000000000000000 100 0 0 10 0\n",
		word(l.Addr()), l.Port(), word(r.Addr()), r.Port(), state, uid, inode)
}

func TestParseTable(t *testing.T) {
	text := heading +
		tableLine("127.0.0.1:22", "0.0.0.0:0", 10, 0, 4711) +
		tableLine("[2001:db8::1]:443", "[2001:db8::2]:50000", 1, 33, 4712) +
		tableLine("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.2]:50001", 6, 0, 0)
	want := []row{
		{proto: activity.TCP, state: activity.StateListen, local: netip.MustParseAddrPort("127.0.0.1:22"), inode: 4711, rqueue: 5},
		{proto: activity.TCP, state: activity.StateEstablished, v6: true, local: netip.MustParseAddrPort("[2001:db8::1]:443"),
			remote: netip.MustParseAddrPort("[2001:db8::2]:50000"), uid: 33, inode: 4712, rqueue: 5},
		{proto: activity.TCP, state: activity.StateTimeWait, v6: true, mapped: true, mini: true, local: netip.MustParseAddrPort("192.0.2.1:443"),
			remote: netip.MustParseAddrPort("192.0.2.2:50001"), rqueue: 5},
	}
	var got []row
	if err := parseTable([]byte(text), activity.TCP, func(r *row) { got = append(got, *r) }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, compareRows()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestParseTableBad(t *testing.T) {
	good := tableLine("127.0.0.1:22", "0.0.0.0:0", 10, 0, 4711)
	for _, test := range []struct{ text, want string }{
		{"short", "fields"},
		{strings.Replace(good, ":0016", "", 1), "local address"},
		{strings.Replace(good, ":0016", ":10016", 1), "local address"},
		{strings.Replace(good, "00000000:0000 ", "0000000G:0000 ", 1), "remote address"},
		{strings.Replace(good, " 0A ", " 1FF ", 1), "state"},
		{strings.Replace(good, "4711", "x", 1), "inode"},
	} {
		err := parseTable([]byte(heading+test.text), activity.TCP, func(*row) { t.Errorf("row from %q", test.text) })
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want an error about line 2 and the %s", test.text, err, test.want)
		}
	}
}

func FuzzProcNet(f *testing.F) {
	f.Add([]byte(heading + tableLine("127.0.0.1:22", "0.0.0.0:0", 10, 0, 4711)))
	f.Add([]byte(heading + tableLine("[::ffff:192.0.2.1]:443", "[2001:db8::2]:50001", 6, 0, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = parseTable(b, activity.UDP, func(r *row) {
			if !r.local.IsValid() || r.local.Addr().Is4In6() || r.remote.Addr().Is4In6() || r.state != activity.StateBound {
				t.Fatalf("row %+v", r)
			}
		})
	})
}
