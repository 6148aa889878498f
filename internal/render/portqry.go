package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/probe"
)

// PortQry writes what PortQry 2.0 printed, in its words and order (KB 832919
// and its published samples).
type PortQry struct {
	Service   func(probe.Proto, uint16) string // the name in the services file, "" unknown
	Verbose   bool                             // every value of an answer's fields; else the first, as PortQry did
	Community string                           // the SNMP community, as it is to be shown
}

// PortQryLogEnd ends a log.
const PortQryLogEnd = "\n========= end of log file ========= \n"

// The headings of the local mode.
const (
	PortQryMappings  = "TCP/UDP Port to Process Mappings"
	PortQryByProcess = `Port and Module Information by Process

Note: restrictions applied to some processes may
prevent Portqry from accessing more information

For best results run Portqry in the context of
the local administrator

`
)

// systemDate is how C's asctime writes a time, and so the originals.
const systemDate = "Mon Jan _2 15:04:05 2006"

// AppendPortQryLogHead appends the beginning of a log.
func AppendPortQryLogHead(b []byte, now time.Time, command, host string) []byte {
	return fmt.Appendf(b, "PortQry Version 2.0 Log File\n\nSystem Date: %s\n\nCommand run:\n %s\n\nLocal computer name:\n\n %s\n\n",
		now.Format(systemDate), Safe(command), Safe(host))
}

// AppendPortQryHelp appends the help text; a row is an option and what it says.
func AppendPortQryHelp(b []byte, options [][2]string) []byte {
	b = append(b, `portqry tests TCP and UDP ports, and says what answers

  portqry -n NAME [OPTIONS]              test a system's ports
  portqry -i [-n NAME] [OPTIONS]         interactive mode
  portqry -local [-v]                    this system's ports and processes
  portqry -wport PORT | -wpid PID [-wt SECONDS] [-v]
                                         watch them; Esc or Ctrl+C ends

Options begin with - or /:

`...)
	for _, o := range options {
		b = fmt.Appendf(b, "  %-18s %s\n", o[0], o[1])
	}
	return append(b, `
Exit codes: 0 LISTENING, 1 NOT LISTENING, 2 FILTERED or LISTENING or FILTERED;
of several ports the highest. 99: no test took place.

Example: portqry -n mail.example.com -p tcp -o 25,110,143
`...)
}

// AppendTarget appends which system is asked.
func (PortQry) AppendTarget(b []byte, host string) []byte {
	b = append(b, "\nQuerying target system called:\n\n "...)
	return append(appendSafe(b, host), "\n\n"...)
}

// AppendResolved appends the address of a name; the zero one is none.
func (PortQry) AppendResolved(b []byte, addr netip.Addr) []byte {
	b = append(b, "Attempting to resolve name to IP address...\n\n"...)
	if !addr.IsValid() {
		return append(b, "Failed to resolve name to IP address\n\n"...)
	}
	return append(addr.AppendTo(append(b, "Name resolved to "...)), "\n\n"...)
}

// AppendReverse appends the name of an address, if there is one.
func (PortQry) AppendReverse(b []byte, names []string) []byte {
	b = append(b, "Attempting to resolve IP address to a name...\n\n"...)
	if len(names) == 0 {
		return append(b, "Failed to resolve IP address to name\n\n"...)
	}
	return append(appendSafe(append(b, "IP address resolved to "...), strings.TrimSuffix(names[0], ".")), "\n\n"...)
}

