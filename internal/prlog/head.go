package prlog

import (
	"bytes"
	"io"
	"strings"
	"time"
)

// ReadHeader reads what a log's head says, and no further than it must. A log
// that has lost its head is told by its first line: Log is LogNone where that is
// none of ours either. The location is that of Date, nil the machine's.
func ReadHeader(r io.Reader, loc *time.Location) (Header, error) {
	if loc == nil {
		loc = time.Local
	}
	h := header{loc: loc}
	in := newLines(r)
	for range 64 { // no head is longer
		line, err := in.next()
		if err == io.EOF || err == errLongLine {
			break
		}
		if err != nil {
			return h.Header, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 || h.line(line) {
			continue
		}
		switch {
		case h.Log != LogNone:
		case isRecord(line):
			h.Log = LogPorts
		case bytes.HasPrefix(line, []byte(lineNumber)):
			h.Log = LogPIDs
		case len(bytes.Trim(line, "=")) == 0:
			continue
		}
		break
	}
	return h.Header, nil
}

// Location is the zone that a log of this program says its times are in: time.Local
// if that was as far from UTC then, else a fixed one; nil if the log does not say.
func (h *Header) Location() *time.Location {
	_, zone, _ := strings.Cut(h.Zone, "(UTC")
	zone, _, _ = strings.Cut(zone, ")")
	t, err := time.Parse("-07:00", zone)
	if err != nil || h.Date.IsZero() {
		return nil
	}
	_, offset := t.Zone()
	y, m, d := h.Date.Date()
	hour, min, sec := h.Date.Clock()
	if _, local := time.Date(y, m, d, hour, min, sec, 0, time.Local).Zone(); local == offset {
		return time.Local
	}
	return time.FixedZone("UTC"+zone, offset)
}

// header reads the heads of all three logs, a line at a time.
type header struct {
	Header
	loc      *time.Location
	computer bool   // the next line is the computer's name
	columns  []byte // PR-PORTS: the column line so far, which may be wrapped
}

// ours reports whether the log is this program's, and so its text escaped.
func (h *header) ours() bool { return strings.HasPrefix(h.Version, "3.") }

// text undoes the escapes of our own logs. In the original's % is a letter.
func (h *header) text(b []byte) string {
	if h.ours() {
		return unescape(string(b))
	}
	return string(b)
}

// line takes a line of the head; false says that it is none. line is trimmed.
func (h *header) line(line []byte) bool {
	if h.computer {
		h.computer = false
		h.Computer = h.text(line)
		return true
	}
	switch {
	case h.versionLine(line):
	case string(line) == titleInitial:
		h.Log = LogInitial
	case string(line) == titlePIDs:
		h.Log = LogPIDs
	case h.field(line, lineDate, &h.Zone):
		h.Date, _ = time.ParseInLocation("Mon Jan _2 15:04:05 2006", h.Zone, h.loc)
		h.Zone = ""
	case string(line) == lineComputer:
		h.computer = true
	case h.field(line, lineOS, &h.OS), h.field(line, lineZone, &h.Zone):
	case bytes.HasPrefix(line, []byte("Check ")):
		name, _, _ := bytes.Cut(line[len("Check "):], []byte(" "))
		h.PIDsFile = string(name)
	case string(line) == "Log format:":
	case bytes.HasPrefix(line, []byte("date,time,")):
		h.columns = append(h.columns[:0], line...)
	default:
		return false
	}
	return true
}

// versionLine takes "Port Reporter Version 1.01 Log File - Port usage log".
func (h *header) versionLine(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte(versionPrefix))
	if !ok {
		return false
	}
	version, rest, _ := bytes.Cut(rest, []byte(" "))
	h.Version = string(version)
	if bytes.HasSuffix(rest, []byte(titlePorts)) {
		h.Log = LogPorts
	}
	return true
}

// field takes the value of a line that begins with name. The blank that ends
// name has been trimmed off where the value is empty.
func (h *header) field(line []byte, name string, to *string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(name))
	if !ok && string(line) != strings.TrimSpace(name) {
		return false
	}
	*to = h.text(bytes.TrimSpace(rest))
	return true
}

// number parses an unsigned decimal number up to most, without the string that
// strconv would need: it reads every port and pid of a log.
func number(b []byte, most uint64) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' || n > (1<<64-1)/10-1 { // the last before it could overflow
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= most
}
