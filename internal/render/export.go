package render

import (
	"crypto/sha1" // the specification's: a name, not a safeguard
	"encoding/base64"
	"net/netip"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Export writes events in a format of another program's. It is not safe for
// concurrent use.
type Export interface {
	// AppendHeader appends what comes before the first event.
	AppendHeader(b []byte) []byte
	// Append appends e, nothing where the format has no place for it.
	Append(b []byte, e *activity.Event) []byte
	// AppendFooter appends what comes after the last event.
	AppendFooter(b []byte) []byte
}

// NewExport returns a writer of "jsonl", "ecs", "ocsf" or "zeek", nil for any
// other word. docs/EXCHANGE.md tells what they write.
func NewExport(format string, opt Options) Export {
	switch format {
	case "jsonl":
		return lineExport{opt: opt, append: AppendJSON}
	case "ecs":
		return lineExport{opt: opt, append: appendECS}
	case "ocsf":
		return lineExport{opt: opt, append: appendOCSF}
	case "zeek":
		return newZeek(opt)
	}
	return nil
}

// lineExport is a format of one line an event, and nothing around them.
type lineExport struct {
	opt    Options
	append func([]byte, *activity.Event, Options) []byte
}

func (x lineExport) AppendHeader(b []byte) []byte              { return b }
func (x lineExport) AppendFooter(b []byte) []byte              { return b }
func (x lineExport) Append(b []byte, e *activity.Event) []byte { return x.append(b, e, x.opt) }

// inbound reports whether the remote end began.
func inbound(e *activity.Event) bool {
	return e.Kind == activity.KindAccept || e.Kind == activity.KindKnock || e.Flags&activity.FlagInbound != 0
}

// ends returns who began and who answered.
func ends(e *activity.Event) (source, destination netip.AddrPort) {
	if inbound(e) {
		return e.Remote, e.Local
	}
	return e.Local, e.Remote
}

// began is when what e ends began, UTC ns; 0 unknown, or e ends nothing.
func began(e *activity.Event) int64 {
	if !e.Kind.Ends() || e.Unknown&activity.FactDuration != 0 {
		return 0
	}
	return e.Time - e.Duration
}

// communityID is the Community ID of an exchange, version 1 with seed 0: a hash
// over its ends that other tools make too (github.com/corelight/community-id-spec).
// It is "" where an end is not known.
func communityID(e *activity.Event) string {
	a, b := e.Local, e.Remote
	if !a.IsValid() || !b.IsValid() || b.Port() == 0 {
		return ""
	}
	if b.Compare(a) < 0 { // the smaller end first, whoever began
		a, b = b, a
	}
	in := make([]byte, 0, 2+2*16+2+4)
	in = append(in, 0, 0)
	in = append(in, a.Addr().AsSlice()...)
	in = append(in, b.Addr().AsSlice()...)
	in = append(in, byte(e.Proto), 0, byte(a.Port()>>8), byte(a.Port()), byte(b.Port()>>8), byte(b.Port()))
	sum := sha1.Sum(in)
	return "1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// appendObject begins an object under a name; appendClose ends it, and takes it
// back where it stayed empty.
func appendObject(b []byte, name string) []byte { return append(appendKey(b, name), '{') }

func appendClose(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		return append(b, '}')
	}
	b = b[:len(b)-len(name)-len(`"":{`)]
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return b
}

// addrText is the address without its zone, which is a name of this host's.
func addrText(a netip.AddrPort) string { return a.Addr().WithZone("").String() }

func rfc3339(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// commandLine joins arguments as they would be typed, for people: arguments that
// hold blanks or quotes are quoted.
func commandLine(args []string) string {
	n := 0
	for _, a := range args {
		n += len(a) + 3
	}
	b := make([]byte, 0, n)
	for i, a := range args {
		if i > 0 {
			b = append(b, ' ')
		}
		if a != "" && !strings.ContainsAny(a, " \t\n\"'\\") {
			b = append(b, a...)
			continue
		}
		b = append(b, '"')
		for j := range len(a) {
			if a[j] == '"' || a[j] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, a[j])
		}
		b = append(b, '"')
	}
	return string(b)
}
