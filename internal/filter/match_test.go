package filter

import (
	"net/netip"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestMatchUnit(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		exact, want   bool
	}{
		{"ssh.service", "ssh", false, true},
		{"ssh.service", "ssh", true, false},
		{"ssh.service", "SSH.service", true, true},
		{"ssh.socket", "ssh", false, false},
		{"ssh.socket", "ssh.*", false, true},
		{"Dhcp,eventlog, Wcmsvc", "eventlog", false, true},
		{"Dhcp,eventlog, Wcmsvc", "wcmsvc", false, true},
		{"Dhcp,eventlog, Wcmsvc", "Dhcp", false, true},
		{"Dhcp,eventlog, Wcmsvc", "Dhc", false, false},
		{"Dhcp,,", "", false, false},
		{"", "", false, true},
		{"", "*", false, false},
		{".service", "*", false, true},
	} {
		p := newPattern(c.pattern, c.exact)
		if got := matchUnit(c.name, &p, c.exact); got != c.want {
			t.Errorf("unit %q, pattern %q, exact %v: %v, want %v", c.name, c.pattern, c.exact, got, c.want)
		}
	}
}

func TestMatchArgs(t *testing.T) {
	args := []string{"python3", "-m", "http.server", "--bind", "::1", "", "a b"}
	for _, c := range []struct {
		pattern     string
		exact, want bool
	}{
		{"http", false, true},
		{"HTTP", false, false},
		{"-m http", false, true},
		{"-m  http", false, false},
		{"http.server", true, true},
		{"http", true, false},
		{"a b", true, true},
		{"a b", false, true},
		{"::1  a", false, true}, // the empty argument is between
		{"python3 *", false, true},
		{"*http*", false, true},
		{"*-m http*", false, true},
		{"http*", false, true},
		{"?python*", false, false},
		{"*", false, true},
		{"", false, false},
		{"", true, false},
	} {
		p := newPattern(c.pattern, c.exact)
		if got := matchArgs(args, &p, c.exact); got != c.want {
			t.Errorf("pattern %q, exact %v: %v, want %v", c.pattern, c.exact, got, c.want)
		}
	}
}

func TestMatchUser(t *testing.T) {
	for _, c := range []struct {
		name    string
		id      uint32
		pattern string
		want    bool
	}{
		{"root", 0, "root", true},
		{"root", 0, "0", true},
		{"root", 0, "ROOT", true},
		{"root", 0, "00", true},
		{`CORP\alice`, activity.NoID, `corp\*`, true},
		{"", 33, "33", true},
		{"", 33, "*", true},
		{"", 33, "", false},
		{"", activity.NoID, "", true},
		{"", activity.NoID, "*", false},
		{"", activity.NoID, "4294967295", false},
	} {
		p := newPattern(c.pattern, false)
		if got := matchUser(c.name, c.id, &p); got != c.want {
			t.Errorf("user %q %d, pattern %q: %v, want %v", c.name, c.id, c.pattern, got, c.want)
		}
	}
}

// TestCounters checks which counters an event has: a zero is a value where the
// kind promises one, and none where it is not known.
func TestCounters(t *testing.T) {
	e := func(k activity.Kind, f func(*activity.Event)) *activity.Event {
		e := &activity.Event{Kind: k, Proto: activity.TCP}
		if f != nil {
			f(e)
		}
		return e
	}
	unknown := func(f activity.Facts) func(*activity.Event) {
		return func(e *activity.Event) { e.Unknown = f }
	}
	for _, c := range []struct {
		src  string
		e    *activity.Event
		want bool
	}{
		{"rx:0", e(activity.KindClose, nil), true},
		{"rx:0", e(activity.KindClose, unknown(activity.FactBytes)), false},
		{"rx:0", e(activity.KindListen, nil), false},
		{"bytes:*", e(activity.KindFlow, func(e *activity.Event) { e.Tx = 5 }), true},
		{"duration<1s", e(activity.KindUnlisten, nil), true},
		{"duration<1s", e(activity.KindUnlisten, unknown(activity.FactDuration)), false},
		{"duration:0", e(activity.KindClose, func(e *activity.Event) { e.Duration = -5 }), true}, // a clock that went back
		{"retransmits:0", e(activity.KindClose, nil), true},
		{"retransmits:0", e(activity.KindUnlisten, nil), false},
		{"rtt<1s", e(activity.KindClose, nil), false}, // no sample is no short one
		{"packets:0", e(activity.KindFlowEnd, unknown(activity.FactPackets)), false},
		{"bytes>=18446744073709551615", e(activity.KindClose, func(e *activity.Event) { e.Rx, e.Tx = 1<<63, 1<<63 }), true},
	} {
		if got := mustParse(t, c.src).Match(c.e); got != c.want {
			t.Errorf("%s of %v %+v: %v, want %v", c.src, c.e.Kind, c.e, got, c.want)
		}
	}
}

// TestSocketKind checks that a socket answers to the kind that opened it.
func TestSocketKind(t *testing.T) {
	for _, c := range []struct {
		s    activity.Socket
		want activity.Kind
	}{
		{activity.Socket{Proto: activity.TCP, State: activity.StateListen}, activity.KindListen},
		{activity.Socket{Proto: activity.UDP, State: activity.StateBound}, activity.KindBind},
		{activity.Socket{Proto: activity.TCP, State: activity.StateEstablished, Role: activity.RoleAcceptor}, activity.KindAccept},
		{activity.Socket{Proto: activity.TCP, State: activity.StateEstablished, Role: activity.RoleListener}, activity.KindAccept},
		{activity.Socket{Proto: activity.TCP, State: activity.StateSynSent, Role: activity.RoleCreator}, activity.KindConnect},
		{activity.Socket{Proto: activity.TCP, State: activity.StateTimeWait}, activity.KindSnapshot},
	} {
		if got := c.s.Opening().Kind; got != c.want {
			t.Errorf("%+v: %v, want %v", c.s, got, c.want)
		}
	}
}

// TestEnd checks that an unspecified remote end is none, however it is written.
func TestEnd(t *testing.T) {
	for in, want := range map[string]bool{"0.0.0.0:0": false, "[::]:0": false, "0.0.0.0:80": true, "10.0.0.1:0": true} {
		if _, got := end(netip.MustParseAddrPort(in)); got != want {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
	if _, got := end(netip.AddrPort{}); got {
		t.Error("the zero value is an end")
	}
}
