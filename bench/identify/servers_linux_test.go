package identify

import "github.com/portreporter/portreporter/internal/probe"

// host is a server that runs alone in its namespace, with what it serves. The
// facts are those of its recipe; {version} stands for its package's, and {today}
// for the day.
type host struct {
	recipe   string // of internal/testutil/server
	pkg      string // Debian's
	whole    *truth // what is known of the host from what its services say; nil nothing
	services []service
}

// service is one port of it.
type service struct {
	proto probe.Proto
	port  uint16
	truth truth
}

func tcp(port uint16, protocol string, facts ...string) service {
	return service{probe.TCP, port, truth{protocol: protocol, facts: facts}}
}

func udp(port uint16, protocol string, facts ...string) service {
	return service{probe.UDP, port, truth{protocol: protocol, facts: facts}}
}

// not adds what is not so.
func (s service) not(untrue ...string) service {
	s.truth.untrue = untrue
	return s
}

// silent is a service that answers nobody who asks like this.
func (s service) silent() service {
	s.truth.mute = true
	return s
}

func hosts() []host {
	var all []host
	for _, some := range [][]host{controllers(), classic(), mail(), access(), web(), databases(), brokers(), infrastructure()} {
		all = append(all, some...)
	}
	return all
}

// controllers are a domain controller of Active Directory: first, since it
// registers its names a while after it is up.
func controllers() []host {
	const name, site, product = "dc1.ad.example.test", "Default-First-Site-Name", "Samba"
	return []host{{"samba", "samba", &truth{facts: []string{"dc1", "ad.example.test"}, untrue: []string{"Windows"}}, []service{
		tcp(53, "dns domain", "NXDOMAIN|NOTIMP"), udp(53, "dns domain", "NXDOMAIN|NOTIMP"),
		tcp(88, "kerberos kerberos-sec", "{today}"), udp(88, "kerberos kerberos-sec", "{today}"),
		tcp(135, "rpc msrpc", "12345778-1234-abcd-ef00-0123456789ac", "53 endpoints").not("Windows"),
		udp(137, "netbios netbios-ns", "DC1", "EXAMPLE").not("Windows"),
		udp(138, "netlogon netbios netbios-dgm", name),
		tcp(139, "netbios smb netbios-ssn", product).not("smbd 4.6"),
		tcp(389, "ldap", name, product), udp(389, "ldap", name, site, product),
		tcp(445, "smb microsoft-ds netbios-ssn", product, "dc1", "3.1.1", "signing required").not("smbd 4.6"),
		tcp(464, "kerberos kpasswd", "AD.EXAMPLE.TEST", "{today}"), udp(464, "kerberos kpasswd", "AD.EXAMPLE.TEST", "{today}"),
		tcp(636, "ldap", "ssl|TLS", "CN=DC1.ad.example.test", name, product), tcp(3268, "ldap", name, product),
		tcp(3269, "ldap", "ssl|TLS", "CN=DC1.ad.example.test", name, product),
	}}}
}

// classic are the other protocols of PortQry.
func classic() []host {
	return []host{
		{"named", "bind9", &truth{facts: []string{"Debian|Linux"}}, []service{
			tcp(53, "dns domain", "{version}", "ns1.example.test"), udp(53, "dns domain", "{version}", "ns1.example.test")}},
		{"vsftpd", "vsftpd", nil, []service{tcp(21, "ftp", "vsftpd", "anonymous", "EPSV").not("2.0.8")}},
		{"tftpd", "tftpd-hpa", nil, []service{udp(69, "tftp", "File not found")}},
		{"snmpd", "snmpd", &truth{facts: []string{"switch7"}}, []service{udp(161, "snmp", "net-snmp", "SNMPv1|versions 1", "a switch of the test", "row 4", "80001f88")}},
		{"charon", "strongswan-charon", nil, []service{
			udp(500, "isakmp", "IKEv1 notified", "IKEv2 notified"), udp(4500, "isakmp nat-t-ike", "IKEv1 notified", "IKEv2 notified")}},
		{"xl2tpd", "xl2tpd", nil, []service{udp(1701, "l2tp", "xelerance.com", "0690")}},
		{"slapd", "slapd", nil, []service{tcp(389, "ldap", "OpenLDAP", "dc=example,dc=test").not("2.2.X", "2.3.X")}},
		{"krb5kdc", "krb5-kdc", &truth{facts: []string{"EXAMPLE.TEST"}}, []service{
			tcp(88, "kerberos kerberos-sec", "MIT", "{today}", "EXAMPLE.TEST"), udp(88, "kerberos kerberos-sec", "MIT", "{today}")}},
		{browser, "", nil, []service{udp(1434, "mssql ms-sql-m", "DB7", "MSSQLSERVER", "15.0.2000.5", "1433")}},
	}
}

