package netconf_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/netconf"
)

func TestLink(t *testing.T) {
	n := testutil.NewNetNS(t)
	n.Do(func() {
		for _, step := range []struct {
			what string
			err  error
		}{
			{"veth", netconf.Veth("a0", "a1", -1)},
			{"address", netconf.AddAddr("a0", netip.MustParsePrefix("198.51.100.2/24"))},
			{"address 6", netconf.AddAddr("a0", netip.MustParsePrefix("2001:db8::2/64"))},
			{"up", netconf.Up("a0")},
			{"up", netconf.Up("a1")},
			{"neighbour", netconf.AddNeigh("a0", netip.MustParseAddr("198.51.100.9"), [6]byte{2, 0, 0, 0, 0, 9})},
			{"route", netconf.AddRoute(netip.MustParsePrefix("203.0.113.0/24"), netconf.Unreachable)},
			{"route 6", netconf.AddRoute(netip.MustParsePrefix("2001:db8:1::/48"), netconf.Prohibit)},
		} {
			if step.err != nil {
				t.Errorf("%s: %v", step.what, step.err)
			}
		}
		i, err := net.InterfaceByName("a0")
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		for _, want := range []string{"198.51.100.2/24", "2001:db8::2/64"} {
			if !strings.Contains(strings.Join(got, " "), want) {
				t.Errorf("addresses %v, want %s", got, want)
			}
		}
		neighbours, err := os.ReadFile("/proc/thread-self/net/arp")
		if err != nil || !strings.Contains(string(neighbours), "02:00:00:00:00:09") {
			t.Errorf("neighbours: %v\n%s", err, neighbours)
		}
		if _, err := net.Dial("tcp", "203.0.113.1:1"); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("dial by the unreachable route: %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	n := testutil.NewNetNS(t)
	n.Do(func() {
		if err := netconf.Up("none"); err == nil || !strings.Contains(err.Error(), `link "none"`) {
			t.Errorf("%v", err)
		}
		if err := netconf.Veth("lo", "x1", -1); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%v, want EEXIST", err)
		}
	})
}
