// Package foreign reads what other programs have recorded of a host's network
// as events of ours: Sysmon's event 3 as XML, and Zeek's conn.log.
//
// What a log does not say is unknown in the event, and all of them are of tier
// import. Input is bounded by the line, the record and the number of them that
// are held at once, never by the file. docs/EXCHANGE.md tells field by field
// what becomes of what.
package foreign

import (
	"fmt"
	"iter"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// Format is what a log is.
type Format uint8

// The formats. Classic logs are package prlog's to read.
const (
	Unknown Format = iota
	Classic
	Sysmon
	Zeek
)

// String is the word that a command line has for it.
func (f Format) String() string { return [...]string{"unknown", "pr", "sysmon", "zeek"}[f&3] }

// Missing lists the kinds that logs of the format cannot tell of.
func (f Format) Missing() []activity.Kind {
	common := []activity.Kind{activity.KindUnlisten, activity.KindUnbind, activity.KindBindFailed}
	switch f {
	case Classic:
		return append(common, activity.KindConnectFailed, activity.KindClose, activity.KindFlow, activity.KindFlowEnd, activity.KindKnock)
	case Sysmon:
		return append(common, activity.KindListen, activity.KindBind, activity.KindConnectFailed, activity.KindClose, activity.KindFlowEnd, activity.KindKnock)
	case Zeek:
		return append(common, activity.KindListen, activity.KindBind)
	}
	return nil
}

// Options say what a log does not. Only the zero Skipped pointer costs something:
// what is left out is then not counted.
type Options struct {
	Host    string         // Sysmon: the computer whose events are wanted; "" all of them
	Origin  string         // tells this host's processes from another's
	Local   []netip.Prefix // Zeek: the host's own addresses; connections of others are left out. nil: all are kept
	Skipped *Skipped       // counts what is no event of ours
}

// Skipped counts records that were understood and are no events of this host's
// ports.
type Skipped struct {
	Other   uint64 // about something else: other Sysmon events, ICMP
	Foreign uint64 // of another host
}

// LineError is what is wrong with one line or record. Reading goes on after it.
type LineError struct {
	Line int    // from 1, of its beginning
	Text string // cut to what fits a message
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v: %q", e.Line, e.Err, e.Text) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

func lineError(line int, text []byte, err error) *LineError {
	const most = 120
	return &LineError{Line: line, Text: string(text[:min(len(text), most)]), Err: err}
}

// Events reads a log of a format to its end, as UTF-8 text (see Open). Events
// are in the order of the log, which is not that of their times: see InOrder. A
// *LineError concerns one record; any other error is the last thing yielded. An
// event is the caller's until the next one, its process for good.
func Events(f Format, in *Input, opt Options) iter.Seq2[*activity.Event, error] {
	if opt.Skipped == nil {
		opt.Skipped = &Skipped{}
	}
	if f == Sysmon {
		return sysmonEvents(in, opt)
	}
	return zeekEvents(in, opt)
}