func mail() []host {
	return []host{
		{"postfix", "postfix", &truth{facts: []string{"mail.example.test"}}, []service{tcp(25, "smtp", "Postfix", "mail.example.test", "PIPELINING")}},
		{"dovecot", "dovecot-core", nil, []service{tcp(110, "pop3", "Dovecot", "UIDL"), tcp(143, "imap", "Dovecot", "IMAP4rev1")}},
	}
}

func access() []host {
	return []host{
		{"sshd", "openssh-server", &truth{facts: []string{"Debian|Linux"}}, []service{tcp(22, "ssh", "OpenSSH", "{version}", "protocol 2.0|protoversion 2.0", "ssh-ed25519")}},
		{"xrdp", "xrdp", nil, []service{tcp(3389, "rdp ms-wbt-server", "xrdp", "desk.example.test")}},
		{"smbd", "samba", nil, []service{tcp(445, "smb microsoft-ds netbios-ssn", "Samba", "files", "3.1.1", "signing optional").not("smbd 4.6")}},
		{"rsync", "rsync", nil, []service{tcp(873, "rsync", "protocol version 32|protocol 32", "all of it", "be gentle")}},
		{"Xvnc", "tigervnc-standalone-server", nil, []service{tcp(5901, "vnc", "3.8", "VeNCrypt")}},
	}
}

func web() []host {
	return []host{
		{"nginx", "nginx-light", nil, []service{tcp(80, "http", "nginx", "{version}", "It works")}},
		{"caddy", "caddy", nil, []service{tcp(8443, "http", "ssl|TLS", "Caddy", "www.example.test"), udp(8443, "quic", "v1, v2")}},
		{"etcd", "etcd-server", nil, []service{tcp(2379, "etcd", "{version}")}},
	}
}

func databases() []host {
	return []host{
		{"mariadbd", "mariadb-server", nil, []service{tcp(3306, "mysql", "MariaDB", "{version}", "shop.example.test")}},
		{"postgres", "postgresql-15", nil, []service{tcp(5432, "postgresql", "PostgreSQL", "or later", "db.example.test", "SCRAM-SHA-256")}},
		{"redis", "redis-server", nil, []service{tcp(6379, "redis", "{version}", "standalone")}},
		{"redis with a password", "redis-server", nil, []service{tcp(6379, "redis", "Authentication required")}},
		{"memcached", "memcached", nil, []service{tcp(11211, "memcached", "{version}", "uptime"), udp(11211, "memcached memcache", "{version}")}},
	}
}

func brokers() []host {
	return []host{
		{"mosquitto", "mosquitto", nil, []service{tcp(1883, "mqtt mosquitto", "mosquitto version {version}", "accepted")}},
		{"nats", "nats-server", nil, []service{tcp(4222, "nats", "{version}", "hub")}},
	}
}

func infrastructure() []host {
	return []host{
		{"chronyd", "chrony", nil, []service{udp(123, "ntp", "NTPv4|NTP v4", "stratum 8", "{today}")}},
		{"avahi", "avahi-daemon", nil, []service{udp(5353, "mdns", "printer.local", "_workstation._tcp")}},
		{"turnserver", "coturn", nil, []service{tcp(3478, "stun", "Coturn", "{version}"), udp(3478, "stun", "Coturn", "{version}")}},
		{"kamailio", "kamailio", nil, []service{tcp(5060, "sip", "exchange of the test", "200 Keepalive"), udp(5060, "sip", "exchange of the test", "200 Keepalive")}},
		{"freeradius", "freeradius", nil, []service{udp(1812, "radius", "Access-Reject"), udp(1813, "radius radacct").silent()}}, // without its secret
		{"coap", "libcoap3-bin", nil, []service{udp(5683, "coap", "</time>")}},
		{"modbus", "python3-pymodbus", nil, []service{tcp(502, "modbus mbap", "Example", "PLC-7", "1.2")}},
	}
}
