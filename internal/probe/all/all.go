// Package all lists the probers, one a protocol. To add one is to add its line.
package all

import (
	"cmp"
	"slices"

	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/amqp"
	"github.com/portreporter/portreporter/internal/probe/coap"
	"github.com/portreporter/portreporter/internal/probe/dns"
	"github.com/portreporter/portreporter/internal/probe/ftp"
	"github.com/portreporter/portreporter/internal/probe/http"
	"github.com/portreporter/portreporter/internal/probe/imap"
	"github.com/portreporter/portreporter/internal/probe/isakmp"
	"github.com/portreporter/portreporter/internal/probe/kafka"
	"github.com/portreporter/portreporter/internal/probe/kerberos"
	"github.com/portreporter/portreporter/internal/probe/l2tp"
	"github.com/portreporter/portreporter/internal/probe/ldap"
	"github.com/portreporter/portreporter/internal/probe/mdns"
	"github.com/portreporter/portreporter/internal/probe/memcached"
	"github.com/portreporter/portreporter/internal/probe/modbus"
	"github.com/portreporter/portreporter/internal/probe/mongodb"
	"github.com/portreporter/portreporter/internal/probe/mqtt"
	"github.com/portreporter/portreporter/internal/probe/mssql"
	"github.com/portreporter/portreporter/internal/probe/mysql"
	"github.com/portreporter/portreporter/internal/probe/nats"
	"github.com/portreporter/portreporter/internal/probe/netbios"
	"github.com/portreporter/portreporter/internal/probe/ntp"
	"github.com/portreporter/portreporter/internal/probe/pop3"
	"github.com/portreporter/portreporter/internal/probe/postgres"
	"github.com/portreporter/portreporter/internal/probe/quic"
	"github.com/portreporter/portreporter/internal/probe/radius"
	"github.com/portreporter/portreporter/internal/probe/rdp"
	"github.com/portreporter/portreporter/internal/probe/redis"
	"github.com/portreporter/portreporter/internal/probe/rpc"
	"github.com/portreporter/portreporter/internal/probe/rsync"
	"github.com/portreporter/portreporter/internal/probe/sip"
	"github.com/portreporter/portreporter/internal/probe/smb"
	"github.com/portreporter/portreporter/internal/probe/smtp"
	"github.com/portreporter/portreporter/internal/probe/snmp"
	"github.com/portreporter/portreporter/internal/probe/ssdp"
	"github.com/portreporter/portreporter/internal/probe/ssh"
	"github.com/portreporter/portreporter/internal/probe/stun"
	"github.com/portreporter/portreporter/internal/probe/tftp"
	"github.com/portreporter/portreporter/internal/probe/tls"
	"github.com/portreporter/portreporter/internal/probe/vnc"
	"github.com/portreporter/portreporter/internal/probe/wsp"
)

// Probers are all of them, by name.
func Probers() []probe.Prober {
	all := []probe.Prober{
		amqp.Prober{},
		coap.Prober{},
		dns.Prober{},
		ftp.Prober{},
		http.New(),
		imap.Prober{},
		isakmp.Prober{},
		kafka.Prober{},
		kerberos.Prober{},
		l2tp.Prober{},
		ldap.Prober{},
		ldap.Secure{},
		mdns.Prober{},
		memcached.Prober{},
		modbus.Prober{},
		mongodb.Prober{},
		mqtt.Prober{},
		mssql.Prober{},
		mysql.Prober{},
		nats.Prober{},
		netbios.Netlogon{},
		netbios.Prober{},
		ntp.Prober{},
		pop3.Prober{},
		postgres.Prober{},
		quic.Prober{},
		radius.Prober{},
		rdp.Prober{},
		redis.Prober{},
		rpc.Prober{},
		rsync.Prober{},
		sip.Prober{},
		smb.Prober{},
		smtp.Prober{},
		snmp.Prober{},
		ssdp.Prober{},
		ssh.Prober{},
		stun.Prober{},
		tftp.Prober{},
		tls.Prober{},
		vnc.Prober{},
		wsp.Prober{},
	}
	for _, p := range http.Services() {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b probe.Prober) int { return cmp.Compare(a.Protocol(), b.Protocol()) })
	return all
}
