package filter

// serviceNames lists the built-in names, for suggestions.
func serviceNames() []string {
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// ServiceName returns the built-in name of a port, "" when it has none.
func ServiceName(port uint16) string {
	for _, s := range services {
		if s.port == port {
			return s.name
		}
	}
	return ""
}

func builtinService(name string) (uint16, bool) {
	for _, s := range services {
		if s.name == name {
			return s.port, true
		}
	}
	return 0, false
}

// services are the names that people type, by IANA's Service Name and
// Transport Protocol Port Number Registry or, where it has none, by custom.
var services = [...]struct {
	name string
	port uint16
}{
	{"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"smtp", 25}, {"domain", 53}, {"dns", 53}, {"tftp", 69}, {"http", 80}, {"kerberos", 88},
	{"pop3", 110}, {"sunrpc", 111}, {"ntp", 123}, {"epmap", 135}, {"netbios-ns", 137}, {"netbios-ssn", 139}, {"imap", 143}, {"snmp", 161},
	{"bgp", 179}, {"ldap", 389}, {"https", 443}, {"microsoft-ds", 445}, {"smb", 445}, {"submissions", 465}, {"isakmp", 500}, {"syslog", 514},
	{"submission", 587}, {"ipp", 631}, {"ldaps", 636}, {"rsync", 873}, {"imaps", 993}, {"pop3s", 995}, {"socks", 1080}, {"ms-sql-s", 1433},
	{"mssql", 1433}, {"oracle", 1521}, {"radius", 1812}, {"mqtt", 1883}, {"nfs", 2049}, {"docker", 2375}, {"etcd", 2379}, {"squid", 3128},
	{"gc", 3268}, {"mysql", 3306}, {"rdp", 3389}, {"stun", 3478}, {"nats", 4222}, {"sip", 5060}, {"mdns", 5353}, {"postgres", 5432},
	{"postgresql", 5432}, {"amqp", 5672}, {"vnc", 5900}, {"winrm", 5985}, {"redis", 6379}, {"kubernetes", 6443}, {"http-alt", 8080},
	{"kafka", 9092}, {"elasticsearch", 9200}, {"memcached", 11211}, {"mongodb", 27017}, {"wireguard", 51820},
}
