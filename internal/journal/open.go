package journal

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// Kinds of events that say what is open.
const (
	openKinds = filter.KindSet(1<<activity.KindListen | 1<<activity.KindBind | 1<<activity.KindConnect | 1<<activity.KindAccept | 1<<activity.KindSnapshot)
	endKinds  = filter.KindSet(1<<activity.KindUnlisten | 1<<activity.KindUnbind | 1<<activity.KindClose)
)

// Open yields what q asks for of the events that say what is open at the
// instant at (UTC ns): listen, bind, connect, accept, snapshot, and their
// endings unlisten, unbind, close, with the recorder's own. All that happened to
// a socket up to an ending not after at is left out, as it says nothing of at:
// to replay what is yielded gives the same as to replay all. A socket is named
// by its cookie, or where that is not known by its protocol, ends and network
// namespace, within a run of the recorder. Order and errors are as with Events.
func (r *Reader) Open(ctx context.Context, q Query, at int64) iter.Seq2[*activity.Event, error] {
	return func(yield func(*activity.Event, error) bool) {
		if q.Kinds == 0 {
			q.Kinds = ^filter.KindSet(0)
		}
		if q.Kinds &= openKinds | endKinds | coverageKinds; q.Kinds == 0 {
			return
		}
		var shown pos
		for again := true; again; {
			ps, err := r.following(shown.next())
			if err != nil {
				yield(nil, err)
				return
			}
			o := opening{r: r, q: &q, at: at, pieces: ps, alive: make(map[socketID][]openRow)}
			if again = o.find(ctx); !again {
				again = o.show(ctx, &shown, yield)
			}
		}
	}
}

// socketID names a socket. Of one with a cookie only that and the epoch are set.
type socketID struct {
	epoch, cookie uint64
	local, remote netip.AddrPort
	netns         uint32
	proto         activity.Proto
}

func idOf(e *activity.Event, epoch uint64) socketID {
	if e.Socket != 0 {
		return socketID{epoch: epoch, cookie: e.Socket}
	}
	remote := e.Remote
	if remote.Port() == 0 && remote.Addr().IsUnspecified() {
		remote = netip.AddrPort{}
	}
	return socketID{epoch: epoch, local: e.Local, remote: remote, netns: e.NetNS, proto: e.Proto}
}

// openRow is where an event is that no ending has followed.
type openRow struct {
	at    pos
	piece int
	row   int // of the segment's file, or index in the live log
}

// opening finds the events of Open: first, from a few columns, which sockets
// have not ended, and then the events of those.
type opening struct {
	r      *Reader
	q      *Query
	at     int64
	pieces []piece
	alive  map[socketID][]openRow
	always []openRow // of no socket
	faults [][]error // of each piece
}

// leftOpen is what one piece says.
type leftOpen struct {
	cookies map[[2]uint64]int32 // epoch and cookie: index into sockets
	others  map[socketID]int32
	sockets []openSocket
	always  []openRow
	faults  []error
}

// openSocket is one socket in a piece. Rows before its last ending are dropped
// when there are many, and at the end.
type openSocket struct {
	id    socketID
	ended pos // its last ending's
	rows  []openRow
}

func newLeftOpen() *leftOpen {
	return &leftOpen{cookies: make(map[[2]uint64]int32), others: make(map[socketID]int32)}
}

// place returns a socket's index in sockets.
func (l *leftOpen) place(id socketID) (i int32, ok bool) {
	if id.cookie != 0 {
		i, ok = l.cookies[[2]uint64{id.epoch, id.cookie}]
	} else {
		i, ok = l.others[id]
	}
	return i, ok
}

// of returns a socket's entry, to be used before the next call.
func (l *leftOpen) of(id socketID) *openSocket {
	if i, ok := l.place(id); ok {
		return &l.sockets[i]
	}
	i := int32(len(l.sockets))
	if id.cookie != 0 {
		l.cookies[[2]uint64{id.epoch, id.cookie}] = i
	} else {
		l.others[id] = i
	}
	l.sockets = append(l.sockets, openSocket{id: id})
	return &l.sockets[i]
}

