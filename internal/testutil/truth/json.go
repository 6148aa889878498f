package truth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// eventJSON is the part of the JSON event, version 1, that a comparison needs.
type eventJSON struct {
	V          int             `json:"v"`
	Time       time.Time       `json:"time"`
	Seq        uint64          `json:"seq"`
	Kind       string          `json:"kind"`
	Proto      string          `json:"proto"`
	Local      *addrJSON       `json:"local"`
	Remote     *addrJSON       `json:"remote"`
	NetNS      uint32          `json:"netns"`
	Socket     uint64          `json:"socket"`
	Tier       string          `json:"tier"`
	Provenance string          `json:"provenance"`
	Role       string          `json:"role"`
	Process    *processJSON    `json:"process"`
	Holder     *processJSON    `json:"holder"`
	Rx         *uint64         `json:"rx"`
	Tx         *uint64         `json:"tx"`
	Duration   int64           `json:"duration_ns"`
	Closer     uint32          `json:"closer"`
	Errno      uint16          `json:"errno"`
	Reason     json.RawMessage `json:"reason"` // a word, null when unknown, absent when there is none

	Reset      bool `json:"reset"`
	Mapped     bool `json:"mapped"`
	AutoBind   bool `json:"autobind"`
	Inbound    bool `json:"inbound"`
	Unaccepted bool `json:"unaccepted"`
	MPTCP      bool `json:"mptcp"`

	Lost map[string]uint64 `json:"lost"`
}

type addrJSON struct {
	IP   netip.Addr `json:"ip"`
	Port uint16     `json:"port"`
}

type processJSON struct {
	PID     uint32     `json:"pid"`
	Start   *time.Time `json:"start"`
	Name    string     `json:"name"`
	Exe     string     `json:"exe"`
	Args    []string   `json:"args"`
	PPID    uint32     `json:"ppid"`
	UID     *uint32    `json:"uid"`
	Deleted bool       `json:"deleted"`
	MemFD   bool       `json:"memfd"`
}

// Events reads JSON Lines of events as `portreporter events --json` prints
// them. An event's Owner has no start then, and its process has it as wall
// time. The event is reused; the sequence ends at the first error.
func Events(r io.Reader) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for n := 1; s.Scan(); n++ {
			if len(s.Bytes()) == 0 {
				continue
			}
			e, err := parseEvent(s.Bytes())
			if err != nil {
				yield(nil, fmt.Errorf("read events: line %d: %w", n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(nil, fmt.Errorf("read events: %w", err))
		}
	}
}

func parseEvent(b []byte) (*activity.Event, error) {
	var j eventJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	if j.V != 1 {
		return nil, fmt.Errorf("event version %d, want 1", j.V)
	}
	e := &activity.Event{Time: j.Time.UnixNano(), Seq: j.Seq, NetNS: j.NetNS, Socket: j.Socket, Duration: j.Duration, Closer: j.Closer, Errno: j.Errno}
	if err := words(&j, e); err != nil {
		return nil, err
	}
	e.Local, e.Remote = j.Local.addrPort(), j.Remote.addrPort()
	for _, f := range []struct {
		on   bool
		flag activity.Flags
	}{{j.Reset, activity.FlagReset}, {j.Mapped, activity.FlagMapped}, {j.AutoBind, activity.FlagAutoBind}, {j.Inbound, activity.FlagInbound},
		{j.Unaccepted, activity.FlagNotAccepted}, {j.MPTCP, activity.FlagMPTCP}} {
		if f.on {
			e.Flags |= f.flag
		}
	}
	e.Process, e.Holder = j.Process.process(), j.Holder.process()
	if e.Process != nil {
		e.Owner = e.Process.Key
	}
	if e.Kind.Ends() && (j.Rx == nil || j.Tx == nil) {
		e.Unknown |= activity.FactBytes
	} else if j.Rx != nil && j.Tx != nil {
		e.Rx, e.Tx = *j.Rx, *j.Tx
	}
	return e, j.coverage(e)
}

// words fills in what is written as a word.
func words(j *eventJSON, e *activity.Event) (err error) {
	if e.Kind, err = activity.ParseKind(j.Kind); err != nil {
		return err
	}
	if e.Proto, err = activity.ParseProto(j.Proto); err != nil {
		return err
	}
	if e.Tier, err = activity.ParseTier(j.Tier); err != nil {
		return err
	}
	if j.Provenance != "" {
		if e.Provenance, err = activity.ParseProvenance(j.Provenance); err != nil {
			return err
		}
	}
	if e.Role, err = activity.ParseRole(j.Role); err != nil {
		return err
	}
	switch {
	case e.Kind.Coverage() || len(j.Reason) == 0: // a gap's reason is text for people
		return nil
	case string(j.Reason) == "null":
		e.Unknown |= activity.FactReason
		return nil
	}
	var word string
	if err := json.Unmarshal(j.Reason, &word); err != nil {
		return err
	}
	e.Reason, err = activity.ParseReason(word)
	return err
}

func (j *eventJSON) coverage(e *activity.Event) error {
	if !e.Kind.Coverage() {
		return nil
	}
	e.Coverage = &activity.Coverage{}
	for w, n := range j.Lost {
		k, err := activity.ParseKind(w)
		if err != nil {
			k = activity.KindNone // lost, of a kind that is not known
		}
		e.Coverage.Lost[k] += n
	}
	return nil
}

func (a *addrJSON) addrPort() netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.IP, a.Port)
}

func (p *processJSON) process() *activity.Process {
	if p == nil {
		return nil
	}
	q := &activity.Process{Key: activity.ProcessKey{PID: p.PID}, Name: p.Name, Exe: p.Exe, Args: p.Args, UID: activity.NoID, Deleted: p.Deleted, MemFD: p.MemFD}
	if p.Start != nil {
		q.Start = p.Start.UnixNano()
	}
	if p.UID != nil {
		q.UID = *p.UID
	}
	if p.PPID != 0 {
		q.Ancestors = []activity.ProcessRef{{Key: activity.ProcessKey{PID: p.PPID}}}
	}
	return q
}