// AppendResult appends one port's verdict, and what its service answered.
func (p PortQry) AppendResult(b []byte, r *probe.Result) []byte {
	ask := questionOf(r)
	service := "unknown"
	if p.Service != nil {
		if s := p.Service(r.Target.Proto, r.Target.Port); s != "" {
			service = s
		}
	}
	port := strings.ToUpper(r.Target.Proto.String()) + " port " + strconv.Itoa(int(r.Target.Port))
	first := r.Verdict
	if r.Target.Proto == probe.UDP && ask != nil && first != probe.NotListening {
		first = probe.ListeningOrFiltered // what the unformatted datagram showed
	}
	b = fmt.Appendf(b, "%s (%s service): %s\n\n", port, Safe(service), first)
	if ask == nil {
		return b
	}
	b = ask.append(p, b, r)
	if r.Target.Proto == probe.TCP || first == probe.NotListening {
		return b
	}
	after := r.Verdict
	if after == probe.ListeningOrFiltered { // its own question was not answered
		after = probe.Filtered
	}
	if ask.noNumber {
		return fmt.Appendf(b, "UDP port: %s\n\n", after)
	}
	return fmt.Appendf(b, "%s is %s\n\n", port, after)
}

// question is how PortQry words a protocol's question and answer.
type question struct {
	sending    string // "Sending LDAP query to %s port %d..."
	begin      string // before an answer
	end        string // after it
	answer     func(p PortQry, b []byte, a *probe.Answer) []byte
	ephemeral  bool // asked from an ephemeral port, which is said
	community  bool // shown before
	noNumber   bool // its last line names no port
	datagrams  bool // PortQry asked it by UDP alone
	stream     bool // its answer is printed by TCP alone
	onlyAnswer bool // there is no question unless it was answered
}

// questionOf finds how a result's question is worded: by what was asked, be it
// answered or not. nil: PortQry had no question there.
func questionOf(r *probe.Result) *question {
	q, ok := questions()[r.Asked]
	if !ok || r.Verdict == probe.NotListening || q.datagrams && r.Target.Proto != probe.UDP || q.onlyAnswer && r.Answer == nil {
		return nil
	}
	return &q
}

func (q *question) append(p PortQry, b []byte, r *probe.Result) []byte {
	if q.community {
		b = append(appendSafe(append(b, "community name for query:\n\n"...), p.Community), "\n\n"...)
	}
	if q.ephemeral {
		b = append(b, "Using ephemeral source port\n\n"...)
	}
	if strings.Contains(q.sending, "%") {
		b = fmt.Appendf(b, q.sending, strings.ToUpper(r.Target.Proto.String()), r.Target.Port)
	} else {
		b = append(b, q.sending...)
	}
	if r.Answer == nil || q.answer == nil || q.stream && r.Target.Proto != probe.TCP {
		return b
	}
	b = append(b, q.begin...)
	b = q.answer(p, b, r.Answer)
	return append(b, q.end...)
}

func questions() map[string]question {
	data := question{begin: "Data returned from port:\n", answer: appendReturned, onlyAnswer: true}
	return map[string]question{
		"ftp": data, "smtp": data, "pop3": data, "imap": data,
		"ldap": {sending: "Sending LDAP query to %s port %d...\n\n", begin: "LDAP query response:\n\n",
			end: "\n======== End of LDAP query response ========\n\n", answer: PortQry.appendLDAP},
		"rpc": {sending: "Querying Endpoint Mapper Database...\n", begin: "Server's response:\n\n",
			end: "\n==== End of RPC Endpoint Mapper query response ====\n\n", answer: appendEndpoints, ephemeral: true},
		"netbios": {sending: "Attempting NETBIOS adapter status query to %s port %d...\n\n", answer: appendMAC, ephemeral: true, noNumber: true, datagrams: true},
		"netlogon": {sending: "Sending NETBIOS datagram query to %s port %d...\n\n", begin: "Server's response:\n\n",
			end: "\n==== End of NETBIOS datagram query response ====\n\n", answer: PortQry.appendController, onlyAnswer: true},
		"snmp": {sending: "Sending SNMP query to %s port %d...\n\n", community: true},
		"mssql": {sending: "Sending SQL Server query to %s port %d...\n\n", begin: "Server's response:\n\n",
			end: "\n==== End of SQL Server query response ====\n\n", answer: appendInstances, datagrams: true},
		"isakmp": {sending: "Sending ISAKMP query to %s port %d...\n\n", ephemeral: true},
		"tftp":   {sending: "Sending TFTP query to %s port %d...\n\n"},
		"l2tp":   {sending: "Sending L2TP query to %s port %d...\n\n"},
		"wsp":    {sending: "Sending ISA query to %s port %d...\n\n", begin: "ISA query response:\n\n", end: "\n======== End of ISA query response ========\n\n", answer: appendReturned, stream: true},
	}
}

