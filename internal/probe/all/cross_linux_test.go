package all

import (
	"context"
	"net/netip"
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

// TestEveryProberAtEveryServer has all probers ask real servers of all kinds,
// at once: each server is understood by those that speak its protocol, and
// taken by nobody else for his own, which is what recognition at an unusual
// port rests on.
func TestEveryProberAtEveryServer(t *testing.T) {
	type place struct {
		server string
		proto  probe.Proto
		port   uint16
		want   string // protocols, in order
	}
	places := []place{
		{"nginx", probe.TCP, 80, "http"},
		{"caddy", probe.TCP, 8443, "http tls"}, {"caddy", probe.UDP, 8443, "quic"},
		{"etcd", probe.TCP, 2379, "etcd http"},
		{"sshd", probe.TCP, 22, "ssh"},
		{"xrdp", probe.TCP, 3389, "rdp"},
		{"smbd", probe.TCP, 445, "netbios smb"}, // it takes a session request at this port too
		{"rsync", probe.TCP, 873, "rsync"},
		{"Xvnc", probe.TCP, 5901, "vnc"},
		{"redis", probe.TCP, 6379, "redis"},
		{"memcached", probe.TCP, 11211, "memcached"}, {"memcached", probe.UDP, 11211, "memcached"},
		{"mosquitto", probe.TCP, 1883, "mqtt"},
		{"nats", probe.TCP, 4222, "nats"},
		{"turnserver", probe.TCP, 3478, "stun"}, {"turnserver", probe.UDP, 3478, "stun"},
		{"kamailio", probe.TCP, 5060, "sip"}, {"kamailio", probe.UDP, 5060, "sip"},
		{"modbus", probe.TCP, 502, "modbus"},
		{"chronyd", probe.UDP, 123, "ntp"},
		{"coap", probe.UDP, 5683, "coap"},
		{"freeradius", probe.UDP, 1812, ""}, // silent without its secret
		{"vsftpd", probe.TCP, 21, "ftp"},
		{"dovecot", probe.TCP, 110, "pop3"}, {"dovecot", probe.TCP, 143, "imap"},
		{"named", probe.TCP, 53, "dns"}, {"named", probe.UDP, 53, "dns mdns"}, // mDNS asks in DNS messages
		{"tftpd", probe.UDP, 69, "tftp"},
		{"snmpd", probe.UDP, 161, "snmp"},
		{"charon", probe.UDP, 500, "isakmp"},
		{"xl2tpd", probe.UDP, 1701, "l2tp"},
		{"slapd", probe.TCP, 389, "ldap"},
		{"krb5kdc", probe.TCP, 88, "kerberos"}, {"krb5kdc", probe.UDP, 88, "kerberos"},
	}
	ns, addr := testutil.NewNetNS(t), netip.MustParseAddr("127.0.0.1")
	var started []string
	for _, p := range places {
		if !slices.Contains(started, p.server) {
			server.StartIn(t, ns, addr, p.server)
			started = append(started, p.server)
		}
	}
	var wg sync.WaitGroup
	got := make([]string, len(places))
	for i, p := range places {
		wg.Go(func() {
			got[i] = strings.Join(understood(t, ns, netip.AddrPortFrom(addr, p.port), p.proto, strings.Fields(p.want)), " ")
		})
	}
	wg.Wait()
	for i, p := range places {
		if got[i] != p.want {
			t.Errorf("%s %v %d is understood as %q, want %q", p.server, p.proto, p.port, got[i], p.want)
		}
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
