package render

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestAppendAddr(t *testing.T) {
	for _, c := range []struct {
		in      netip.AddrPort
		unknown bool
		want    string
	}{
		{addr("10.0.0.1:80"), false, "10.0.0.1:80"},
		{addr("0.0.0.0:80"), false, "0.0.0.0:80"},
		{addr("[::]:80"), false, "*:80"},
		{addr("[::]:0"), false, "*:*"},
		{addr("[2001:db8::1]:443"), false, "[2001:db8::1]:443"},
		{addr("[fe80::1%eth0]:5"), false, "[fe80::1%eth0]:5"},
		{netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone("\x1b"), 5), false, `[fe80::1%\x1b]:5`},
		{netip.AddrPort{}, false, "-"},
		{netip.AddrPort{}, true, "unknown"},
	} {
		if got := string(appendAddr(nil, c.in, c.unknown)); got != c.want {
			t.Errorf("%v is shown %q, want %q", c.in, got, c.want)
		}
	}
}

// TestArrow checks that the arrow comes from who began the exchange.
func TestArrow(t *testing.T) {
	for _, c := range []struct {
		e    activity.Event
		want string
	}{
		{activity.Event{Kind: activity.KindConnect}, " -> "},
		{activity.Event{Kind: activity.KindConnectFailed, Role: activity.RoleCreator}, " -> "},
		{activity.Event{Kind: activity.KindAccept}, " <- "},
		{activity.Event{Kind: activity.KindKnock}, " <- "},
		{activity.Event{Kind: activity.KindClose}, " -> "},
		{activity.Event{Kind: activity.KindClose, Flags: activity.FlagInbound}, " <- "},
		{activity.Event{Kind: activity.KindClose, Role: activity.RoleListener}, " <- "},
		{activity.Event{Kind: activity.KindFlow, Flags: activity.FlagInbound}, " <- "},
		{activity.Event{Kind: activity.KindSnapshot}, " -- "},
		{activity.Event{Kind: activity.KindSnapshot, Role: activity.RoleCreator}, " -> "},
		{activity.Event{Kind: activity.KindSnapshot, Role: activity.RoleAcceptor}, " <- "},
	} {
		if got := arrow(&c.e); got != c.want {
			t.Errorf("%v as %v: %q, want %q", c.e.Kind, c.e.Role, got, c.want)
		}
	}
}

func TestAppendName(t *testing.T) {
	for _, c := range []struct {
		name, exe, want string
	}{
		{"sshd", "/usr/sbin/sshd", "sshd"},
		{"nginx: worker", "/usr/sbin/nginx", "nginx: worker"},
		{"systemd-resolve", "/usr/lib/systemd/systemd-resolved", "systemd-resolved"}, // cut by the kernel
		{"fifteen-letters", "/bin/other", "fifteen-letters"},
		{"", "/bin/other", "other"},
		{"", `C:\Windows\svchost.exe`, "svchost.exe"},
		{"", "", "?"},
		{"a\nb", "", `a\nb`},
	} {
		if got := string(appendName(nil, &activity.Process{Name: c.name, Exe: c.exe})); got != c.want {
			t.Errorf("%q %q is shown %q, want %q", c.name, c.exe, got, c.want)
		}
	}
	if got := string(appendName(nil, nil)); got != "?" {
		t.Errorf("no process is shown %q", got)
	}
}

func TestAppendPlace(t *testing.T) {
	for want, p := range map[string]activity.Process{
		"":                         {},
		"ssh.service":              {Unit: activity.Unit{Name: "ssh.service"}},
		"docker:web":               {Container: activity.Container{Runtime: "docker", ID: "4f5a6b7c8d9e0f", Name: "web"}},
		"docker:4f5a6b7c8d9e":      {Container: activity.Container{Runtime: "docker", ID: "4f5a6b7c8d9e0f"}},
		"shop/front":               {Container: activity.Container{ID: "4f5a6b7c8d9e0f", Pod: "shop/front"}},
		"docker.service lxc:db":    {Unit: activity.Unit{Name: "docker.service"}, Container: activity.Container{Runtime: "lxc", Name: "db"}},
		`a\x1b.service podman:\nx`: {Unit: activity.Unit{Name: "a\x1b.service"}, Container: activity.Container{Runtime: "podman", Name: "\nx"}},
	} {
		if got := string(appendPlace(nil, &p, "")); got != want {
			t.Errorf("%+v is shown %q, want %q", p, got, want)
		}
	}
}

// TestWordsBesideColour checks that colour only ever adds: without its codes the
// painted lines are the plain ones.
func TestWordsBesideColour(t *testing.T) {
	plain, painted := NewText(Options{}), NewText(Options{Color: true})
	strip := func(s string) string {
		var b strings.Builder
		for {
			head, rest, found := strings.Cut(s, "\x1b[")
			b.WriteString(head)
			if !found {
				return b.String()
			}
			_, s, _ = strings.Cut(rest, "m")
		}
	}
	for _, e := range samples() {
		want := string(plain.Append(nil, e))
		got := string(painted.Append(nil, e))
		if strip(got) != want {
			t.Errorf("%v: painted %q, plain %q", e.Kind, got, want)
		}
		if got == want {
			t.Errorf("%v: no colour at all", e.Kind)
		}
	}
	sockets := sampleSockets()
	want := string(AppendSockets(nil, sockets, Options{Width: 90}))
	if got := string(AppendSockets(nil, sockets, Options{Width: 90, Color: true})); strip(got) != want {
		t.Errorf("painted\n%s\nplain\n%s", got, want)
	}
}