// take notes an event. late tells that it was after the instant asked about.
func (l *leftOpen) take(id socketID, kind activity.Kind, late bool, row openRow) {
	s := l.of(id)
	if endKinds.Has(kind) && !late {
		if s.ended.less(row.at) {
			s.ended = row.at
		}
		return
	}
	s.rows = append(s.rows, row)
}

// finish drops what an ending has followed.
func (l *leftOpen) finish() {
	for i := range l.sockets {
		s := &l.sockets[i]
		s.rows = after(s.rows, s.ended)
	}
}

func after(rows []openRow, ended pos) []openRow {
	if ended == (pos{}) {
		return rows
	}
	return slices.DeleteFunc(rows, func(r openRow) bool { return r.at.less(ended) })
}

// find goes through all pieces. It returns true when one is gone, and all is to
// be done again.
func (o *opening) find(ctx context.Context) (again bool) {
	inOrder(ctx, len(o.pieces), o.piece, func(_ int, l *leftOpen, err error) bool {
		if again = errors.Is(err, errGone); again {
			return false
		}
		if err != nil {
			l.faults = append(l.faults, err)
		}
		o.faults = append(o.faults, l.faults)
		o.merge(l)
		return ctx.Err() == nil
	})
	return again
}

// merge takes what the next piece says: what has ended in it, and what it leaves
// open.
func (o *opening) merge(l *leftOpen) {
	for id, rows := range o.alive {
		if k, ok := l.place(id); ok && l.sockets[k].ended != (pos{}) {
			if rows = after(rows, l.sockets[k].ended); len(rows) == 0 {
				delete(o.alive, id)
			} else {
				o.alive[id] = rows
			}
		}
	}
	for i := range l.sockets {
		if s := &l.sockets[i]; len(s.rows) > 0 {
			o.alive[s.id] = append(o.alive[s.id], s.rows...)
		}
	}
	o.always = append(o.always, l.always...)
}

// piece goes through one piece. What it could read comes with an error.
func (o *opening) piece(ctx context.Context, g *groupReader, i int) (*leftOpen, error) {
	p, l := o.pieces[i], newLeftOpen()
	defer l.finish()
	if p.live {
		return l, o.r.fault(p, o.live(i, l))
	}
	s, err := openSegment(filepath.Join(o.r.dir, p.name))
	if err != nil {
		return l, o.r.fault(p, err)
	}
	defer s.close()
	return l, o.r.fault(p, guarded(func() error {
		return s.each(g, o.q, ctx.Err, func(first int, rows []int) error { return o.rows(s, g, i, first, rows, l) })
	}))
}

func (o *opening) live(i int, l *leftOpen) error {
	log, err := readLive(filepath.Join(o.r.dir, o.pieces[i].name))
	if err != nil {
		return err
	}
	var e activity.Event
	for row := range log.events {
		if log.event(row, &e) == nil && o.q.within(&e) {
			o.event(&e, log.head.first.epoch, openRow{piece: i, row: row}, l)
		}
	}
	for _, d := range log.damage {
		l.faults = append(l.faults, &CorruptError{Name: o.pieces[i].name, From: int64(d.from), To: int64(d.to)})
	}
	return nil
}

func (o *opening) event(e *activity.Event, epoch uint64, row openRow, l *leftOpen) {
	row.at = pos{epoch, e.Seq}
	if coverageKinds.Has(e.Kind) {
		l.always = append(l.always, row)
		return
	}
	l.take(idOf(e, epoch), e.Kind, e.Time > o.at, row)
}

// rows takes rows of a segment, the first of whose row group is first. Only
// those without a cookie are made events.
func (o *opening) rows(s *segment, g *groupReader, piece, first int, rows []int, l *leftOpen) error {
	from, to := rows[0], rows[len(rows)-1]+1
	var cols [4]*chunkReader
	for i, c := range []int{colKind, colSeq, colEpoch, colSocket} {
		var err error
		if cols[i], err = g.seek(c, from, to); err != nil {
			return err
		}
	}
	time := func(int) int64 { return s.to }
	if s.to > o.at {
		c, err := g.seek(colTime, from, to)
		if err != nil {
			return err
		}
		time = func(row int) int64 { v, _ := c.at(row); return v }
	}
	var bare []int
	for _, row := range rows {
		kind, _ := cols[0].at(row)
		cookie, _ := cols[3].at(row)
		if cookie == 0 && !coverageKinds.Has(activity.Kind(kind)) {
			bare = append(bare, row)
			continue
		}
		seq, _ := cols[1].at(row)
		epoch, _ := cols[2].at(row)
		r := openRow{pos{uint64(epoch), uint64(seq)}, piece, first + row}
		if cookie == 0 {
			l.always = append(l.always, r)
			continue
		}
		l.take(socketID{epoch: uint64(epoch), cookie: uint64(cookie)}, activity.Kind(kind), time(row) > o.at, r)
	}
	if len(bare) == 0 {
		return nil
	}
	if err := s.load(); err != nil {
		return err
	}
	n := 0
	return g.events(bare, func(e *activity.Event, epoch uint64) {
		o.event(e, epoch, openRow{piece: piece, row: first + bare[n]}, l)
		n++
	})
}

