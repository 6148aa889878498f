package prlog

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portreporter/portreporter/internal/activity"
)

// The lines that writer and reader share.
const (
	versionPrefix = "Port Reporter Version "
	versionSuffix = " Log File"
	ourVersion    = "3.0"
	versionLine   = versionPrefix + ourVersion + versionSuffix

	titleInitial = "Service initialization log"
	titlePIDs    = "Process detail log"
	titlePorts   = " - Port usage log" // ends the version line

	columnLine = "date,time,protocol,local port,local IP address,remote port,remote IP address,PID,module,user context"

	lineDate     = "System Date: "
	lineComputer = "Local computer name:"
	lineOS       = "Operating System: "
	lineZone     = "Time zone: "
	lineMappings = "TCP/UDP Port to Process Mappings at service start-up"
	lineFound    = " mappings found"
	lineContinue = "Mappings continue those of "

	rule         = "======================================================" // 54
	lineNumber   = "Log number: "
	lineRecorded = "Log entry below recorded at: "
	lineLost     = "Log entries lost before this one: "
	lineProcess  = "Process ID: "
	lineUser     = "User context: "
	lineService  = "Service Name: "
	lineDisplay  = "Display Name: "
	lineType     = "Service Type: "
	typeOwn      = "runs in its own process"
	typeShared   = "shares a process with other services"
	lineNoSvc    = "Process doesn't appear to be a service"
	lineTableAt  = "Port mappings: as in log number "
	lineStats    = "Port Statistics"
	lineTCP      = "TCP mappings: "
	lineUDP      = "UDP mappings: "
	lineState    = "TCP ports in a "
	lineMore     = " more mappings"
	lineModules  = "Loaded modules:"
	sinceNumber  = "unchanged since log number "
	sameNumber   = "same as log number "
	lineNoMods   = "Could not access module information for this process"

	ctime = "Mon Jan 02 15:04:05 2006"
)

// appendStamp appends "05/7/6,13:52:1": the year of two digits, nothing else
// padded.
func appendStamp(b []byte, t time.Time) []byte {
	y, m, d := t.Date()
	b = append(appendTwo(b, y%100), '/')
	b = append(strconv.AppendInt(b, int64(m), 10), '/')
	b = append(strconv.AppendInt(b, int64(d), 10), ',')
	h, min, s := t.Clock()
	b = append(strconv.AppendInt(b, int64(h), 10), ':')
	b = append(strconv.AppendInt(b, int64(min), 10), ':')
	return strconv.AppendInt(b, int64(s), 10)
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// nameSuffix is the time in a file name: "05-07-6-13-44-4", where only the
// month is padded besides the year.
func nameSuffix(t time.Time) string {
	y, m, d := t.Date()
	b := append(appendTwo(nil, y%100), '-')
	b = appendTwo(b, int(m))
	h, min, s := t.Clock()
	for _, v := range [...]int{d, h, min, s} {
		b = strconv.AppendInt(append(b, '-'), int64(v), 10)
	}
	return string(b)
}

// Log is one of the three logs of a set.
type Log uint8

// The logs of a set.
const (
	LogNone Log = iota
	LogInitial
	LogPorts
	LogPIDs
)

// String returns how the log's file name begins.
func (l Log) String() string { return [...]string{"", "PR-INITIAL", "PR-PORTS", "PR-PIDS"}[l&3] }

// ParseName takes a file's name apart into its log and the suffix that the logs
// of one set share. Any field of the time may have one digit or two.
func ParseName(name string) (l Log, suffix string, ok bool) {
	base, found := cutSuffixFold(name, ".log")
	if !found {
		return 0, "", false
	}
	for l := LogInitial; l <= LogPIDs; l++ {
		p := l.String() + "-"
		if len(base) > len(p) && strings.EqualFold(base[:len(p)], p) && isNameTime(base[len(p):]) {
			return l, base[len(p):], true
		}
	}
	return 0, "", false
}

// cutSuffixFold ignores case, as the file systems did that these logs come from.
func cutSuffixFold(s, suffix string) (string, bool) {
	i := len(s) - len(suffix)
	if i < 0 || !strings.EqualFold(s[i:], suffix) {
		return s, false
	}
	return s[:i], true
}

// isNameTime takes six numbers, or the seventh of a set that found its name taken.
func isNameTime(s string) bool {
	fields := strings.Split(s, "-")
	for _, f := range fields {
		if len(f) == 0 || len(f) > 2 || strings.Trim(f, "0123456789") != "" {
			return false
		}
	}
	return len(fields) == 6 || len(fields) == 7
}

// stateNames are the original's words where it had one, else ours with spaces.
var stateNames = [...]string{
	activity.StateListen: "LISTENING", activity.StateBound: "BOUND", activity.StateSynSent: "SYN SENT",
	activity.StateSynReceived: "SYN RECEIVED", activity.StateEstablished: "ESTABLISHED",
	activity.StateFinWait1: "FIN WAIT 1", activity.StateFinWait2: "FIN WAIT 2", activity.StateCloseWait: "CLOSE WAIT",
	activity.StateClosing: "CLOSING", activity.StateLastAck: "LAST ACK", activity.StateTimeWait: "TIME WAIT",
	activity.StateClosed: "CLOSED",
}

// stateName returns "" for a state that is not known.
func stateName(s activity.State) string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return ""
}

