package analyse

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Bounds of a timeline: beyond them, what comes is counted in entries of its
// kind that are marked Rest.
const (
	maxEntries   = 100_000
	maxPeers     = 500_000 // of all entries
	maxProcesses = 256     // that are told apart in one entry
)

// Attempts that follow one another by no more than this are one entry.
const lull = time.Hour

// Entry is one thing of a timeline:
//
//	listen, bind                 a port, from opened to closed, while one process owned it
//	accept, connect, flow        what one program exchanged with one address
//	snapshot                     the same, where it is not on record who began
//	bind-failed, connect-failed  attempts of one program that failed alike
//	knock                        attempts from one address that met no socket
//	gap                          a time that is not on record, or not all of it
//
// For listen and bind, the tally counts the connections or exchanges on that port.
type Entry struct {
	Kind     activity.Kind
	From, To Instant // To is zero for what goes on when the timeline ends

	Proto         activity.Proto
	Local, Remote netip.AddrPort // as far as they are one; port 0 stands for several
	NetNS         uint32
	Flags         activity.Flags

	Owner     activity.ProcessKey
	Process   *activity.Process   // the owner, or the first of several; nil unknown
	Processes int                 // how many of this program; 256 stands for more
	Others    []*activity.Process // who else had the port's socket, where known

	Reason activity.Reason
	Holder *activity.Process // bind-failed: who had the port; nil unknown
	Why    string            // gap: in words

	Tally
	Peers []Peer // listen and bind: who talked to it, the busiest first
	Rest  bool   // this entry counts all that the bounds left out

	peers map[netip.Addr]*Tally
	seen  map[activity.ProcessKey]struct{}
	more  Tally // of peers beyond the bounds
}

// Tally counts connections, exchanges, attempts, or for sockets whose ports the
// kernel chose, the sockets.
type Tally struct {
	Count       uint64
	Open        uint64 // of these, still going on
	Rx, Tx      uint64 // payload bytes of those that have ended, as far as known
	First, Last int64  // UTC ns of the first and last that is known of them
}

// Peer is an address that talked to a port. The zero address stands for those
// that the bounds left out.
type Peer struct {
	Addr netip.Addr
	Tally
}

func (t *Tally) see(at int64) {
	if t.First == 0 || at < t.First {
		t.First = at
	}
	t.Last = max(t.Last, at)
}

// Timeline builds the story of one thing from the events about it.
type Timeline struct {
	tracker *tracker
	entries []*Entry
	talks   map[talkKey]*Entry
	tries   map[tryKey]*Entry
	rest    map[activity.Kind]*Entry
	ports   map[portKey][]*holding // that are held now
	talking map[*holding]tallies   // connections that are open
	flows   map[flowKey]tallies
	peers   int

	unended map[runKey]*holding // ports whose end is not among the events
	mending int                 // runs that Mend has seen

	lastProcess *activity.Process // program's
	lastProgram program
}

// runKey names a socket in one of the runs.
type runKey struct {
	run int
	key socketKey
}

func (h *holding) runKey() runKey {
	return runKey{h.run, keyOf(&activity.Event{Socket: h.sock.Cookie, Local: h.sock.Local, Remote: h.sock.Remote, NetNS: h.sock.NetNS, Proto: h.sock.Proto})}
}

// portKey names a port of a network namespace.
type portKey struct {
	netns uint32
	port  uint16
	proto activity.Proto
}

// tryKey is what attempts have in common that are told together.
type tryKey struct {
	kind          activity.Kind
	proto         activity.Proto
	reason        activity.Reason
	local, remote netip.AddrPort
	who, holder   program
}

// NewTimeline returns an empty timeline that begins with the sockets of open,
// as they were at the instant at (UTC ns).
func NewTimeline(open []*activity.Socket, at int64) *Timeline {
	t := &Timeline{tracker: newTracker(), talks: map[talkKey]*Entry{}, tries: map[tryKey]*Entry{}, rest: map[activity.Kind]*Entry{},
		ports: map[portKey][]*holding{}, talking: map[*holding]tallies{}, flows: map[flowKey]tallies{},
		unended: map[runKey]*holding{}}
	t.tracker.began, t.tracker.ended = t.began, t.ended
	t.tracker.kept = func(h *holding) {
		if at := h.runKey(); t.unended[at] == h {
			delete(t.unended, at)
			t.unended[runKey{t.tracker.runs, at.key}] = h
		}
	}
	t.tracker.last = at
	for _, ports := range [...]bool{true, false} { // so that connections find the port that they are on
		for _, s := range open {
			if ports == (s.State != activity.StateEstablished) {
				t.tracker.adopt(s, at)
			}
		}
	}
	return t
}

