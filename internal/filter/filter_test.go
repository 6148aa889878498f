package filter

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// now is a Tuesday afternoon in a zone two hours east, so that a mix-up of
// zones shows.
func testOptions() Options {
	return Options{Now: time.Date(2026, 11, 24, 15, 30, 45, 0, time.UTC), Location: time.FixedZone("EET", 2*3600),
		Services: func(s string) (uint16, bool) { return 4711, s == "our-app" }}
}

func nginx() *activity.Process {
	return &activity.Process{ID: 7, Key: activity.ProcessKey{PID: 811, Start: 5}, Name: "nginx", Exe: "/usr/sbin/nginx",
		Args: []string{"nginx: worker", "-g", "daemon off;"}, Cwd: "/srv/www",
		Ancestors: []activity.ProcessRef{{Key: activity.ProcessKey{PID: 810}, Name: "nginx"}, {Key: activity.ProcessKey{PID: 1}, Name: "systemd"}},
		UID:       33, EUID: 0, LoginUID: activity.NoID, User: "www-data", EffectiveUser: "root", Deleted: true,
		ExeSHA256: "deadbeef0123", ExePackage: "nginx 1.22.1-9", Cgroup: "/system.slice/nginx.service",
		Unit:      activity.Unit{Name: "nginx.service"},
		Container: activity.Container{Runtime: "docker", ID: "4f5a6b7c8d9e0f", Name: "web", Image: "nginx:1.22", Pod: "shop/front-1"}, Modules: 9}
}

// closing is a connection's end with every field that an event can have.
func closing() *activity.Event {
	return &activity.Event{Time: time.Date(2026, 11, 24, 14, 0, 30, 0, time.UTC).UnixNano(), Seq: 1042, Kind: activity.KindClose, Proto: activity.TCP,
		Tier: activity.TierEBPF, Role: activity.RoleAcceptor, Reason: activity.ReasonReset, Errno: 104,
		Flags: activity.FlagReset | activity.FlagInbound, Unknown: activity.FactCloser,
		Local: netip.MustParseAddrPort("10.1.2.3:443"), Remote: netip.MustParseAddrPort("203.0.113.9:50111"), NetNS: 4026531833, Socket: 87,
		Owner: activity.ProcessKey{PID: 811, Start: 5}, Process: nginx(), Holders: []*activity.Process{{Key: activity.ProcessKey{PID: 812}, Name: "nginx2"}},
		Rx: 1_500_000, Tx: 10, RxPackets: 1000, TxPackets: 7, Duration: 90e9, RTT: 20_000, Retransmits: 3}
}

func listening() *activity.Event {
	return &activity.Event{Time: 1, Kind: activity.KindListen, Proto: activity.TCP, Provenance: activity.Inferred, Unknown: activity.FactOwner,
		Local: netip.MustParseAddrPort("[::]:22"), Remote: netip.MustParseAddrPort("0.0.0.0:0")}
}

func modules(id activity.ModuleSetID) *activity.ModuleSet {
	if id != 9 {
		return nil
	}
	return &activity.ModuleSet{Modules: []activity.Module{{Path: "/usr/lib/liblzma.so.5.6.0", Package: "liblzma5 5.6.0"}}}
}

func mustParse(t testing.TB, src string) *Expr {
	t.Helper()
	opt := testOptions()
	opt.Modules = modules
	x, err := Parse(src, opt)
	if err != nil {
		t.Fatalf("Parse(%q): %v", src, err)
	}
	return x
}