// parseState reads a state as any of the originals spelt it (PortQry wrote
// underscores, SYN_SEND and TIMED_WAIT).
func parseState(s string) (activity.State, bool) {
	s = strings.ToUpper(strings.NewReplacer("_", " ", "-", " ").Replace(s))
	switch s {
	case "LISTEN":
		return activity.StateListen, true
	case "SYN SEND":
		return activity.StateSynSent, true
	case "SYN RCVD":
		return activity.StateSynReceived, true
	case "TIMED WAIT":
		return activity.StateTimeWait, true
	case "FIN WAIT1":
		return activity.StateFinWait1, true
	case "FIN WAIT2":
		return activity.StateFinWait2, true
	}
	for i, n := range stateNames {
		if n == s && n != "" {
			return activity.State(i), true
		}
	}
	return 0, false
}

// statOrder is the order of Port Statistics: the original's four, then ours.
var statOrder = [...]activity.State{activity.StateListen, activity.StateEstablished, activity.StateCloseWait, activity.StateTimeWait,
	activity.StateSynSent, activity.StateSynReceived, activity.StateFinWait1, activity.StateFinWait2, activity.StateClosing,
	activity.StateLastAck, activity.StateClosed}

// appendText appends s escaped as the package comment says; column says that it
// is one of PR-PORTS.
func appendText(b []byte, s string, column bool) []byte {
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if n == 1 && r == utf8.RuneError || !unicode.IsPrint(r) || special(s, i, column) {
			for _, c := range []byte(s[i : i+n]) {
				b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			}
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

const hexDigits = "0123456789ABCDEF"

// special reports whether the printable byte s[i] must be escaped.
func special(s string, i int, column bool) bool {
	switch s[i] {
	case ' ':
		return i == 0 || i == len(s)-1 // lines and columns are trimmed when read
	case '%':
		return i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
	case ',', '"', '<', '>':
		return column
	case '=', '+', '-', '@':
		return column && i == 0
	}
	return false
}

func isHex(c byte) bool { return unhex(c) < 16 }

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// unescape is the inverse of appendText.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// imageName is what the original's module column held: the file name of the
// program, or what the kernel calls the process.
func imageName(p *activity.Process) string {
	switch {
	case p == nil:
		return ""
	case p.Exe == "" || p.MemFD || p.Kernel:
		return p.Name
	case isWindowsPath(p.Exe):
		return p.Exe[strings.LastIndexByte(p.Exe, '\\')+1:]
	}
	return path.Base(p.Exe)
}

// isWindowsPath tells by the path and not by the system: a backslash is a letter
// like any other in a file name on Linux, and imported logs are Windows'.
func isWindowsPath(s string) bool {
	return strings.HasPrefix(s, `\`) || len(s) > 2 && s[1] == ':' && s[2] == '\\'
}

// userName is the account that runs p, its number where it has no known name.
func userName(p *activity.Process) string {
	switch {
	case p == nil:
		return ""
	case p.User == "" && p.UID != activity.NoID:
		return strconv.FormatUint(uint64(p.UID), 10)
	}
	return p.User
}

// appendAddr appends an address, or nothing for one that is not known. Zones name
// interfaces of the moment, and the original had none.
func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.WithZone("").AppendTo(b)
}

// anyAddr is the remote address of a listener: the unspecified one of its family.
func anyAddr(local netip.Addr) netip.Addr {
	if local.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
