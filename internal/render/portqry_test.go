package render

import (
	"net/netip"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

// The goldens have the lines of the published samples, in their order, for
// answers of the same shape.
func TestGoldenPortQry(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.1")
	names := map[uint16]string{21: "ftp", 25: "smtp", 69: "tftp", 135: "epmap", 137: "netbios-ns", 138: "netbios-dgm", 161: "snmp", 1434: "ms-sql-m", 1701: "l2tp"}
	text := PortQry{Service: func(_ probe.Proto, port uint16) string { return names[port] }, Community: "secure123"}
	field := func(name string, values ...string) probe.Field { return probe.Field{Name: name, Values: values} }
	result := func(proto probe.Proto, port uint16, v probe.Verdict, asked string, fields ...probe.Field) probe.Result {
		r := probe.Result{Target: probe.Target{Addr: at, Proto: proto, Port: port}, Verdict: v, Asked: asked}
		if len(fields) > 0 {
			r.Answer = &probe.Answer{Protocol: asked, Fields: fields}
		}
		return r
	}
	endpoint := func(id, annotation, binding string) []probe.Field {
		f := []probe.Field{field("UUID", id), field("version", "4.0")}
		if annotation != "" {
			f = append(f, field("annotation", annotation))
		}
		return append(f, field("name", "ours"), field("binding", binding))
	}
	var rpc []probe.Field
	rpc = append(rpc, endpoint("50abc2a4-574d-40b3-9d66-ee4fd5fba076", "", "ncacn_ip_tcp:192.0.2.1[4144]")...)
	rpc = append(rpc, endpoint("e3514235-4b06-11d1-ab04-00c04fc2dcd2", "MS NT Directory DRS Interface", "ncacn_ip_tcp:192.0.2.1[1030]")...)
	rpc = append(rpc, endpoint("12345678-1234-abcd-ef00-01234567cffb", "", `ncacn_np:\\\\DC1[\\PIPE\\lsass]`)...)
	rpc = append(rpc, field("endpoints", "3"))
	ldap := []probe.Field{field("namingContexts", "DC=example,DC=com", "CN=Configuration,DC=example,DC=com"), field("currentTime", "20261124204150.0Z"),
		field("dnsHostName", "dc1.example.com"), field("subschemaSubentry", "CN=Aggregate,CN=Schema,CN=Configuration,DC=example,DC=com"),
		field("DnsHostName", "dc1.example.com"), field("isSynchronized", "TRUE")}
	for name, r := range map[string]probe.Result{
		"ldap-udp":        result(probe.UDP, 389, probe.Listening, "ldap", ldap...),
		"ldap-tcp":        result(probe.TCP, 389, probe.Listening, "ldap", ldap...),
		"rpc-udp":         result(probe.UDP, 135, probe.Listening, "rpc", rpc...),
		"rpc-tcp":         result(probe.TCP, 135, probe.Listening, "rpc", rpc...),
		"snmp":            result(probe.UDP, 161, probe.Listening, "snmp", field("sysName", "router")),
		"snmp-silent":     result(probe.UDP, 161, probe.ListeningOrFiltered, "snmp"),
		"netbios":         result(probe.UDP, 137, probe.Listening, "netbios", field("names", "DC1 <20> unique, file server"), field("MAC address", "00:15:5d:01:c6:1e")),
		"netbios-session": result(probe.TCP, 139, probe.Listening, "netbios", field("session", "accepted")),
		"netlogon": result(probe.UDP, 138, probe.Listening, "netlogon", field("DnsDomainName", "corp.example.com"), field("DnsHostName", "dc1.corp.example.com"),
			field("DcSiteName", "Berlin"), field("Flags", "PDC", "GC")),
		"netlogon-silent":   result(probe.UDP, 138, probe.ListeningOrFiltered, "netlogon"),
		"netlogon-filtered": result(probe.UDP, 138, probe.Filtered, "netlogon"),
		"mssql": result(probe.UDP, 1434, probe.Listening, "mssql", field("ServerName", "SQL1"), field("InstanceName", "MSSQLSERVER"), field("IsClustered", "No"),
			field("Version", "16.0.1000.6"), field("tcp", "1433"), field("ServerName", "SQL1"), field("InstanceName", "TWO"), field("np", `\\\\SQL1\\pipe\\sql\\query`), field("instances", "2")),
		"mssql-tcp":     result(probe.TCP, 1433, probe.Listening, "mssql", field("version", "16.0.1000.6")),
		"isakmp":        result(probe.UDP, 500, probe.Listening, "isakmp", field("notify", "NO_PROPOSAL_CHOSEN")),
		"tftp":          result(probe.UDP, 69, probe.Listening, "tftp", field("error", "File not found")),
		"l2tp":          result(probe.UDP, 1701, probe.Listening, "l2tp", field("host name", "vpn")),
		"isa-udp":       result(probe.UDP, 1745, probe.Listening, "wsp", field("hello", "yes")),
		"refused-udp":   result(probe.UDP, 161, probe.NotListening, ""),
		"refused-tcp":   result(probe.TCP, 25, probe.NotListening, ""),
		"filtered-tcp":  result(probe.TCP, 80, probe.Filtered, ""),
		"silent-udp":    result(probe.UDP, 21, probe.ListeningOrFiltered, ""),
		"ftp":           result(probe.TCP, 21, probe.Listening, "ftp", field("greeting", "220 FTP Service"), field("anonymous", "331 Anonymous access allowed"), field("anonymous login", "password asked"), field("features", "UTF8")),
		"smtp":          result(probe.TCP, 25, probe.Listening, "smtp", field("greeting", "220 mail.example.com ESMTP ready"), field("extensions", "SIZE", "STARTTLS")),
		"smtp-silent":   result(probe.TCP, 25, probe.Listening, "smtp"),
		"other-service": result(probe.TCP, 443, probe.Listening, "tls", field("subject", "CN=example.com")),
	} {
		golden(t, "portqry."+name+".txt", text.AppendResult(nil, &r))
	}
	head := text.AppendTarget(nil, "myserver")
	head = text.AppendResolved(head, at)
	head = text.AppendResolved(head, netip.Addr{})
	head = text.AppendReverse(head, []string{"myserver.example.com."})
	head = text.AppendReverse(head, nil)
	golden(t, "portqry.head.txt", head)
	log := AppendPortQryLogHead(nil, time.Date(2026, 11, 4, 10, 35, 3, 0, time.UTC), "portqry -n x", "SERVER")
	golden(t, "portqry.log.txt", append(log, PortQryLogEnd...))
}