// TestMatch asks each question of the closing connection, and of a listener
// whose owner is not known: c, l or both say who answers yes.
func TestMatch(t *testing.T) {
	for src, want := range map[string]string{
		"": "cl", "  ": "cl",
		"kind:close": "c", "kind:listen,close": "cl", "kind:un*,lis*": "l", "kind!=close": "l", "KIND:Close": "c", "kind:*": "cl",
		"proto:tcp": "cl", "proto:udp": "", "tier:ebpf": "c", "tier:*": "c", "role:acceptor": "c", "provenance:inferred": "l",
		"reason:reset": "c", "reason:*": "c", "unknown:owner": "l", "unknown:closer,rtt": "c", "unknown:*": "cl", "state:listen": "",
		"port:443": "c", "port:22": "l", "port:ssh": "l", "port:https,ssh": "cl", "port:our-app": "", "port:400-500": "c", "port:400..500": "c",
		"lport:443": "c", "rport:443": "", "rport:*": "c", "port<1024": "cl", "lport>=443": "c", "rport>1024": "c", "port!=443": "l", "port=22": "l", "port<0": "",
		"ip:10.0.0.0/8": "c", "ip:10.1.*": "c", "remote:10.0.0.0/8": "", "local:10.1.2.3": "c", "local:10.1.2.3:443": "c", "local:10.1.2.3:80": "",
		"local:::": "l", "local:[::]:22": "l", "local:unspecified:22": "l", "remote:*": "c", "local:*:ssh": "l", "local::22": "l",
		"remote:public": "c", "local:private": "c", "local:private:443": "c", "ip:loopback": "", "remote:::ffff:203.0.113.0/120": "c", "local.ip:10.1.2.3": "c",
		"pid:811": "c", "pid:1-900": "c", "pid>1000": "", "pid:*": "c", "ppid:810": "c", "uid:33": "c", "uid<1000": "c", "euid:0": "c", "process.pid:811": "c",
		"netns:4026531833": "c", "socket:87": "c", "seq:1042": "c", "errno:104": "c", "closer:*": "",
		"rx>1MB": "c", "rx:1.5MB": "c", "rx>=1500k": "c", "rx>1.5MB": "", "rx<1MiB": "", "bytes>1500kB": "c", "tx:10": "c", "bytes:*": "c", "rx>=0": "c",
		"packets:1007": "c", "packets>1k": "c", "txpackets:7": "c", "retransmits>2": "c",
		"duration>1m": "c", "duration:90s": "c", "duration:1m30s": "c", "duration:1m..2m": "c", "duration>2h": "", "rtt:20ms": "c", "rtt<10ms": "",
		"reset:yes": "c", "reset:no": "l", "mapped:true": "", "inbound:1": "c", "deleted:yes": "c", "memfd:no": "cl",
		"process:nginx": "c", "process:NGINX": "c", "process:ng*": "c", "name:nginx": "c", "name=ng*": "", "name!=ng*": "l", "name:*": "c", `name:""`: "l",
		"exe:nginx": "c", "exe:*/nginx": "c", "exe:/usr/sbin/nginx": "c", "exe:/usr/*": "c", "exe:Nginx": "", "exe:*[x]": "c", "exe:/bin/*": "",
		"args:daemon": "c", `args:"daemon off;"`: "c", `args:"-g daemon"`: "c", "args:-g": "c", `args:"*worker -g*"`: "c", "args=-g": "c", "args=daemon": "", `args:""`: "l",
		"cwd:/srv/*": "c", "cwd:www": "c", "parent:nginx": "c", "parent:810": "c", "parent:1": "", "ancestor:systemd": "c", "ancestor:1": "c",
		"user:www-data": "c", "user:33": "c", "user:WWW-*": "c", "user:root": "", "euser:root": "c", "euser:0": "c", "login:*": "", `login:""`: "cl",
		"unit:nginx.service": "c", "unit:nginx": "c", "unit=nginx": "", "unit:ng*": "c", "unit:*": "c", "-unit:*": "l", "service:nginx": "c",
		"container:web": "c", "container:4f5a6b": "c", "container:4f5a": "", "container:*": "c", `container:""`: "l", "runtime:docker": "c", "image:nginx:*": "c",
		"pod:shop/front-1": "c", "pod:front-*": "c", "pod:shop": "", "cgroup:*nginx*": "c", "package:nginx*": "c", "sha256:DEADBEEF": "c", "sha256=deadbeef": "",
		"module:liblzma*": "c", "module:/usr/lib/*": "c", `module:"liblzma5 5.6*"`: "c", "module:libc*": "",
		"holder:nginx2": "c", "holder:812": "c", "holder:nginx": "c", "holder:811": "c", "holder:bash": "",
		"since:2h": "c", "since:1h": "", "since:today": "c", "until:today": "l", "at:today": "c", `at:"2026-11-24 16:00"`: "c", "at:16:00": "c", "at:14:00": "",
		"time>=2026-11-24T14:00:30Z": "c", "time>2026-11-24T14:00:30Z": "", "time<=2026-11-24T14:00:30Z": "cl", "time<2026-11-24T14:00:30Z": "l",
		"at:2026-11": "c", "at:yesterday..now": "c", `since:"yesterday 14:00"`: "c", "at:2h": "c", "at:1d": "c", "at:10m": "",
		"since:yesterday 14:00": "c", "(at:2026-11-24 16:00)": "c", "at:2026-11-24 16:00:30 kind:close": "c", "at:today 14:00": "", "at:yesterday..today 17:00": "c",
		"since:today 443": "c", "since:today 14": "",
		"nginx": "c", "Web": "c", "www-data": "c", "443": "c", "https": "c", "ssh": "l", "811": "", "10.0.0.0/8": "c", "203.0.113.9": "c", ":22": "l",
		"*:22": "l", "[::]:22": "l", "::": "l", "::/0": "l", "close": "c", "tcp": "cl", "22,443": "cl", "nginx,ssh": "cl", "/usr/sbin/nginx": "c", "*bin/nginx": "c",
		"ngin": "", "ngin*": "c", "70000": "", "100000-200000": "",
		"port:443 kind:close": "c", "port:443 kind:listen": "", "port:443 or port:22": "cl", "port:443 and not kind:listen": "c", "PORT:443 AND kind:close OR port:22": "cl",
		"(port:443 or port:22) -kind:close": "l", "-(port:443 or port:1)": "l", "not not port:22": "l", "!port:443": "l", "port:443 && user:33 || ssh": "cl", "not(port:22)": "c",
	} {
		x := mustParse(t, src)
		got := ""
		if x.Match(closing()) {
			got += "c"
		}
		if x.Match(listening()) {
			got += "l"
		}
		if got != want {
			t.Errorf("%q (%s): matches %q, want %q", src, x, got, want)
		}
		again := mustParse(t, x.String())
		if again.String() != x.String() {
			t.Errorf("%q prints %q, which prints %q", src, x, again)
		}
		if again.Match(closing()) != x.Match(closing()) || again.Match(listening()) != x.Match(listening()) {
			t.Errorf("%q and its canonical form %q match different events", src, x)
		}
	}
}

