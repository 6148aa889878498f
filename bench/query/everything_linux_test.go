package query

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

// everything are the ports of the servers below and of a domain controller.
const everything = "21,22,25,both/53,udp/69,80,both/88,110,udp/123,135,udp/137,udp/138,139,143,udp/161,both/389,445,both/464,udp/500,502,636,873," +
	"udp/1701,udp/1812,1883,2379,3268,3269,3306,3389,both/3478,4222,udp/4500,both/5060,udp/5353,5432,udp/5683,5901,6379,both/8443,both/11211"

// BenchmarkEverything has every prober ask at once: a host with some thirty
// servers, and a domain controller. A round is the whole command.
func BenchmarkEverything(b *testing.B) {
	client := testutil.NewNetNS(b)
	for _, name := range []string{"nginx", "caddy", "etcd", "sshd", "xrdp", "smbd", "rsync", "Xvnc", "redis", "memcached", "mosquitto", "nats",
		"turnserver", "kamailio", "modbus", "chronyd", "coap", "freeradius", "dovecot", "named", "tftpd", "snmpd", "charon", "xl2tpd", "slapd",
		"krb5kdc", "vsftpd", "postfix", "mariadbd", "postgres", "avahi"} {
		server.StartIn(b, client, netip.MustParseAddr("127.0.0.1"), name)
	}
	dc := server.StartIn(b, client.Veth(), testutil.Veth4[1].Addr(), "samba")
	program := testutil.Build(b, "./cmd/portreporter")
	named(b, func() []answered {
		_, out := timed(b, client, exec.Command(program, "query", dc.Addr.String(), "udp/137", "--json"))
		return answers(b, out)
	})
	var took []float64
	b.ResetTimer()
	for range b.N {
		d, out := timed(b, client, exec.Command(program, "query", "127.0.0.1,"+dc.Addr.String(), everything, "--json"))
		took = append(took, d)
		full, silent := 0, ""
		for _, r := range answers(b, out) {
			switch {
			case r.Answer != nil:
				full++
			case r.Verdict != "not-listening":
				silent += fmt.Sprintf(", %s %d", r.Proto, r.Port)
			}
		}
		fmt.Printf("everything %.3f s: %d answers; none from%s\n", d, full, silent)
	}
	s := run.Summarise(took)
	fmt.Printf("everything: %v s\n", s)
	b.ReportMetric(s.Median, "s/all")
}
