// Package render turns events and sockets into what is shown: JSON Lines, CSV,
// and text for people. Nothing else in Port Reporter prints a value.
//
// Everything appends to a buffer that the caller owns and reuses, as whole
// lines with their line end. Text comes from the machine under observation and may be
// hostile: JSON and CSV keep it verbatim as data, text for people shows what
// could act on a terminal as an escape (see Safe).
package render

import (
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Options are what the output depends on besides the value.
type Options struct {
	Host     string         // JSON and CSV: the recording host's name; "" leaves it out
	Location *time.Location // text: the zone of times; nil is UTC
	Now      time.Time      // tables: times of this day are written without their date
	Width    int            // tables: the terminal's columns; 0 is unlimited
	Color    bool           // text and tables: colour beside the words, never instead of them

	// Findings gives what rules of interest say of a socket, for the table's last
	// column; nil leaves it out. It is asked on another goroutine, of one socket
	// after another.
	Findings func(*activity.Socket) []activity.Finding
}

func (o *Options) zone() *time.Location {
	if o.Location == nil {
		return time.UTC
	}
	return o.Location
}

// known returns p unless it is nil or a stub that only has its number, as
// activity.DecodeEvent makes when a process's record is lost.
func known(p *activity.Process) *activity.Process {
	if p != nil && p.Name == "" && p.Exe == "" && p.Key.IsZero() {
		return nil
	}
	return p
}

// fact is whether a field is shown: a value, null, or not at all.
type fact uint8

const (
	inapplicable fact = iota
	unknown
	present
)

// is tells apart a value, an unknown fact, and what does not apply: a zero
// that the kind does not promise.
func is(e *activity.Event, f activity.Facts, nonzero, applies bool) fact {
	switch {
	case nonzero:
		return present
	case e.Unknown&f != 0:
		return unknown
	case applies:
		return present
	}
	return inapplicable
}

// facts of an event that may be unknown, in the one way for all forms.
func bytesFact(e *activity.Event) fact {
	return is(e, activity.FactBytes, e.Rx|e.Tx != 0, e.Kind == activity.KindClose || e.Kind == activity.KindFlowEnd)
}

func packetsFact(e *activity.Event) fact {
	return is(e, activity.FactPackets, e.RxPackets|e.TxPackets != 0, e.Kind == activity.KindFlowEnd)
}

func durationFact(e *activity.Event) fact {
	return is(e, activity.FactDuration, e.Duration != 0, e.Kind.Ends())
}

func retransmitsFact(e *activity.Event) fact {
	return is(e, activity.FactRetransmits, e.Retransmits != 0, e.Kind == activity.KindClose && e.Proto == activity.TCP)
}

func hasReset(e *activity.Event) bool {
	return e.Flags&activity.FlagReset != 0 || e.Kind == activity.KindClose && e.Proto == activity.TCP
}

// flagNames are the flags' JSON names, in the order of their bits; FlagReset
// is told apart, since an ending says it either way.
func flagNames() [10]string {
	return [10]string{"mapped", "autobind", "", "inbound", "unaccepted", "recovered", "guessed", "mptcp", "truncated", "peer_first"}
}

// ownerPID is the owner's pid from whichever knows it.
func ownerPID(k activity.ProcessKey, p *activity.Process) uint32 {
	if k.PID == 0 && p != nil {
		return p.Key.PID
	}
	return k.PID
}

// kernelOwned reports whether a socket is past (or before) belonging to any process,
// so that no owner is nothing unknown.
func kernelOwned(s *activity.Socket) bool {
	return s.Inode == 0 && (s.State == activity.StateTimeWait || s.State == activity.StateSynReceived || s.State == activity.StateFinWait2)
}