// Add takes the next event, in the order of the record: those about the thing,
// and each recorder-start. The event may be kept.
func (t *Timeline) Add(e *activity.Event) {
	switch e.Kind {
	case activity.KindBindFailed, activity.KindConnectFailed, activity.KindKnock:
		t.try(e)
	case activity.KindFlow, activity.KindFlowEnd:
		t.flow(e)
	case activity.KindUnlisten, activity.KindUnbind, activity.KindClose:
		if !t.tracker.knows(e) {
			t.tracker.conclude(e)
		}
		t.tracker.apply(e)
	case activity.KindRecorderStart:
		t.hush()
		t.tracker.apply(e)
	default:
		t.tracker.apply(e)
	}
}

// Unended returns what tells whether an event may be about a port of the
// timeline whose end has not been added, nil if there is none such; and the
// cookies of those ports, nil if one has none. Those events are to be given to
// Mend.
func (t *Timeline) Unended() (of func(e *activity.Event) bool, cookies map[uint64]bool) {
	keys := map[socketKey]struct{}{}
	cookies = map[uint64]bool{}
	for k := range t.unended {
		keys[k.key] = struct{}{}
		cookies[k.key.cookie] = true
	}
	if len(keys) == 0 {
		return nil, nil
	}
	if cookies[0] {
		cookies = nil
	}
	return func(e *activity.Event) bool {
		_, ok := keys[keyOf(e)]
		return ok
	}, cookies
}

// Mend takes, after all that is about the thing, what ended its ports without
// being about it itself: that another process took one over, say. It wants
// them in the order of the record with each recorder-start that Add was given.
func (t *Timeline) Mend(e *activity.Event) {
	if e.Kind == activity.KindRecorderStart {
		t.mending++
		return
	}
	k := runKey{t.mending, keyOf(e)}
	h := t.unended[k]
	if h == nil || e.Time < h.from.At || e.Kind == activity.KindSnapshot && sameProcess(e.Owner, h.sock.Owner) {
		return
	}
	switch e.Kind {
	case activity.KindUnlisten, activity.KindUnbind:
		h.entry.To = Instant{At: e.Time, Exact: e.Provenance == activity.Observed}
	case activity.KindSnapshot:
		h.entry.To = Instant{At: e.Time}
	default:
		return
	}
	if !h.entry.To.Exact {
		h.entry.To.After = h.from.At
	}
	delete(t.unended, k)
}

// Entries returns the entries by their beginnings. It ends the timeline.
func (t *Timeline) Entries() []*Entry {
	t.tracker.forget()
	for _, e := range t.rest {
		t.entries = append(t.entries, e)
	}
	for _, e := range t.entries {
		e.finish()
	}
	slices.SortStableFunc(t.entries, func(a, b *Entry) int { return cmp.Compare(a.From.At, b.From.At) })
	return t.entries
}

// finish puts the entry's parts in their order.
func (e *Entry) finish() {
	for a, n := range e.peers {
		e.Peers = append(e.Peers, Peer{a, *n})
	}
	slices.SortFunc(e.Peers, func(a, b Peer) int { return cmp.Or(cmp.Compare(b.Count, a.Count), a.Addr.Compare(b.Addr)) })
	if e.more.Count > 0 {
		e.Peers = append(e.Peers, Peer{Tally: e.more})
	}
	if !e.HoldsPort() && e.Kind != activity.KindGap {
		e.From, e.To = Instant{At: e.First, Exact: true}, Instant{At: e.Last, Exact: true}
		if e.Open > 0 {
			e.To = Instant{}
		}
	}
	if e.Kind == activity.KindBind && !e.HoldsPort() && e.Count > 1 {
		e.Local = netip.AddrPortFrom(e.Local.Addr(), 0)
	}
	e.peers, e.seen = nil, nil
}

// HoldsPort reports whether the entry is of one socket that holds a port.
func (e *Entry) HoldsPort() bool {
	return !e.Rest && (e.Kind == activity.KindListen || e.Kind == activity.KindBind && e.Flags&activity.FlagAutoBind == 0)
}

// add makes an entry, or gives the one that counts what is beyond the bounds.
func (t *Timeline) add(e Entry) *Entry {
	if len(t.entries) < maxEntries {
		t.entries = append(t.entries, &e)
		return &e
	}
	r := t.rest[e.Kind]
	if r == nil {
		r = &Entry{Kind: e.Kind, Rest: true}
		t.rest[e.Kind] = r
	}
	return r
}