func TestString(t *testing.T) {
	for src, want := range map[string]string{
		"port:3389 kind:accept remote:10.0.0.0/8 user:root exe:*/sshd since:2h -unit:ssh.service bytes>1MB": "port:3389 kind:accept remote:10.0.0.0/8 user:root exe:*/sshd since:2026-11-24T13:30:45Z -unit:ssh.service bytes>1MB",
		"port:443,80,81-90,https": "port:80-90,443", "kind:*-failed": "kind:bind-failed,connect-failed", "PORT=ssh": "port:22", "port!=22": "-port:22",
		"((a b) or (c))": "a b or c", "a (b or c)": "a (b or c)", "not (a and b)": "-(a b)", "- - a": "", "--a": "",
		"bytes>1500000": "bytes>1500kB", "bytes>1048576": "bytes>1MiB", "duration:90s": "duration:90s", "duration<0": "duration<0", "rtt>1.5ms": "rtt>1500us",
		"at:today": "at:2026-11-23T22:00:00Z..2026-11-24T22:00:00Z", "until:yesterday": "until:2026-11-22T22:00:00Z",
		`name:"a b","c""d"`: `name:"a b","c""d"`, `"or"`: `"or"`, `"a:b"`: `"a:b"`, "3389": "port:3389", "70000": "pid:70000", "::1": "ip:::1", "[::1]:80": "ip:[::1]:80",
		"10.1.2.3/8": "ip:10.0.0.0/8", "accept": "kind:accept", "a,b c": "(a or b) c", "user!=root": "-user:root", "reset:on": "reset:yes", "process.user:root": "user:root",
		"remote:fe80::1%eth0": "remote:fe80::1", "port:*,80": "port:*",
	} {
		x, err := Parse(src, testOptions())
		if err != nil {
			if want != "" {
				t.Errorf("Parse(%q): %v", src, err)
			}
			continue
		}
		if got := x.String(); got != want {
			t.Errorf("%q prints %q, want %q", src, got, want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for src, want := range map[string]string{
		"a or prot:tcp":            `filter: column 6: unknown field "prot": did you mean "proto" or "port"?`,
		"é prot:tcp":               `filter: column 3: unknown field "prot": did you mean "proto" or "port"?`,
		"kind:acept":               `filter: column 6: unknown kind "acept": did you mean "accept"?`,
		"proto:sctp":               `filter: column 7: unknown proto "sctp": want tcp or udp`,
		"proto:icmp":               `filter: column 7: unknown proto "icmp": want tcp or udp`,
		"zzzzzzzz:1":               `filter: column 1: unknown field "zzzzzzzz"`,
		"port:99999":               `filter: column 6: port "99999" is out of range: want 0 to 65535`,
		"port:htps":                `filter: column 6: bad port "htps": want a number, a range such as 8000-8100, or a service name: did you mean "https"?`,
		"port:90-80":               `filter: column 6: the range "90-80" ends before it begins`,
		"port:":                    `filter: column 6: "port:" needs a value right after it`,
		"port: 80":                 `filter: column 6: "port:" needs a value right after it`,
		"port:80,":                 `filter: column 9: a value is missing`,
		"ip:10.0.0":                `filter: column 4: bad address "10.0.0": want an address, 10.0.0.0/8, address:port or loopback, private, link-local, multicast, unspecified, shared or public`,
		"bytes>1XB":                `filter: column 7: bad number "1XB": want a number of bytes such as 1500, 10k, 1.5MB or 4MiB`,
		"bytes > 1MB":              `filter: column 7: ">" has no field before it: write it without spaces, as in bytes>1MB`,
		"duration>5":               `filter: column 10: bad number "5": want a duration such as 10ms, 2s, 5m, 1h30m or 3d`,
		"pid:99999999999999999999": `filter: column 5: number "99999999999999999999" is too large`,
		"kind>accept":              `filter: column 6: "kind" cannot be ordered: want kind:VALUE or kind!=VALUE`,
		"since:1h 14:00":           `filter: column 12: no field before ":": put the word in quotes to search for it`,
		"since:soon":               `filter: column 7: bad time "soon": want 2026-11-24, "2026-11-24 14:00", RFC 3339, today, "yesterday 14:00", 14:00, now, or 2h for two hours ago`,
		"since:0999-01-01":         `filter: column 7: the year 999 is out of range: want 1678 to 2261`,
		"since:a..b":               `filter: column 7: since takes one time: want at:a..b`,
		"at:today..yesterday":      `filter: column 4: the interval "today..yesterday" ends before it begins`,
		"since:1h,2h":              `filter: column 10: since: takes one value`,
		"reset:maybe":              `filter: column 7: bad value "maybe": reset takes yes or no`,
		"module:libc":              `filter: column 8: the loaded modules are not at hand here`,
		"(port:80":                 `filter: column 1: the parenthesis is not closed`,
		"port:80)":                 `filter: column 8: unexpected ")"`,
		"()":                       `filter: column 1: the parentheses are empty`,
		"a or":                     `filter: column 3: nothing after "or"`,
		"or a":                     `filter: column 1: nothing before "or"`,
		"and a":                    `filter: column 1: nothing before "and"`,
		"a and":                    `filter: column 3: nothing after "and"`,
		"not":                      `filter: column 1: nothing after "not"`,
		"--json":                   `filter: column 1: "--" is no term: an option goes before the filter, text with dashes in quotes`,
		"a - b":                    `filter: column 3: "-" needs a term right after it`,
		`name:"abc`:                `filter: column 6: the quote is not closed`,
		`name:"abc"d`:              `filter: column 11: text right after a quote: put all of the value in quotes`,
		"name:ab(c)":               `filter: column 8: a "(" inside a value: put all of the value in quotes`,
		`""`:                       `filter: column 1: an empty value needs a field, as in unit:""`,
	} {
		_, err := Parse(src, testOptions())
		var s *SyntaxError
		if !errors.As(err, &s) {
			t.Errorf("Parse(%q): %v, want a *SyntaxError", src, err)
			continue
		}
		if err.Error() != want {
			t.Errorf("Parse(%q):\n got %s\nwant %s", src, err, want)
		}
	}
}

func TestBounds(t *testing.T) {
	for name, src := range map[string]string{
		"long":    strings.Repeat("a ", maxSource),
		"deep":    strings.Repeat("(", maxDepth+1) + "a" + strings.Repeat(")", maxDepth+1),
		"negated": strings.Repeat("not ", maxDepth+1) + "a",
		"item":    "exe:" + strings.Repeat("x", maxItem+1),
	} {
		if _, err := Parse(src, testOptions()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Parse(strings.Repeat("(", maxDepth-1)+"a"+strings.Repeat(")", maxDepth-1), testOptions()); err != nil {
		t.Errorf("nested within the bound: %v", err)
	}
}

func TestMatchSocket(t *testing.T) {
	opt := testOptions()
	s := &activity.Socket{Cookie: 4, Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort("0.0.0.0:80"), Mapped: true,
		UID: 33, Since: opt.Now.Add(-time.Hour).UnixNano(), Role: activity.RoleCreator, Tier: activity.TierPoll, Owner: activity.ProcessKey{PID: 811},
		Process: nginx(), Holders: []activity.ProcessKey{{PID: 811}, {PID: 812}}, Others: []*activity.Process{{Name: "helper"}}, Backlog: 3}
	for src, want := range map[string]bool{
		"": true, "port:80": true, "state:listen": true, "state:established": false, "kind:listen": true, "since:2h": true, "since:30m": false, "user:www-data": true,
		"holder:812": true, "holder:helper": true, "holder:813": false, "backlog>2": true, "mapped:yes": true, "nginx": true, "remote:*": false, "local:*:80": true, "rx>=0": false,
	} {
		if got := mustParse(t, src).MatchSocket(s); got != want {
			t.Errorf("%q: %v, want %v", src, got, want)
		}
	}
	bare := &activity.Socket{Proto: activity.UDP, State: activity.StateBound, UID: 5, Local: netip.MustParseAddrPort("[::]:53")}
	for src, want := range map[string]bool{
		"uid:5": true, "user:5": true, "user:*": true, `user:""`: false, "login:*": false, "since:1h": false, "-since:1h": true, "kind:bind": true, "pid:*": false, "process:*": false, "dns": true,
	} {
		if got := mustParse(t, src).MatchSocket(bare); got != want {
			t.Errorf("owner unknown: %q: %v, want %v", src, got, want)
		}
	}
}

func TestHints(t *testing.T) {
	ns := func(s string) int64 { v, _ := time.Parse(time.RFC3339, s); return v.UnixNano() }
	kinds := func(ks ...activity.Kind) (s KindSet) {
		for _, k := range ks {
			s |= 1 << k
		}
		return s
	}
	ports := func(p ...uint16) (rs []PortRange) {
		for i := 0; i < len(p); i += 2 {
			rs = append(rs, PortRange{p[i], p[i+1]})
		}
		return rs
	}
	nets := func(ps ...string) (ns []netip.Prefix) {
		for _, p := range ps {
			ns = append(ns, netip.MustParsePrefix(p))
		}
		return ns
	}
	for src, want := range map[string]Hints{
		"":                         {},
		"port:80,443":              {Ports: ports(80, 80, 443, 443)},
		"port>1000":                {Ports: ports(1001, 65535)},
		"lport:80 rport:1000-2000": {Ports: ports(80, 80)},
		"port:80 or port:22":       {Ports: ports(80, 80, 22, 22)},
		"port:80 or user:root":     {},
		"-port:80":                 {},
		"-(port!=80 or user:root)": {Ports: ports(80, 80)},
		"not (port!=80 port!=22)":  {Ports: ports(80, 80, 22, 22)},
		"kind:accept,close":        {Kinds: kinds(activity.KindAccept, activity.KindClose)},
		"kind:accept kind:close":   {Never: true},
		"kind!=accept -kind:close": {Kinds: KindSet(allKinds) &^ kinds(activity.KindAccept, activity.KindClose)},
		"since:2026-11-24T00:00:00Z until:2026-11-25T00:00:00Z":                                          {From: ns("2026-11-24T00:00:00Z"), To: ns("2026-11-25T00:00:00Z")},
		"-since:2026-11-24T00:00:00Z":                                                                    {To: ns("2026-11-24T00:00:00Z")},
		"at:2026-11-24T00:00:00Z..2026-11-25T00:00:00Z or at:2026-11-26T00:00:00Z..2026-11-27T00:00:00Z": {From: ns("2026-11-24T00:00:00Z"), To: ns("2026-11-27T00:00:00Z")},
		"since:today until:yesterday":                                                                    {From: ns("2026-11-23T22:00:00Z"), To: ns("2026-11-22T22:00:00Z"), Never: true},
		"remote:10.0.0.0/8":                                                                              {Addrs: nets("10.0.0.0/8")},
		"ip:10.0.0.0/8 remote:10.1.2.3":                                                                  {Addrs: nets("10.1.2.3/32")},
		"remote:10.0.0.1:443":                                                                            {Addrs: nets("10.0.0.1/32"), Ports: ports(443, 443)},
		"local:loopback":                                                                                 {Addrs: nets("127.0.0.0/8", "::1/128")},
		"local:*:80,10.0.0.1":                                                                            {},
		"remote:public":                                                                                  {},
		"443":                                                                                            {Ports: ports(443, 443)},
		"ssh":                                                                                            {},
	} {
		if d := cmp.Diff(want, mustParse(t, src).Hints(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%q: -want +got\n%s", src, d)
		}
	}
}

func TestFields(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Fields() {
		for _, n := range append([]string{f.Name}, f.Aliases...) {
			if seen[n] {
				t.Errorf("%q names two fields", n)
			}
			seen[n] = true
			if got := findField(n); got == nil || got.name != f.Name {
				t.Errorf("findField(%q) = %v", n, got)
			}
		}
		if f.Help == "" || strings.ContainsAny(f.Help, "\n") || f.Type == "" {
			t.Errorf("%s: help %q, type %q", f.Name, f.Help, f.Type)
		}
		for _, v := range f.Values {
			if _, err := Parse(f.Name+":"+v, testOptions()); err != nil {
				t.Errorf("%s:%s: %v", f.Name, v, err)
			}
		}
	}
}

// TestStub asks about an owner whose record is lost: it must not pass for root.
func TestStub(t *testing.T) {
	e := &activity.Event{Kind: activity.KindConnect, Owner: activity.ProcessKey{PID: 9}, Process: &activity.Process{ID: 5}, Holders: []*activity.Process{{ID: 6}, nil}}
	for src, want := range map[string]bool{"uid:0": false, "user:0": false, "euid:0": false, "login:0": false, "pid:9": true, "user:*": false, `holder:""`: false, "holder:9": true, "root": false} {
		if got := mustParse(t, src).Match(e); got != want {
			t.Errorf("%q: %v, want %v", src, got, want)
		}
	}
}

// TestDocumentation keeps docs/FILTER.md beside the code: it has each field
// and word, and its examples parse.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../../docs/FILTER.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for _, f := range Fields() {
		also := ""
		if len(f.Aliases) > 0 {
			also = "`" + strings.Join(f.Aliases, "` `") + "`"
		}
		if row := "| `" + f.Name + "` | " + f.Type + " | " + f.Help + " | " + also + " |\n"; !strings.Contains(doc, row) {
			t.Errorf("no row\n%s", row)
		}
		if row := "- `" + f.Name + "`: " + strings.Join(f.Values, ", ") + "\n"; f.Type == "word" && !strings.Contains(doc, row) {
			t.Errorf("no line\n%s", row)
		}
	}
	fence, parsed := "", 0
	for src := range strings.Lines(doc) {
		switch {
		case fence == "" && strings.HasPrefix(src, "```"):
			fence = src
		case strings.HasPrefix(src, "```"):
			fence = ""
		case fence == "```\n":
			if _, err := Parse(src, testOptions()); err != nil {
				t.Errorf("%s%v", src, err)
			}
			parsed++
		}
	}
	if parsed < 10 {
		t.Errorf("only %d examples found", parsed)
	}
	for _, e := range []string{"a or prot:tcp", "kind:acept"} {
		if _, err := Parse(e, testOptions()); err == nil || !strings.Contains(doc, err.Error()+"\n") {
			t.Errorf("not in the document: %v", err)
		}
	}
}
