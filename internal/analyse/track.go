package analyse

import (
	"net/netip"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Instant is a moment as well as the record tells it. The zero Instant is not
// on record at all: a beginning before everything, or an end that has not come.
type Instant struct {
	At    int64 // UTC ns; the latest it can have been
	After int64 // UTC ns; where At is not exact, the earliest; 0 unknown
	Exact bool  // seen when it happened
}

// IsZero reports whether the moment is not on record.
func (i Instant) IsZero() bool { return i.At == 0 }

// socketKey names a socket within one run of the recorder.
type socketKey struct {
	cookie        uint64 // 0 not known: then by the rest
	local, remote netip.AddrPort
	netns         uint32
	proto         activity.Proto
}

func keyOf(e *activity.Event) socketKey {
	if e.Socket != 0 {
		return socketKey{cookie: e.Socket}
	}
	return socketKey{local: e.Local, remote: remoteOf(e), netns: e.NetNS, proto: e.Proto}
}

// remoteOf returns the remote end, if there is one: a listener's may be written
// as 0.0.0.0:0.
func remoteOf(e *activity.Event) netip.AddrPort {
	if a := e.Remote; a.IsValid() && (a.Port() != 0 || !a.Addr().IsUnspecified()) {
		return a
	}
	return netip.AddrPort{}
}

// holding is one socket while one process owns it.
type holding struct {
	sock  activity.Socket
	flags activity.Flags
	since Instant  // when the socket opened
	from  Instant  // when this owner had it first
	prior *holding // of the same socket by the owner before
	entry *Entry   // of the timeline
	run   int      // the run that told of it last
}

// tracker follows the sockets that are open through a stream of events.
type tracker struct {
	open   map[socketKey]*holding
	before map[socketKey]*holding // open when the run before ended, and not named again yet
	run    int64                  // UTC ns at which the present run began; 0 unknown
	runs   int                    // so many have begun
	last   int64                  // UTC ns of its latest event
	dark   Instant                // between the two runs, when those of before can have ended

	// began is told of each holding, kept before a run takes it over from the
	// one before, and ended of its end, with the event that says so, nil where
	// none does. Each may be nil.
	began func(h *holding)
	kept  func(h *holding)
	ended func(h *holding, end Instant, by *activity.Event)
}

func newTracker() *tracker {
	return &tracker{open: map[socketKey]*holding{}, before: map[socketKey]*holding{}}
}

// apply takes the next event. If it is about a socket that is open, or was
// until this event, it returns its holding.
func (t *tracker) apply(e *activity.Event) (h *holding) {
	switch e.Kind {
	case activity.KindRecorderStart:
		t.restart(e)
	case activity.KindListen, activity.KindBind, activity.KindConnect, activity.KindAccept:
		h = t.opened(e)
	case activity.KindSnapshot:
		h = t.found(e)
	case activity.KindUnlisten, activity.KindUnbind, activity.KindClose:
		h = t.closed(e)
	default:
		if e.Socket != 0 {
			h = t.open[socketKey{cookie: e.Socket}]
		}
	}
	t.last = max(t.last, e.Time)
	return h
}

// restart begins a run. What was open is so no more, unless the run's snapshots
// name it again.
func (t *tracker) restart(e *activity.Event) {
	t.forget()
	t.before, t.open = t.open, t.before
	t.dark = Instant{At: e.Time, After: min(t.last, e.Time)}
	t.run, t.last = e.Time, e.Time
	t.runs++
}

// forget ends what was open in the run before and was not named again: it ended
// unseen between the two.
func (t *tracker) forget() {
	for k := range t.before {
		t.lose(k)
	}
}

func (t *tracker) lose(k socketKey) {
	if h := t.before[k]; h != nil {
		delete(t.before, k)
		t.end(h, t.dark, nil)
	}
}

func (t *tracker) end(h *holding, end Instant, by *activity.Event) {
	if t.ended != nil {
		t.ended(h, end, by)
	}
}

// opened begins a socket. One of the same name ended unseen.
func (t *tracker) opened(e *activity.Event) *holding {
	k := keyOf(e)
	at := Instant{At: e.Time, Exact: e.Provenance == activity.Observed}
	if !at.Exact {
		at.After = t.run
	}
	if old := t.open[k]; old != nil {
		delete(t.open, k)
		t.end(old, Instant{At: e.Time, After: old.from.At}, nil)
	}
	t.lose(k)
	return t.begin(k, &holding{sock: socketOf(e), flags: e.Flags, since: at, from: at})
}

func (t *tracker) begin(k socketKey, h *holding) *holding {
	t.open[k], h.run = h, t.runs
	if t.began != nil {
		t.began(h)
	}
	return h
}

// found takes a snapshot: of a socket that is new to us, of one that the run
// before knew, or of a known one whose owner is another now.
func (t *tracker) found(e *activity.Event) *holding {
	k := keyOf(e)
	if h := t.open[k]; h != nil {
		if sameProcess(h.sock.Owner, e.Owner) {
			h.hold(e)
			return h
		}
		between := Instant{At: e.Time, After: h.from.At}
		delete(t.open, k)
		t.end(h, between, e)
		heir := &holding{sock: socketOf(e), flags: e.Flags | h.flags, since: h.since, from: between, prior: h}
		heir.sock.Since = h.sock.Since
		return t.begin(k, heir)
	}
	if h := t.before[k]; h != nil && e.Provenance == activity.Snapshotted && h.sameAs(e) {
		delete(t.before, k)
		t.open[k] = h
		h.hold(e)
		if t.kept != nil {
			t.kept(h)
		}
		h.run = t.runs
		return h
	}
	t.lose(k)
	at := Instant{At: e.Time, After: t.run}
	if e.Provenance == activity.Snapshotted {
		at.After = t.dark.After
	}
	return t.begin(k, &holding{sock: socketOf(e), flags: e.Flags, since: at, from: at})
}

// adopt begins with a socket that was open at the instant at.
func (t *tracker) adopt(s *activity.Socket, at int64) {
	since := Instant{At: s.Since, Exact: true}
	if s.Since == 0 {
		since = Instant{At: at}
	}
	h := &holding{sock: *s, since: since, from: since}
	if s.Mapped {
		h.flags |= activity.FlagMapped
	}
	if s.AutoBind {
		h.flags |= activity.FlagAutoBind
	}
	e := activity.Event{Socket: s.Cookie, Local: s.Local, Remote: s.Remote, NetNS: s.NetNS, Proto: s.Proto}
	t.begin(keyOf(&e), h)
}

// knows reports whether the socket that e is about is open.
func (t *tracker) knows(e *activity.Event) bool { return t.open[keyOf(e)] != nil }

// conclude begins a socket from its ending, where its beginning is not among
// the events.
func (t *tracker) conclude(end *activity.Event) {
	e := *end
	e.Kind, e.Boot, e.Holders, e.Role = openingKind(end), 0, nil, activity.RoleNone
	if e.Kind == activity.KindConnect && end.Provenance != activity.Observed {
		e.Kind = activity.KindSnapshot // who began it is not known
	}
	at := Instant{At: end.Time, After: t.run}
	if end.Unknown&activity.FactDuration == 0 {
		e.Time -= e.Duration
		at = Instant{At: e.Time, Exact: true}
	}
	h := &holding{sock: socketOf(&e), flags: e.Flags, since: at, from: at}
	if !at.Exact {
		h.sock.Since = 0
	}
	t.begin(keyOf(end), h)
}

// openingKind is the kind of the event that an ending ends.
func openingKind(e *activity.Event) activity.Kind {
	switch {
	case e.Kind == activity.KindUnlisten:
		return activity.KindListen
	case e.Kind == activity.KindUnbind:
		return activity.KindBind
	case e.Flags&activity.FlagInbound != 0:
		return activity.KindAccept
	}
	return activity.KindConnect
}

// closed ends a socket.
func (t *tracker) closed(e *activity.Event) *holding {
	k := keyOf(e)
	h := t.open[k]
	if h == nil {
		return nil
	}
	delete(t.open, k)
	end := Instant{At: e.Time, Exact: e.Provenance == activity.Observed}
	if !end.Exact {
		end.After = h.from.At
	}
	t.end(h, end, e)
	return h
}

// hold notes who else holds the socket, where an event tells.
func (h *holding) hold(e *activity.Event) {
	h.sock.Others, h.sock.Holders = e.Holders, holderKeys(e)
	if e.Process != nil {
		h.sock.Process = e.Process
	}
}

// sameAs reports whether a later run's snapshot is of the very socket: cookies
// are given out once while the machine is up, and that it was up all the time is
// told by the process, which began at one instant by either clock.
func (h *holding) sameAs(e *activity.Event) bool {
	p, q := h.sock.Process, e.Process
	return p != nil && q != nil && sameProcess(h.sock.Owner, e.Owner) && (time.Duration(p.Start)-time.Duration(q.Start)).Abs() < time.Minute &&
		h.sock.Local == e.Local && h.sock.Remote == remoteOf(e) && h.sock.Proto == e.Proto && h.sock.NetNS == e.NetNS
}

// tick is what the kernel rounds a process's start down to where it tells it as
// text (proc(5), starttime).
const tick = 10 * uint64(time.Millisecond)

// sameProcess reports whether two keys of one boot name one process: a run
// that found it running knows its start to the tick only, one that saw it start
// to the nanosecond.
func sameProcess(a, b activity.ProcessKey) bool {
	if a.PID != b.PID {
		return false
	}
	if a.Start%tick != 0 && b.Start%tick != 0 {
		return a.Start == b.Start
	}
	return a.Start/tick == b.Start/tick
}

// socketOf makes the socket that an event opens or finds.
func socketOf(e *activity.Event) activity.Socket {
	s := activity.Socket{Cookie: e.Socket, Proto: e.Proto, State: stateOf(e), Local: e.Local, Remote: remoteOf(e), NetNS: e.NetNS,
		Mapped: e.Flags&activity.FlagMapped != 0, MPTCP: e.Flags&activity.FlagMPTCP != 0, AutoBind: e.Flags&activity.FlagAutoBind != 0, UID: activity.NoID, SinceBoot: e.Boot,
		Since: e.Time, Role: e.Role, Provenance: e.Provenance, Tier: e.Tier, Owner: e.Owner, Process: e.Process, Others: e.Holders, Holders: holderKeys(e)}
	switch {
	case e.Kind == activity.KindSnapshot:
		s.Since, s.SinceBoot = 0, 0
	case e.Role != activity.RoleNone: // imported events have none
	case e.Kind == activity.KindAccept:
		s.Role = activity.RoleAcceptor
	case e.Kind == activity.KindConnect:
		s.Role = activity.RoleCreator
	}
	if e.Process != nil {
		s.UID = e.Process.UID
	}
	return s
}

func stateOf(e *activity.Event) activity.State {
	switch {
	case e.Proto == activity.UDP:
		return activity.StateBound
	case e.Kind == activity.KindListen, e.Kind == activity.KindSnapshot && !remoteOf(e).IsValid():
		return activity.StateListen
	}
	return activity.StateEstablished
}

// holderKeys lists the owner and who else has the socket; nil when only the
// owner does.
func holderKeys(e *activity.Event) (keys []activity.ProcessKey) {
	if len(e.Holders) == 0 {
		return nil
	}
	keys = append(keys, e.Owner)
	for _, p := range e.Holders {
		if p != nil {
			keys = append(keys, p.Key)
		}
	}
	return keys
}
