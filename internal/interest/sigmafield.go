package interest

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// sigmaField is a field of Sysmon's event 3, as the Sigma taxonomy names it, or
// one that other sources add to it and that is on record here.
type sigmaField uint8

const (
	sigmaKeyword sigmaField = iota // a word without a field: in any text
	sigmaImage
	sigmaCommandLine
	sigmaCurrentDirectory
	sigmaParentImage // only its file name is on record
	sigmaUser
	sigmaParentProcessID
	sigmaProcessID
	sigmaProtocol
	sigmaInitiated
	sigmaSourceIP
	sigmaSourcePort
	sigmaSourceHostname
	sigmaSourceIsIPv6
	sigmaDestinationIP
	sigmaDestinationPort
	sigmaDestinationHostname
	sigmaDestinationIsIPv6
	sigmaEventID
	numSigmaFields
)

func sigmaFieldNames() []string {
	return []string{"keyword", "Image", "CommandLine", "CurrentDirectory", "ParentImage", "User", "ParentProcessId", "ProcessId", "Protocol",
		"Initiated", "SourceIp", "SourcePort", "SourceHostname", "SourceIsIpv6", "DestinationIp", "DestinationPort", "DestinationHostname",
		"DestinationIsIpv6", "EventID"}
}

func (f sigmaField) String() string { return sigmaFieldNames()[f] }

// ofOwner reports whether the process alone decides the field.
func (f sigmaField) ofOwner() bool { return f >= sigmaImage && f <= sigmaParentProcessID }

func (f sigmaField) isPort() bool { return f == sigmaSourcePort || f == sigmaDestinationPort }

func (f sigmaField) isIP() bool { return f == sigmaSourceIP || f == sigmaDestinationIP }

// ends gives the source, which is who began it, and the destination.
func sigmaEnds(e *activity.Event) (source, destination netip.AddrPort) {
	if inbound(e) {
		return e.Remote, e.Local
	}
	return e.Local, e.Remote
}

// end is the address that a field of an address, a port or a name is about.
func (f sigmaField) end(e *activity.Event) netip.AddrPort {
	source, destination := sigmaEnds(e)
	if f >= sigmaSourceIP && f <= sigmaSourceIsIPv6 {
		return source
	}
	return destination
}

// value gives the text of a field, and whether there is any. Fields of names
// have several: see names.
func (f sigmaField) value(e *activity.Event) (v string, has bool) {
	switch {
	case f == sigmaEventID:
		return "3", true
	case f == sigmaProtocol:
		return e.Proto.String(), true
	case f == sigmaInitiated:
		return strconv.FormatBool(!inbound(e)), true
	case f == sigmaProcessID:
		return number(e.Owner.PID)
	case f.ofOwner():
		if e.Process == nil {
			return "", false
		}
		v = f.ofProcess(e.Process)
		return v, v != ""
	}
	end := f.end(e)
	switch {
	case !end.IsValid():
		return "", false
	case f.isPort():
		return number(uint32(end.Port()))
	case f.isIP():
		return end.Addr().WithZone("").String(), true
	case f == sigmaSourceIsIPv6 || f == sigmaDestinationIsIPv6:
		return strconv.FormatBool(end.Addr().Is6()), true
	}
	return "", false
}

func number(n uint32) (string, bool) { return strconv.FormatUint(uint64(n), 10), n != 0 }

// ofProcess gives a field that the process has, "" for none. Of a parent only
// the short name is on record; it gets a separator before it, so that a rule
// which asks for the end of a path finds it.
func (f sigmaField) ofProcess(p *activity.Process) (v string) {
	switch f {
	case sigmaImage:
		return p.Exe
	case sigmaCommandLine:
		return strings.Join(p.Args, " ")
	case sigmaCurrentDirectory:
		return p.Cwd
	case sigmaUser:
		return p.User
	case sigmaParentProcessID:
		v, _ = number(p.Parent().Key.PID)
		return v
	}
	name := p.Parent().Name
	if name == "" {
		return ""
	}
	if strings.Contains(p.Exe, `\`) {
		return `\` + name
	}
	return "/" + name
}

// names gives what the end of a host name field is called.
func (f sigmaField) names(e *activity.Event, opt *Options) []string {
	if end := f.end(e); opt.Names != nil && end.IsValid() {
		return opt.Names(end.Addr())
	}
	return nil
}

// texts are the fields that a keyword is looked for in.
func sigmaTexts() []sigmaField {
	return []sigmaField{sigmaImage, sigmaCommandLine, sigmaCurrentDirectory, sigmaParentImage, sigmaUser, sigmaSourceIP, sigmaDestinationIP}
}
