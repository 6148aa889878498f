package analyse

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// listener makes the socket of a listener.
func listener(addr string, p *activity.Process) *activity.Socket {
	s := &activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort(addr), UID: activity.NoID, Process: p}
	if p != nil {
		s.Owner = p.Key
	}
	return s
}

func daemon(exe string, change func(*activity.Process)) *activity.Process {
	p := &activity.Process{Key: activity.ProcessKey{PID: rand.Uint32()}, Exe: exe, Name: baseName(exe), User: "root", Args: []string{exe}}
	if change != nil {
		change(p)
	}
	return p
}

// inShort writes changes for comparison.
func inShort(cs []Change) (lines []string) {
	for _, c := range cs {
		switch {
		case c.After == nil:
			lines = append(lines, "- "+c.Before.Local.String())
		case c.Before == nil:
			lines = append(lines, "+ "+c.After.Local.String())
		default:
			line := "~ " + c.After.Local.String()
			for _, f := range c.Fields {
				line += fmt.Sprintf(" %s:%s>%s", f.Field, f.Before, f.After)
				if f.Wider {
					line += "!"
				}
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestDiff(t *testing.T) {
	const nginx, apache = "/usr/sbin/nginx", "/usr/sbin/apache2"
	in := func(name string) func(*activity.Process) {
		return func(p *activity.Process) { p.Container.Name = name }
	}
	args := func(a ...string) func(*activity.Process) { return func(p *activity.Process) { p.Args = a } }
	type socks = []*activity.Socket
	for _, tt := range []struct {
		name          string
		before, after socks
		want          []string
	}{
		{"nothing at all", nil, nil, nil},
		{"a restart", socks{listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(nginx, nil))}, nil},
		{"new and gone", socks{listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:81", daemon(nginx, nil))}, []string{"- 0.0.0.0:80", "+ 0.0.0.0:81"}},
		{"a wider scope", socks{listener("127.0.0.1:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(nginx, nil))}, []string{"~ 0.0.0.0:80 scope:127.0.0.1>0.0.0.0!"}},
		{"a narrower scope", socks{listener("[::]:80", daemon(nginx, nil))}, socks{listener("[::1]:80", daemon(nginx, nil))}, []string{"~ [::1]:80 scope:::>::1"}},
		{"one of two families", socks{listener("0.0.0.0:80", daemon(nginx, nil)), listener("[::]:80", daemon(nginx, nil))}, socks{listener("[::]:80", daemon(nginx, nil))}, []string{"- 0.0.0.0:80"}},
		{"another program", socks{listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(apache, nil))},
			[]string{"~ 0.0.0.0:80 owner:/usr/sbin/nginx>/usr/sbin/apache2 args:/usr/sbin/nginx>/usr/sbin/apache2"}},
		{"another executable of the same name", socks{listener("0.0.0.0:80", daemon(nginx, args("nginx")))}, socks{listener("0.0.0.0:80", daemon("/tmp/nginx", args("nginx")))},
			[]string{"~ 0.0.0.0:80 owner:/usr/sbin/nginx>/tmp/nginx"}},
		{"an upgrade", socks{listener("0.0.0.0:80", daemon(nginx, func(p *activity.Process) { p.ExeSHA256, p.ExePackage = "aa", "nginx 1" }))},
			socks{listener("0.0.0.0:80", daemon(nginx, func(p *activity.Process) { p.ExeSHA256, p.ExePackage = "bb", "nginx 2" }))},
			[]string{"~ 0.0.0.0:80 sha256:aa>bb package:nginx 1>nginx 2"}},
		{"facts that are not known yet", socks{listener("0.0.0.0:80", daemon(nginx, func(p *activity.Process) { p.ExeSHA256 = "aa" }))}, socks{listener("0.0.0.0:80", daemon(nginx, nil))}, nil},
		{"the executable was replaced", socks{listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(nginx, func(p *activity.Process) { p.Deleted = true }))}, []string{"~ 0.0.0.0:80 deleted:no>yes"}},
		{"user and unit", socks{listener("0.0.0.0:80", daemon(nginx, nil))},
			socks{listener("0.0.0.0:80", daemon(nginx, func(p *activity.Process) { p.User, p.Unit.Name = "www", "nginx.service" }))},
			[]string{"~ 0.0.0.0:80 unit:>nginx.service user:root>www"}},
		{"numbers in the command line", socks{listener("0.0.0.0:80", daemon(nginx, args("nginx", "--pid=12", "c0ffee00c0ffee00")))}, socks{listener("0.0.0.0:80", daemon(nginx, args("nginx", "--pid=4711", "deadbeef12")))}, nil},
		{"words in the command line", socks{listener("0.0.0.0:80", daemon("/bin/java", args("java", "-jar", "a.jar")))}, socks{listener("0.0.0.0:80", daemon("/bin/java", args("java", "-jar", "b.jar")))},
			[]string{"~ 0.0.0.0:80 args:java -jar a.jar>java -jar b.jar"}},
		{"a port that the kernel chooses", socks{listener("0.0.0.0:40001", daemon(nginx, nil))}, socks{listener("0.0.0.0:51234", daemon(nginx, nil))}, []string{"~ 0.0.0.0:51234 port:40001>51234"}},
		{"workers are one", socks{listener("0.0.0.0:80", daemon(nginx, nil)), listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(nginx, nil))}, nil},
		{"containers", socks{listener("0.0.0.0:80", daemon(nginx, in("web1"))), listener("0.0.0.0:80", daemon(nginx, in("web2")))},
			socks{listener("0.0.0.0:80", daemon(nginx, in("web2"))), listener("0.0.0.0:80", daemon(nginx, in("web3")))}, []string{"- 0.0.0.0:80", "+ 0.0.0.0:80"}},
		{"into a container", socks{listener("0.0.0.0:80", daemon(nginx, nil))}, socks{listener("0.0.0.0:80", daemon(nginx, in("web1")))}, []string{"~ 0.0.0.0:80 container:>web1"}},
		{"an owner that is not known", socks{listener("0.0.0.0:80", nil)}, socks{listener("0.0.0.0:80", nil)}, nil},
		{"connections and ports by chance are left out", nil, socks{
			{Proto: activity.TCP, State: activity.StateEstablished, Local: netip.MustParseAddrPort("10.0.0.1:80")},
			{Proto: activity.UDP, State: activity.StateBound, Local: netip.MustParseAddrPort("0.0.0.0:40000"), AutoBind: true},
			{Proto: activity.UDP, State: activity.StateBound, Local: netip.MustParseAddrPort("10.0.0.1:40000"), Remote: netip.MustParseAddrPort("10.0.0.2:53")},
			{Proto: activity.UDP, State: activity.StateBound, Local: netip.MustParseAddrPort("0.0.0.0:53")},
		}, []string{"+ 0.0.0.0:53"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, inShort(Diff(tt.before, tt.after))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if n := len(Diff(tt.after, tt.before)); n != len(tt.want) {
				t.Errorf("the other way round there are %d differences, not %d", n, len(tt.want))
			}
			if same := Diff(tt.after, tt.after); len(same) > 0 {
				t.Errorf("compared with itself: %v", inShort(same))
			}
		})
	}
}

// TestDiffNaive: where every port has one holder, differences are what a
// comparison port by port finds.
func TestDiffNaive(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		sides := [2]map[uint16]*activity.Socket{{}, {}}
		var lists [2][]*activity.Socket
		for i := range sides {
			for range rnd.IntN(30) {
				port := uint16(1 + rnd.IntN(40))
				exe := fmt.Sprintf("/bin/x%c", 'a'+rune(rnd.IntN(3)))
				p := daemon(exe, func(p *activity.Process) { p.User = []string{"root", "www"}[rnd.IntN(2)] })
				if sides[i][port] == nil {
					sides[i][port] = listener(fmt.Sprintf("%s:%d", []string{"127.0.0.1", "0.0.0.0"}[rnd.IntN(2)], port), p)
					lists[i] = append(lists[i], sides[i][port])
				}
			}
		}
		var want []string
		for port := range uint16(41) {
			a, b := sides[0][port], sides[1][port]
			var fields []string
			switch {
			case a == nil && b == nil:
				continue
			case a == nil:
				want = append(want, "+ "+b.Local.String())
				continue
			case b == nil:
				want = append(want, "- "+a.Local.String())
				continue
			}
			if a.Local != b.Local {
				f := fmt.Sprintf("scope:%s>%s", a.Local.Addr(), b.Local.Addr())
				if a.Local.Addr().IsLoopback() {
					f += "!"
				}
				fields = append(fields, f)
			}
			if a.Process.Exe != b.Process.Exe {
				fields = append(fields, fmt.Sprintf("owner:%s>%s", a.Process.Exe, b.Process.Exe))
			}
			if a.Process.User != b.Process.User {
				fields = append(fields, fmt.Sprintf("user:%s>%s", a.Process.User, b.Process.User))
			}
			if a.Process.Exe != b.Process.Exe {
				fields = append(fields, fmt.Sprintf("args:%s>%s", a.Process.Exe, b.Process.Exe))
			}
			if len(fields) > 0 {
				want = append(want, "~ "+b.Local.String()+" "+strings.Join(fields, " "))
			}
		}
		got := inShort(Diff(lists[0], lists[1]))
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: -want +got\n%s", seed, d)
		}
	}
}

// TestDiffMany: very many holders of one port take no time that grows with the
// square of their number.
func TestDiffMany(t *testing.T) {
	var a, b []*activity.Socket
	for i := range 20_000 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		a = append(a, &activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: addr})
		if i > 0 {
			b = append(b, &activity.Socket{Proto: activity.TCP, State: activity.StateListen, Local: addr})
		}
	}
	if got := inShort(Diff(a, b)); !slices.Equal(got, []string{"- 127.0.0.0:80"}) {
		t.Errorf("%d differences", len(got))
	}
}

func connects(exe, remote string, at int64) *activity.Event {
	p := daemon(exe, nil)
	return &activity.Event{Kind: activity.KindConnect, Time: at, Proto: activity.TCP, Remote: netip.MustParseAddrPort(remote), Owner: p.Key, Process: p}
}

func TestDestinations(t *testing.T) {
	var d Destinations
	flow := connects("/bin/dig", "192.0.2.53:53", 12)
	flow.Kind, flow.Proto = activity.KindFlow, activity.UDP
	inbound := connects("/bin/named", "192.0.2.99:5353", 12)
	inbound.Kind, inbound.Flags = activity.KindFlow, activity.FlagInbound
	accept := connects("/bin/sshd", "192.0.2.98:22", 12)
	accept.Kind = activity.KindAccept
	d.Learn(connects("/bin/curl", "192.0.2.1:443", 1))
	for _, e := range []*activity.Event{
		connects("/bin/curl", "192.0.2.1:443", 10), connects("/bin/curl", "192.0.2.2:443", 11), connects("/bin/curl", "192.0.2.2:443", 15),
		connects("/bin/curl", "192.0.2.1:80", 13), connects("/bin/wget", "192.0.2.1:443", 9), flow, inbound, accept,
		connects("/bin/curl", "192.0.2.3:443", 14),
	} {
		d.Watch(e)
	}
	d.Learn(connects("/bin/curl", "192.0.2.3:443", 2)) // the clock was set back
	all, whole := d.New()
	var got []string
	for _, n := range all {
		got = append(got, fmt.Sprintf("%s %s %s x%d %d-%d", n.Process.Name, n.Proto, n.Remote, n.Count, n.First, n.Last))
	}
	want := []string{"wget tcp 192.0.2.1:443 x1 9-9", "curl tcp 192.0.2.2:443 x2 11-15", "curl tcp 192.0.2.1:80 x1 13-13", "dig udp 192.0.2.53:53 x1 12-12"}
	if d := cmp.Diff(want, got); d != "" || !whole {
		t.Errorf("whole: %v; -want +got\n%s", whole, d)
	}
}

// TestDestinationsNaive compares with sets, over random histories.
func TestDestinationsNaive(t *testing.T) {
	for seed := range uint64(50) {
		h := newHistory(seed, 500)
		half := h.events[len(h.events)/2].Time
		var d Destinations
		before, new := map[string]bool{}, map[string]uint64{}
		for _, e := range h.events {
			if e.Time < half {
				d.Learn(e)
			} else {
				d.Watch(e)
			}
			if e.Kind != activity.KindConnect {
				continue
			}
			if name := e.Process.Exe + " " + e.Remote.String(); e.Time < half {
				before[name] = true
			} else if !before[name] {
				new[name]++
			}
		}
		all, whole := d.New()
		if !whole {
			t.Errorf("seed %d: it is said not to be whole", seed)
		}
		got := map[string]uint64{}
		for _, n := range all {
			got[n.Process.Exe+" "+n.Remote.String()] = n.Count
		}
		if d := cmp.Diff(new, got); d != "" {
			t.Errorf("seed %d: -want +got\n%s", seed, d)
		}
	}
}
