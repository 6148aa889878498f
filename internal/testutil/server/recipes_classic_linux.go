package server

import "maps"

// recipes are all that can be started by name.
func recipes() map[string]Recipe {
	all := classic()
	maps.Copy(all, mail())
	maps.Copy(all, directories())
	maps.Copy(all, web())
	maps.Copy(all, access())
	maps.Copy(all, databases())
	maps.Copy(all, brokers())
	maps.Copy(all, infrastructure())
	return all
}

// classic are the servers of PortQry's own list.
func classic() map[string]Recipe {
	return map[string]Recipe{
		"named": {
			Program: "named", Args: []string{"-g", "-u", "bind", "-c", "{dir}/named.conf"}, Owner: "bind", Log: " running\n",
			Files: map[string]string{"named.conf": `options {
	directory "{dir}"; pid-file "{dir}/named.pid"; session-keyfile "{dir}/session.key";
	listen-on { any; }; listen-on-v6 { any; }; recursion no; dnssec-validation no; server-id "ns1.example.test";
};
controls { };
zone "example.test" { type primary; file "zone"; };
`, "zone": "$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 192.0.2.53\n"},
			TCP: []uint16{53}, UDP: []uint16{53},
		},
		"vsftpd": {
			Program: "vsftpd", Args: []string{"{dir}/vsftpd.conf"},
			Files: map[string]string{"vsftpd.conf": `listen=YES
background=NO
anonymous_enable=YES
seccomp_sandbox=NO
secure_chroot_dir={dir}/empty
ftpd_banner=ready
`, "empty/": ""},
			TCP: []uint16{21},
		},
		"tftpd": {
			Program: "in.tftpd", Args: []string{"-L", "-4", "--user", "tftp", "--secure", "{dir}/root"},
			Files: map[string]string{"root/hello": "hello"},
			UDP:   []uint16{69},
		},
		"snmpd": {
			Program: "snmpd", Args: []string{"-f", "-Lo", "-C", "-c", "{dir}/snmpd.conf"},
			Env: []string{"SNMP_PERSISTENT_DIR={dir}"},
			Files: map[string]string{"snmpd.conf": `agentaddress udp:161
rocommunity public default
sysName switch7
sysDescr a switch of the test
sysLocation row 4
`},
			UDP: []uint16{161},
		},
		"charon": {
			Program: "/usr/lib/ipsec/charon",
			UDP:     []uint16{500, 4500},
		},
		"xl2tpd": {
			Program: "xl2tpd", Args: []string{"-D", "-c", "{dir}/xl2tpd.conf", "-p", "{dir}/pid", "-C", "{dir}/control"},
			Files: map[string]string{"xl2tpd.conf": "[global]\n[lns default]\nip range = 192.0.2.10-192.0.2.20\nlocal ip = 192.0.2.1\n"},
			UDP:   []uint16{1701},
		},
	}
}

// mail are mail servers.
func mail() map[string]Recipe {
	return map[string]Recipe{
		"dovecot": {
			Program: "dovecot", Args: []string{"-F", "-c", "{dir}/dovecot.conf"},
			Files: map[string]string{"dovecot.conf": `protocols = imap pop3
ssl = no
base_dir = {dir}/run
state_dir = {dir}/state
log_path = /dev/stderr
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home={dir}
}
`},
			TCP: []uint16{110, 143},
		},
		"postfix": {
			Program: "postfix", Args: []string{"-c", "{dir}/etc", "start-fg"},
			Files: map[string]string{"etc/main.cf": `compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = /dev/stdout
myhostname = mail.example.test
mydestination = example.test
smtpd_tls_security_level = none
inet_protocols = all
`, "queue/": "", "data/": ""},
			Prepare: []string{
				"chown postfix {dir}/data",
				"sed 's/^\\(smtp  *inet .*\\) [yn]  *- *- *smtpd/smtp inet n - n - - smtpd/; s/^\\([a-z]* *unix *[-yn]* *[-yn]* *\\)y /\\1n /' /etc/postfix/master.cf >{dir}/etc/master.cf",
			},
			TCP: []uint16{25},
		},
	}
}

// directories are LDAP servers, key distribution centres and domain controllers.
func directories() map[string]Recipe {
	return map[string]Recipe{
		"slapd": {
			Program: "slapd", Args: []string{"-d", "0", "-f", "{dir}/slapd.conf", "-h", "ldap:///"},
			Files: map[string]string{"slapd.conf": `include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/pid
database mdb
suffix "dc=example,dc=test"
directory {dir}/db
`, "db/": ""},
			TCP: []uint16{389},
		},
		"krb5kdc": {
			Program: "krb5kdc", Args: []string{"-n"},
			Env: []string{"KRB5_CONFIG={dir}/krb5.conf", "KRB5_KDC_PROFILE={dir}/kdc.conf"},
			Files: map[string]string{
				"krb5.conf": "[libdefaults]\ndefault_realm = EXAMPLE.TEST\n[realms]\nEXAMPLE.TEST = {\nkdc = 127.0.0.1\n}\n",
				"kdc.conf": `[kdcdefaults]
kdc_ports = 88
kdc_tcp_ports = 88
[realms]
EXAMPLE.TEST = {
database_name = {dir}/principal
key_stash_file = {dir}/stash
}
`},
			Prepare: []string{"kdb5_util create -s -r EXAMPLE.TEST -P secret"},
			TCP:     []uint16{88}, UDP: []uint16{88},
		},
		"samba": {
			Program: "samba", Env: []string{"TDB_NO_FSYNC=1"}, Args: []string{"-i", "-s", "{dir}/dc/etc/smb.conf"},
			Prepare: []string{
				"samba-tool domain provision --realm=AD.EXAMPLE.TEST --domain=EXAMPLE --server-role=dc --dns-backend=SAMBA_INTERNAL" +
					" --adminpass='Passw0rd!x1' --host-name=dc1 --host-ip={addr} --targetdir={dir}/dc" +
					" --option='interfaces=lo {addr}/24' --option='bind interfaces only=yes'",
				"sed -i '/dns forwarder/d' {dir}/dc/etc/smb.conf", // the machine's resolver, copied in
			},
			TCP: []uint16{53, 88, 135, 139, 389, 464, 636, 3268, 3269}, UDP: []uint16{53, 88, 137, 138, 389, 464},
		},
	}
}
