package sockdiag

import (
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// stamp is one instant on both clocks.
type stamp struct {
	boot uint64 // CLOCK_BOOTTIME, ns
	utc  int64  // ns since the Unix epoch
}

// key tells sockets apart. Where the kernel tells no cookie (in /proc/net) the
// addresses do, and the inode where several sockets share a port.
type key struct {
	ns     uint32
	cookie uint64
	proto  activity.Proto
	pair   pair
	inode  uint64
}

func keyOf(r *row) key {
	if r.cookie != 0 {
		return key{ns: r.ns, cookie: r.cookie}
	}
	k := key{ns: r.ns, proto: r.proto, pair: pair{r.local, r.remote}}
	if !r.remote.IsValid() {
		k.inode = r.inode
	}
	return k
}

// entry is one socket in the table.
//
// A TCP socket goes through these, a UDP one and a listener through the first
// and the last:
//
//	first seen --> undecided (SYN-SENT) --> untold (owner looked for; in the
//	accept queue) --> told --> missing in one scan --> ended
type entry struct {
	row     row
	kind    activity.Kind // of its beginning; KindNone while undecided
	told    bool          // its beginning has been reported, or it was in the first scan
	missing bool          // not in the last scan; its destroy notification may still come
	half    bool          // its process has shut down sending and kept it open
	queued  bool          // its owner is the listener's: it was in the accept queue when told
	began   stamp         // when first seen; zero: before the first scan
	seen    uint64        // the last scan that had it
	tries   uint8         // scans that looked for its holder in vain
	first   uint64        // queue number of the report of its beginning
	last    uint64        // queue number of the report of its end
	owner   activity.ProcessKey
	holders []activity.ProcessKey // owner included
}

// stub is a TIME-WAIT stub whose connection has been reported, or will be in
// the next scan if no destroy notification tells more by then.
type stub struct {
	row   row
	told  bool
	first uint64 // scan that saw it first
	seen  uint64 // scan that saw it last
}

const (
	// ownerTries is in how many scans the holder of a new socket is looked for
	// before it is reported without: a descriptor may be on its way between
	// processes, or the walk may have passed before it came.
	ownerTries = 2

	// maxEnded bounds the sockets that are remembered after their end because
	// a process keeps their descriptor.
	maxEnded = 1 << 16
)

// holding maps the socket inodes that are looked for to who has them open.
type holding map[uint64][]activity.ProcessKey

// place is where a listener may be.
type place struct {
	ns   uint32
	port uint16
	v6   bool // of the socket; a mapped connection belongs to an IPv6 listener
}

// table is the memory of the polling tier: what was open at the last scan. It
// turns differences into observations. It does no I/O: rows, notifications,
// holders and processes are handed to it.
//
// A scan is begin, see for each row, miss, then want and settle.
type table struct {
	queue *queue

	// meet returns a process that must be reported, nil when it has been.
	meet func(k activity.ProcessKey, scan uint64) *activity.Process
	// process returns a process whether reported or not; nil: gone unmet.
	process func(activity.ProcessKey) *activity.Process
	// stubOf tells whether a connection left a TIME-WAIT stub.
	stubOf func(*row) (found, known bool)
	// watched tells whether destroy notifications come from a namespace.
	watched func(ns uint32) bool

	scan    uint64
	at      stamp
	entries map[key]*entry
	stubs   map[key]*stub
	ended   map[key]struct{} // reported as ended, descriptor perhaps still open
	listen  map[place][]*entry
	stopped []*entry // listeners that this scan misses; they still own what came by them
	pending []*entry // beginnings to be told
	leaving []*entry // ended, the report not read yet
	changed bool     // something has happened; set to false by whoever reads it
}

func newTable(q *queue) *table {
	return &table{queue: q, entries: map[key]*entry{}, stubs: map[key]*stub{},
		ended: map[key]struct{}{}, listen: map[place][]*entry{}}
}

// baseline reports whether the scan is the first, which finds everything and
// reports nothing.
func (t *table) baseline() bool { return t.scan == 1 }

func (t *table) begin(at stamp) {
	t.scan++
	t.at = at
}

// see takes in one row of a scan.
func (t *table) see(r *row) {
	switch {
	case r.mini:
		t.seeStub(r)
		return
	case !r.local.IsValid() || r.local.Port() == 0:
		return
	case r.state == activity.StateSynReceived, r.state == activity.StateClosed, r.state == activity.StateNone:
		return // not a connection yet, or no more
	}
	k := keyOf(r)
	e := t.entries[k]
	if e != nil && e.moved(r) {
		t.end(k, e, t.at, nil)
		e = nil
	}
	if e == nil {
		t.add(k, r)
		return
	}
	t.update(e, r)
}

// moved reports whether a socket was closed and put to a new use in between,
// as connect(2) with AF_UNSPEC allows.
func (e *entry) moved(r *row) bool {
	if e.row.proto == activity.UDP {
		return e.row.local.Port() != r.local.Port()
	}
	return e.row.local.Port() != r.local.Port() || e.row.remote != r.remote
}

func (t *table) add(k key, r *row) {
	delete(t.ended, k)
	e := &entry{row: *r, seen: t.scan}
	t.entries[k] = e
	if r.state == activity.StateListen {
		p := place{r.ns, r.local.Port(), r.v6}
		t.listen[p] = append(t.listen[p], e)
	}
	if t.baseline() {
		e.told = r.state != activity.StateSynSent
	} else {
		e.began = t.at
		t.changed = true
	}
	t.pending = append(t.pending, e)
}

// update takes in a row of a socket that is in the table.
func (t *table) update(e *entry, r *row) {
	was := e.row
	e.row = *r
	if !r.info.known {
		e.row.info = was.info
	}
	e.row.mptcp = was.mptcp || r.mptcp
	e.seen, e.missing = t.scan, false
	if r.inode != 0 && (r.state == activity.StateFinWait1 || r.state == activity.StateFinWait2) {
		e.half = true
	}
	if was.state == activity.StateSynSent && r.state != was.state {
		t.pending = append(t.pending, e)
		t.changed = true
	}
	if r.proto == activity.UDP && r.remote.IsValid() && r.remote != was.remote && e.told {
		t.tellFlow(e, t.at)
		t.changed = true
	}
}

func (t *table) seeStub(r *row) {
	k := keyOf(r)
	if e := t.entries[k]; e != nil && !e.moved(r) {
		return // its destroy notification is due, or it will be missed
	}
	k = stubKey(r)
	if s := t.stubs[k]; s != nil {
		s.seen = t.scan
		return
	}
	t.stubs[k] = &stub{row: *r, told: t.baseline(), first: t.scan, seen: t.scan}
}

// stubKey names a connection by its addresses: a stub may have another cookie
// than its socket had.
func stubKey(r *row) key { return key{ns: r.ns, proto: r.proto, pair: pair{r.local, r.remote}} }

// miss deals with what was there and is not in this scan. Sockets of namespaces
// that could not be read now are left as they were.
func (t *table) miss(unread func(ns uint32) bool) {
	for k, e := range t.entries {
		switch {
		case e.seen == t.scan || unread(k.ns):
		case t.watched(k.ns) && !e.missing && k.cookie != 0:
			e.missing = true
			t.changed = true
		default:
			t.end(k, e, t.at, nil)
			if t.watched(k.ns) && len(t.ended) < maxEnded {
				t.ended[k] = struct{}{}
			}
		}
	}
	for k, s := range t.stubs {
		switch {
		case unread(k.ns):
		case s.seen != t.scan && s.told:
			delete(t.stubs, k)
		case !s.told && (s.first != t.scan || !t.watched(k.ns)):
			s.told = true
			t.passed(&s.row, t.at, false)
		}
	}
}

// dead takes in a destroy notification, of a socket that the table may have.
func (t *table) dead(r *row, at stamp) {
	if t.scan == 0 {
		return // of before the first scan
	}
	k := keyOf(r)
	if _, ok := t.ended[k]; ok {
		delete(t.ended, k)
		return
	}
	if e := t.entries[k]; e != nil {
		t.end(k, e, at, r)
		return
	}
	if r.local.Port() == 0 || r.proto == activity.TCP && !r.remote.IsValid() {
		return // it never had a port, or may have listened, or was bound only, or has disconnected
	}
	t.passed(r, at, true)
}

// want returns the inodes whose holders are to be looked for: of the sockets
// that have none yet, or of all. may says whether the descriptors of a user's
// processes can be seen.
func (t *table) want(all bool, may func(uid uint32) bool) holding {
	h := holding{}
	for _, e := range t.entries {
		if e.row.inode != 0 && may(e.row.uid) && (all || len(e.holders) == 0 && e.tries < ownerTries) {
			h[e.row.inode] = nil
		}
	}
	return h
}

// settle takes in the holders that were found, and tells of what has begun.
func (t *table) settle(found holding) {
	for _, e := range t.entries {
		keys, looked := found[e.row.inode]
		if e.row.inode == 0 || !looked {
			continue
		}
		if len(keys) == 0 {
			e.tries = min(e.tries+1, ownerTries)
		}
		for _, k := range keys {
			t.hold(e, k)
		}
	}
	waiting := t.pending[:0]
	for _, e := range t.pending {
		switch {
		case e.last != 0: // ended, and told before that
		case e.row.state == activity.StateSynSent:
		case e.told:
			e.decide(t)
		case t.waits(e, found):
			waiting = append(waiting, e)
		default:
			t.tell(e, activity.Observed)
		}
	}
	clear(t.pending[len(waiting):])
	t.pending = waiting
	for _, e := range t.stopped {
		t.unlist(e)
	}
	t.stopped = t.stopped[:0]
}

// waits reports whether a beginning is better told later: its owner may be
// found in the next scan, or nobody has accepted the connection yet.
func (t *table) waits(e *entry, found holding) bool {
	if e.row.inode != 0 {
		_, looked := found[e.row.inode]
		return len(e.holders) == 0 && looked && e.tries < ownerTries
	}
	e.decide(t)
	return e.kind == activity.KindAccept && queued(e.row.state)
}

// queued reports whether a connection without a descriptor is in the accept
// queue: one that its process has closed has sent a FIN.
func queued(s activity.State) bool {
	return s == activity.StateEstablished || s == activity.StateCloseWait
}

// hold adds a holder. The first to be found owns the socket; where several are
// found at once it is the process that started first, which is the parent of
// those that inherited it.
func (t *table) hold(e *entry, k activity.ProcessKey) {
	if slices.Contains(e.holders, k) {
		return
	}
	e.holders = append(e.holders, k)
	switch {
	case e.told && !t.baseline():
		t.tellHolder(e, k)
	case e.owner.IsZero() || k.Start < e.owner.Start:
		e.owner = k
	}
}

// depart takes in that a process has exited.
func (t *table) depart(k activity.ProcessKey, at stamp) {
	for _, e := range t.entries {
		if i := slices.Index(e.holders, k); i >= 0 {
			e.holders = slices.Delete(e.holders, i, i+1)
			e.tries = 0 // if the socket lives on, somebody has it
		}
	}
	o := t.queue.push()
	o.What, o.Key = activity.WhatExit, k
	o.Event.Time, o.Event.Boot, o.Event.Tier = at.utc, at.boot, activity.TierPoll
}

// decide says how a connection began: as the counters prove, or else by
// whether its local port has a listener.
func (e *entry) decide(t *table) {
	if e.kind != activity.KindNone {
		return
	}
	switch {
	case e.row.state == activity.StateListen:
		e.kind = activity.KindListen
	case e.row.proto == activity.UDP:
		e.kind = activity.KindBind
	default:
		e.kind = activity.KindConnect
		s := e.row.opened()
		if s == sideAccepted || s == sideUnknown && t.listener(&e.row) != nil {
			e.kind = activity.KindAccept
		}
	}
}

// listener returns the listener that a connection came by, nil if none fits.
func (t *table) listener(r *row) *entry {
	for _, l := range t.listen[place{r.ns, r.local.Port(), r.v6}] {
		if a := l.row.local.Addr(); a == r.local.Addr() || a.IsUnspecified() {
			return l
		}
	}
	return nil
}

func (t *table) unlist(e *entry) {
	p := place{e.row.ns, e.row.local.Port(), e.row.v6}
	rest := slices.DeleteFunc(t.listen[p], func(l *entry) bool { return l == e })
	if len(rest) == 0 {
		delete(t.listen, p)
		return
	}
	t.listen[p] = rest
}
