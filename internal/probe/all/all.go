// Package all lists the probers, one a protocol. To add one is to add its line.
package all

import (
	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/probe/dns"
	"github.com/portreporter/portreporter/internal/probe/ftp"
	"github.com/portreporter/portreporter/internal/probe/imap"
	"github.com/portreporter/portreporter/internal/probe/isakmp"
	"github.com/portreporter/portreporter/internal/probe/kerberos"
	"github.com/portreporter/portreporter/internal/probe/l2tp"
	"github.com/portreporter/portreporter/internal/probe/ldap"
	"github.com/portreporter/portreporter/internal/probe/mssql"
	"github.com/portreporter/portreporter/internal/probe/netbios"
	"github.com/portreporter/portreporter/internal/probe/pop3"
	"github.com/portreporter/portreporter/internal/probe/rpc"
	"github.com/portreporter/portreporter/internal/probe/smtp"
	"github.com/portreporter/portreporter/internal/probe/snmp"
	"github.com/portreporter/portreporter/internal/probe/tftp"
)

// Probers are all of them, by name.
func Probers() []probe.Prober {
	return []probe.Prober{
		dns.Prober{},
		ftp.Prober{},
		imap.Prober{},
		isakmp.Prober{},
		kerberos.Prober{},
		l2tp.Prober{},
		ldap.Prober{},
		mssql.Prober{},
		netbios.Prober{},
		pop3.Prober{},
		rpc.Prober{},
		smtp.Prober{},
		snmp.Prober{},
		tftp.Prober{},
	}
}