// show yields the events that are left, after those shown already. It returns
// true when a piece is gone, and all is to be done again.
func (o *opening) show(ctx context.Context, shown *pos, yield func(*activity.Event, error) bool) (again bool) {
	rows := make([][]int, len(o.pieces))
	note := func(rs []openRow) {
		for _, r := range rs {
			rows[r.piece] = append(rows[r.piece], r.row)
		}
	}
	note(o.always)
	for _, rs := range o.alive {
		note(rs)
	}
	fetch := func(_ context.Context, g *groupReader, i int) (*selection, error) {
		slices.Sort(rows[i])
		sel, err := o.r.fetch(g, o.pieces[i], rows[i], o.q)
		return sel, o.r.fault(o.pieces[i], err)
	}
	inOrder(ctx, len(o.faults), fetch, func(i int, sel *selection, err error) bool {
		if again = errors.Is(err, errGone); again || ctx.Err() != nil {
			return false
		}
		for k := range sel.events {
			e := new(activity.Event)
			if sel.event(k, e) != nil || !shown.less(sel.events[k].at) {
				continue
			}
			*shown = sel.events[k].at
			if !yield(e, nil) {
				return false
			}
		}
		if err != nil && len(o.faults[i]) == 0 {
			o.faults[i] = append(o.faults[i], err)
		}
		for _, err := range o.faults[i] {
			if !yield(nil, err) {
				return false
			}
		}
		return true
	})
	if err := ctx.Err(); err != nil {
		yield(nil, err)
		return false
	}
	return again
}

// fetch reads rows of a piece, which are sorted, as q.Match wants them.
func (r *Reader) fetch(g *groupReader, p piece, rows []int, q *Query) (*selection, error) {
	sel := new(selection)
	if len(rows) == 0 {
		return sel, nil
	}
	path := filepath.Join(r.dir, p.name)
	if p.live {
		return sel, fetchLive(path, rows, q, sel)
	}
	s, err := openSegment(path)
	if err != nil {
		return sel, err
	}
	defer s.close()
	sel.lookup = s.process
	if err := s.load(); err != nil {
		return sel, err
	}
	g.open(s)
	err = guarded(func() error { return fetchRows(s, g, rows, q, sel) })
	sel.sort()
	return sel, err
}

func fetchLive(path string, rows []int, q *Query, sel *selection) error {
	l, err := readLive(path)
	if err != nil {
		return err
	}
	sel.lookup = l.process
	var e activity.Event
	for _, row := range rows {
		if row < len(l.events) && l.event(row, &e) == nil && q.match(&e) {
			sel.add(&e, l.head.first.epoch)
		}
	}
	sel.sort()
	return nil
}

func fetchRows(s *segment, g *groupReader, rows []int, q *Query, sel *selection) error {
	first := 0
	for i := range s.file.RowGroups {
		group := &s.file.RowGroups[i]
		next := first + int(group.NumRows)
		g.group(group, false)
		for len(rows) > 0 && rows[0] < next {
			page := []int{rows[0] - first}
			for rows = rows[1:]; len(rows) > 0 && rows[0] < next && (rows[0]-first)/pageRows == page[0]/pageRows; rows = rows[1:] {
				page = append(page, rows[0]-first)
			}
			err := g.events(page, func(e *activity.Event, epoch uint64) {
				if q.match(e) {
					sel.add(e, epoch)
				}
			})
			if err != nil {
				return err
			}
		}
		first = next
	}
	return nil
}