// appendReturned appends what a service said, as lines: its greeting, and FTP's
// answer to the user anonymous.
func appendReturned(p PortQry, b []byte, a *probe.Answer) []byte {
	for _, f := range a.Fields {
		if f.Name != "greeting" && f.Name != "anonymous" && !p.Verbose {
			continue
		}
		for _, v := range f.Values {
			for line := range strings.Lines(v) {
				b = append(appendSafe(b, strings.TrimRight(line, "\r\n")), '\n')
			}
		}
	}
	return append(b, '\n')
}

// appendController appends what a domain controller said at the datagram service,
// where PortQry asked nothing.
func (p PortQry) appendController(b []byte, a *probe.Answer) []byte {
	for _, f := range a.Fields {
		values := f.Values
		if !p.Verbose {
			values = values[:1]
		}
		for _, v := range values {
			b = append(appendSafe(append(appendSafe(b, f.Name), ": "...), v), '\n')
		}
	}
	return b
}

// ldapOrder is the order of PortQry's samples.
func ldapOrder() []string {
	return []string{"currentTime", "subschemaSubentry", "dsServiceName", "namingContexts", "defaultNamingContext", "schemaNamingContext",
		"configurationNamingContext", "rootDomainNamingContext", "supportedControl", "supportedLDAPVersion", "supportedLDAPPolicies",
		"highestCommittedUSN", "supportedSASLMechanisms", "dnsHostName", "ldapServiceName", "serverName", "supportedCapabilities",
		"isSynchronized", "isGlobalCatalogReady", "domainFunctionality", "forestFunctionality", "domainControllerFunctionality"}
}