// by counts the processes of an entry.
func (e *Entry) by(k activity.ProcessKey) {
	if k.IsZero() || len(e.seen) >= maxProcesses {
		return
	}
	k.Start /= tick
	if e.seen == nil {
		e.seen = map[activity.ProcessKey]struct{}{}
	}
	e.seen[k] = struct{}{}
	e.Processes = len(e.seen)
}

// program is programOf, which events of one process ask for again and again.
func (t *Timeline) program(p *activity.Process) program {
	if p == nil || p != t.lastProcess {
		t.lastProcess, t.lastProgram = p, programOf(p)
	}
	return t.lastProgram
}

// try takes an attempt that came to nothing.
func (t *Timeline) try(e *activity.Event) {
	k := tryKey{kind: e.Kind, proto: e.Proto, reason: e.Reason, local: e.Local, remote: e.Remote, who: t.program(e.Process), holder: programOf(e.Holder)}
	switch e.Kind {
	case activity.KindConnectFailed: // the kernel chose the port
		k.local = netip.AddrPort{}
	case activity.KindKnock: // the peer's did
		k.remote = netip.AddrPortFrom(e.Remote.Addr(), 0)
	}
	at := t.tries[k]
	if at == nil || e.Time-at.Last > int64(lull) || e.Time < at.First {
		at = t.add(Entry{Kind: e.Kind, Proto: e.Proto, Local: k.local, Remote: k.remote, NetNS: e.NetNS, Flags: e.Flags & activity.FlagConcluded,
			Owner: e.Owner, Process: e.Process, Reason: e.Reason, Holder: e.Holder})
		if !at.Rest {
			t.tries[k] = at
		}
	}
	at.Count++
	at.see(e.Time)
	at.by(e.Owner)
}

// began takes a socket that a process has from now on.
func (t *Timeline) began(h *holding) {
	if h.sock.State == activity.StateEstablished {
		t.talk(h)
		return
	}
	t.ports[h.portKey()] = append(t.ports[h.portKey()], h)
	kind := activity.KindListen
	if h.sock.Proto == activity.UDP {
		kind = activity.KindBind
	}
	if h.flags&activity.FlagAutoBind != 0 && kind == activity.KindBind {
		h.entry = t.group(talkKey{kind: kind, proto: activity.UDP, who: t.program(h.sock.Process)}, h)
	} else {
		h.entry = t.add(Entry{Kind: kind, From: h.from, Proto: h.sock.Proto, Local: h.sock.Local, Remote: h.sock.Remote, NetNS: h.sock.NetNS,
			Flags: h.flags, Owner: h.sock.Owner, Process: h.sock.Process, Processes: 1, Others: h.sock.Others})
		if h.entry.HoldsPort() {
			t.unended[h.runKey()] = h
		}
	}
	if !h.entry.HoldsPort() {
		h.entry.Count++
		h.entry.Open++
		h.entry.see(h.from.At)
		h.entry.by(h.sock.Owner)
	}
}

// ended takes the end of that.
func (t *Timeline) ended(h *holding, end Instant, by *activity.Event) {
	if h.sock.State == activity.StateEstablished {
		t.talked(h, end, by)
		return
	}
	k := h.portKey()
	left := slices.DeleteFunc(t.ports[k], func(o *holding) bool { return o == h })
	if len(left) == 0 {
		delete(t.ports, k)
	} else {
		t.ports[k] = left
	}
	e := h.entry
	if !e.HoldsPort() {
		e.Open--
		e.see(end.At)
		return
	}
	if at := h.runKey(); by != nil {
		delete(t.unended, at)
	} else if t.unended[at] != h {
		return // Mend knew better
	}
	e.To = end
	if by != nil && by.Kind != activity.KindSnapshot {
		e.Reason = by.Reason
		e.Others = by.Holders
	}
	if e.Others == nil {
		e.Others = h.sock.Others
	}
}

func (h *holding) portKey() portKey {
	return portKey{h.sock.NetNS, h.sock.Local.Port(), h.sock.Proto}
}

// holder finds the port that local is of, if one is held.
func (t *Timeline) holder(netns uint32, proto activity.Proto, local netip.AddrPort, owner activity.ProcessKey) (best *holding) {
	score := -1
	for _, h := range t.ports[portKey{netns, local.Port(), proto}] {
		a, n := h.sock.Local.Addr(), 0
		switch {
		case a == local.Addr():
			n = 2
		case !a.IsUnspecified() || a.Is4() && !local.Addr().Is4():
			continue
		}
		if h.sock.Owner == owner {
			n++
		}
		if n > score {
			best, score = h, n
		}
	}
	return best
}
