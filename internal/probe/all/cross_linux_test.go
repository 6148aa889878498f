package all

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/internal/probetest"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// place is where a real server listens, who understands it there, and as what
// it is recognised at a port that says nothing.
type place struct {
	server string
	proto  probe.Proto
	port   uint16
	want   string // protocols, in order
	told   string // protocol
}

func places() []place {
	return []place{
		{"nginx", probe.TCP, 80, "http", "http"},
		{"caddy", probe.TCP, 8443, "http tls", "http"}, {"caddy", probe.UDP, 8443, "quic", "quic"},
		{"etcd", probe.TCP, 2379, "etcd http", "etcd"},
		{"sshd", probe.TCP, 22, "ssh", "ssh"},
		{"xrdp", probe.TCP, 3389, "rdp", "rdp"},
		{"smbd", probe.TCP, 445, "netbios smb", "smb"}, // it takes a session request at this port too
		{"rsync", probe.TCP, 873, "rsync", "rsync"},
		{"Xvnc", probe.TCP, 5901, "vnc", "vnc"},
		{"redis", probe.TCP, 6379, "redis", "redis"},
		{"memcached", probe.TCP, 11211, "memcached", "memcached"}, {"memcached", probe.UDP, 11211, "memcached", "memcached"},
		{"mosquitto", probe.TCP, 1883, "mqtt", "mqtt"},
		{"nats", probe.TCP, 4222, "nats", "nats"},
		{"turnserver", probe.TCP, 3478, "stun", "stun"}, {"turnserver", probe.UDP, 3478, "stun", "stun"},
		{"kamailio", probe.TCP, 5060, "sip", "sip"}, {"kamailio", probe.UDP, 5060, "sip", "sip"},
		{"modbus", probe.TCP, 502, "modbus", "modbus"},
		{"chronyd", probe.UDP, 123, "ntp", "ntp"},
		{"coap", probe.UDP, 5683, "coap", "coap"},
		{"freeradius", probe.UDP, 1812, "radius", ""}, // without its secret it turns logins away, which strangers are not asked for
		{"dovecot", probe.TCP, 110, "pop3", "pop3"}, {"dovecot", probe.TCP, 143, "imap", "imap"},
		{"named", probe.TCP, 53, "dns", "dns"}, {"named", probe.UDP, 53, "dns", "dns"},
		{"tftpd", probe.UDP, 69, "tftp", "tftp"},
		{"snmpd", probe.UDP, 161, "snmp", "snmp"},
		{"charon", probe.UDP, 500, "isakmp", "isakmp"},
		{"xl2tpd", probe.UDP, 1701, "l2tp", "l2tp"},
		{"slapd", probe.TCP, 389, "ldap", "ldap"},
		{"krb5kdc", probe.TCP, 88, "kerberos", "kerberos"}, {"krb5kdc", probe.UDP, 88, "kerberos", "kerberos"},
	}
}

// TestServers starts real servers of all kinds in one namespace, and asks them.
func TestServers(t *testing.T) {
	ns, addr := testutil.NewNetNS(t), netip.MustParseAddr("127.0.0.1")
	var started []string
	for _, p := range places() {
		if !slices.Contains(started, p.server) {
			server.StartIn(t, ns, addr, p.server)
			started = append(started, p.server)
		}
	}
	t.Run("every prober at every server", func(t *testing.T) { everyone(t, ns, addr) })
	t.Run("at unusual ports", func(t *testing.T) { unusual(t, ns) })
}

// everyone has all probers ask all servers, at once: each is understood by
// those that speak its protocol, and taken by nobody else for his own, which is
// what recognition at an unusual port rests on.
func everyone(t *testing.T, ns *testutil.NetNS, addr netip.Addr) {
	var wg sync.WaitGroup
	got := make([]string, len(places()))
	for i, p := range places() {
		wg.Go(func() {
			got[i] = strings.Join(understood(t, ns, netip.AddrPortFrom(addr, p.port), p.proto, strings.Fields(p.want)), " ")
		})
	}
	wg.Wait()
	for i, p := range places() {
		if got[i] != p.want {
			t.Errorf("%s %v %d is understood as %q, want %q", p.server, p.proto, p.port, got[i], p.want)
		}
	}
}

const firstUnusual = 40000

// unusual has the Runner test ports whose numbers say nothing, which lead to
// the servers' own. It runs in a process of its own, whose threads are all in
// the namespace.
func unusual(t *testing.T, ns *testutil.NetNS) {
	rules := "add table ip test\nadd chain ip test out { type nat hook output priority -100; }\n"
	for i, p := range places() {
		rules += fmt.Sprintf("add rule ip test out %s dport %d redirect to :%d\n", p.proto, firstUnusual+i, p.port)
	}
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if _, err := ns.Output(nft); err != nil {
		t.Fatal(err)
	}
	self := exec.Command(os.Args[0], "-test.run=^TestRunner$", "-test.v")
	self.Env = append(os.Environ(), "PROBE_UNUSUAL=1")
	out, err := ns.Output(self)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for i, p := range places() {
		if line := fmt.Sprintf("\n%v %d %q\n", p.proto, firstUnusual+i, p.told); !strings.Contains(string(out), line) {
			t.Errorf("%s at an unusual port: no line %q in\n%s", p.server, line, out)
		}
	}
}

// TestRunner is the other half of unusual, and nothing without it.
func TestRunner(t *testing.T) {
	if os.Getenv("PROBE_UNUSUAL") == "" {
		return
	}
	targets := func(yield func(probe.Target) bool) {
		for i, p := range places() {
			if !yield(probe.Target{Addr: netip.MustParseAddr("127.0.0.1"), Proto: p.proto, Port: uint16(firstUnusual + i)}) {
				return
			}
		}
	}
	r := probe.Runner{Probers: Probers(), Guess: true}
	fmt.Println()
	if err := r.Run(t.Context(), targets, func(r probe.Result) {
		told := ""
		if r.Answer != nil {
			told = r.Answer.Protocol
		}
		fmt.Printf("%v %d %q\n", r.Target.Proto, r.Target.Port, told)
	}); err != nil {
		t.Fatal(err)
	}
}

// understood has all probers of a transport ask one port: first those that are
// to understand, alone and with the time that a busy machine takes, then the
// others, some at once as recognition does, with a second each.
func understood(t *testing.T, ns *testutil.NetNS, at netip.AddrPort, proto probe.Proto, want []string) (names []string) {
	ask := func(p probe.Prober, patience time.Duration) bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		d := probetest.Dialer{Addr: at, Timeout: patience / 4, NS: ns}
		_, err := p.Ask(ctx, d, probe.Target{Addr: at.Addr(), Proto: proto, Port: at.Port()})
		return err == nil
	}
	var others []probe.Prober
	for _, p := range Probers() {
		switch {
		case !slices.ContainsFunc(p.Ports(), func(o probe.Port) bool { return o.Proto == proto }):
		case !slices.Contains(want, p.Protocol()):
			others = append(others, p)
		case ask(p, 20*time.Second):
			names = append(names, p.Protocol())
		}
	}
	yes := make([]bool, len(others))
	var wg sync.WaitGroup
	free := make(chan struct{}, 8)
	for i, p := range others {
		wg.Go(func() {
			free <- struct{}{}
			yes[i] = ask(p, time.Second)
			<-free
		})
	}
	wg.Wait()
	for i, p := range others {
		if yes[i] {
			names = append(names, p.Protocol())
		}
	}
	slices.Sort(names)
	return names
}