// appendLDAP appends the attributes that PortQry's samples have, one value each;
// with Verbose all that came.
func (p PortQry) appendLDAP(b []byte, a *probe.Answer) []byte {
	order := ldapOrder()
	place := func(f probe.Field) int {
		if i := slices.Index(order, f.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	fields := slices.Clone(a.Fields)
	slices.SortStableFunc(fields, func(x, y probe.Field) int { return place(x) - place(y) })
	for _, f := range fields {
		values := f.Values
		if !p.Verbose {
			if place(f) == len(order) {
				break
			}
			values = values[:1]
		}
		for _, v := range values {
			if f.Name == "currentTime" {
				b = append(appendSafe(append(b, "currentdate: "...), ldapTime(v)), " (unadjusted GMT) \n"...)
				continue
			}
			b = append(appendSafe(append(appendSafe(b, f.Name), ": "...), v), '\n')
		}
	}
	return b
}

// ldapTime writes a GeneralizedTime (RFC 4517 section 3.3.13) as PortQry did,
// month first.
func ldapTime(v string) string {
	t, err := time.Parse("20060102150405.0Z", v)
	if err != nil {
		return v
	}
	return t.Format("01/02/2006 15:04:05")
}

// AppendPortQryWatch appends what a watch begins with. port is 0 where a
// process is watched.
func AppendPortQryWatch(b []byte, port, pid int, every time.Duration, verbose bool) []byte {
	b = fmt.Appendf(b, "Watching %s\n\nChecking for changes every %d seconds\n\n", watched(port, pid), int(every.Seconds()))
	if verbose {
		b = append(b, "verbose output requested\n\n"...)
	}
	return append(b, "============\n"...)
}

// AppendPortQryDate appends the line above each table of a watch.
func AppendPortQryDate(b []byte, now time.Time) []byte {
	return fmt.Appendf(b, "System Date: %s\n\n", now.Format(systemDate))
}

// AppendPortQryEscape appends the last line of a watch that Esc ended.
func AppendPortQryEscape(b []byte, port, pid int) []byte {
	what := strings.Replace(strings.ToLower(watched(port, pid)), ":", "", 1)
	return fmt.Appendf(b, "\nescape key pressed: stopped watching %s\n", strings.Replace(what, "pid", "PID", 1))
}

func watched(port, pid int) string {
	if port > 0 {
		return fmt.Sprintf("port: %d", port)
	}
	return fmt.Sprintf("PID: %d", pid)
}

// PortQrySettings are what interactive mode has set.
type PortQrySettings struct {
	Node                string
	EndPort, SourcePort int // SourcePort 0 is any
	Protocol            string
	Community           string // not shown: it is a password
	NoReverse, SlowLink bool
}

// AppendPortQryInteractive appends what interactive mode begins with.
func AppendPortQryInteractive(b []byte, s PortQrySettings) []byte {
	b = append(b, "Portqry Interactive Mode\n\nType 'help' for a list of commands\n\n"...)
	return AppendPortQrySettings(AppendPortQryNode(b, s.Node), s)
}

// AppendPortQryNode appends which system is asked.
func AppendPortQryNode(b []byte, node string) []byte {
	return append(appendSafe(append(b, "Default Node: "...), node), "\n\n"...)
}

// AppendPortQrySettings appends the options' values, the less usual ones where
// they are set.
func AppendPortQrySettings(b []byte, s PortQrySettings) []byte {
	b = fmt.Appendf(b, "Current option values:\n   end port= %d\n   protocol= %s\n   source port= %d", s.EndPort, s.Protocol, s.SourcePort)
	if s.SourcePort == 0 {
		b = append(b, " (ephemeral)"...)
	}
	b = append(b, '\n')
	for _, o := range []struct {
		on   bool
		text string
	}{{s.Community != "public" && s.Community != "", "community name= (set)"}, {s.NoReverse, "no reverse lookup"}, {s.SlowLink, "slow link"}} {
		if o.on {
			b = append(append(append(b, "   "...), o.text...), '\n')
		}
	}
	return b
}

// AppendPortQryCommands appends the help text of interactive mode.
func AppendPortQryCommands(b []byte, shortcuts []string) []byte {
	return append(b, `node NAME          query this system (short: n)
query              test its port (short: q)
query SHORTCUT     test the ports of a service: `+strings.Join(shortcuts, ", ")+`
set OPTION=VALUE   port (e), sport (sp; 0 is any), protocol (p), cn (!community!)
set nr, set sl     switch: no reverse look-up, slow link
set all            show what is set
help, exit

`...)
}

// appendEndpoints appends the endpoint mapper's, each with its interface and the
// server's own words for it.
func appendEndpoints(_ PortQry, b []byte, a *probe.Answer) []byte {
	var id, annotation string
	total := 0
	for _, f := range a.Fields {
		switch v := f.Values[0]; f.Name {
		case "UUID":
			id, annotation = v, ""
		case "annotation":
			annotation = " " + v
		case "binding":
			b = appendSafe(append(b, "UUID: "...), strings.TrimRight(id+annotation, " "))
			b = append(appendSafe(append(b, '\n'), v), "\n\n"...)
			total++
		}
	}
	return fmt.Appendf(b, "Total endpoints found: %d\n\n", total)
}

// appendMAC appends the adapter's address, without colons.
func appendMAC(_ PortQry, b []byte, a *probe.Answer) []byte {
	mac := strings.ReplaceAll(strings.ToLower(a.Get("MAC address")), ":", "")
	return fmt.Appendf(b, "Server's response: MAC address %s\n", Safe(mac))
}

// appendInstances appends SQL Server's instances, a blank line between two.
func appendInstances(_ PortQry, b []byte, a *probe.Answer) []byte {
	for i, f := range a.Fields {
		switch {
		case f.Name == "instances":
			continue
		case f.Name == "ServerName" && i > 0:
			b = append(b, '\n')
		}
		b = append(appendSafe(append(appendSafe(b, f.Name), ' '), f.Values[0]), '\n')
	}
	return b
}
