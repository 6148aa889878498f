package journal

import (
	"cmp"
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
	epochs []epochSockets
	others map[socketID]*bareSocket // those without a cookie
	always []openRow
	faults []error
}

// epochSockets are the sockets of one epoch, of which a merged segment may have
// several.
type epochSockets struct {
	epoch uint64
	*socketTable
}

// bareSocket is one without a cookie.
type bareSocket struct {
	ended pos
	rows  []openRow
}

// of returns the table of an epoch, for about n sockets if it is new.
func (l *leftOpen) of(epoch uint64, n int) *socketTable {
	for _, t := range l.epochs {
		if t.epoch == epoch {
			return t.socketTable
		}
	}
	t := newSocketTable(n)
	l.epochs = append(l.epochs, epochSockets{epoch, t})
	return t
}

// ended returns the position of a socket's last ending in this piece.
func (l *leftOpen) ended(id socketID) pos {
	if id.cookie == 0 {
		if s := l.others[id]; s != nil {
			return s.ended
		}
		return pos{}
	}
	for _, t := range l.epochs {
		if t.epoch == id.epoch {
			if s := t.find(id.cookie); s.cookie != 0 && s.ended != 0 {
				return pos{id.epoch, s.ended}
			}
		}
	}
	return pos{}
}

// take notes an event of a socket. ends tells that it is an ending that counts.
func (l *leftOpen) take(id socketID, ends bool, row openRow) {
	switch {
	case id.cookie != 0 && ends:
		l.of(id.epoch, 0).end(id.cookie, row.at.seq)
		return
	case id.cookie != 0:
		l.of(id.epoch, 0).add(id.cookie, row.at.seq, row.row)
		return
	}
	if l.others == nil {
		l.others = make(map[socketID]*bareSocket)
	}
	s := l.others[id]
	if s == nil {
		s = new(bareSocket)
		l.others[id] = s
	}
	if !ends {
		s.rows = append(s.rows, row)
	} else if s.ended.less(row.at) {
		s.ended = row.at
	}
}

// left gives the events that no ending has followed in this piece.
func (l *leftOpen) left(piece int, visit func(socketID, openRow)) {
	for _, t := range l.epochs {
		for i := range t.slots {
			s := &t.slots[i]
			t.socketTable.left(s, func(r socketRow) {
				visit(socketID{epoch: t.epoch, cookie: s.cookie}, openRow{pos{t.epoch, r.seq}, piece, int(r.row)})
			})
		}
	}
	for id, s := range l.others {
		for _, r := range after(s.rows, s.ended) {
			visit(id, r)
		}
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
	inOrder(ctx, len(o.pieces), o.piece, func(i int, l *leftOpen, err error) bool {
		if again = errors.Is(err, errGone); again {
			return false
		}
		if err != nil {
			l.faults = append(l.faults, err)
		}
		o.faults = append(o.faults, l.faults)
		o.merge(i, l)
		return ctx.Err() == nil
	})
	return again
}

// merge takes what the next piece says: what has ended in it, and what it leaves
// open.
func (o *opening) merge(piece int, l *leftOpen) {
	for id, rows := range o.alive {
		if ended := l.ended(id); ended != (pos{}) {
			if rows = after(rows, ended); len(rows) == 0 {
				delete(o.alive, id)
			} else {
				o.alive[id] = rows
			}
		}
	}
	l.left(piece, func(id socketID, r openRow) { o.alive[id] = append(o.alive[id], r) })
	o.always = append(o.always, l.always...)
}

// piece goes through one piece. What it could read comes with an error.
func (o *opening) piece(ctx context.Context, g *groupReader, i int) (*leftOpen, error) {
	p, l := o.pieces[i], new(leftOpen)
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
	l.take(idOf(e, epoch), endKinds.Has(e.Kind) && e.Time <= o.at, row)
}

// rows takes rows of a segment, the first of whose row group is first. Only
// those without a cookie are made events.
func (o *opening) rows(s *segment, g *groupReader, piece, first int, rows []int, l *leftOpen) error {
	c, err := o.columns(s, g, rows)
	if err != nil {
		return err
	}
	var bare []int
	var epoch uint64
	var table *socketTable
	for _, row := range rows {
		i := row - c.from
		kind, cookie, seq := activity.Kind(c.kinds.nums[c.kinds.codes[row-c.kinds.from]]), uint64(c.sockets[i]), uint64(c.seqs[i])
		if e := uint64(c.epochs.nums[c.epochs.codes[row-c.epochs.from]]); table == nil || e != epoch {
			epoch, table = e, l.of(e, int(s.file.rows)/2)
		}
		switch {
		case coverageKinds.Has(kind):
			l.always = append(l.always, openRow{pos{epoch, seq}, piece, first + row})
		case cookie == 0:
			bare = append(bare, row)
		case endKinds.Has(kind) && (c.times == nil || c.times[i] <= o.at):
			table.end(cookie, seq)
		default:
			table.add(cookie, seq, first+row)
		}
	}
	return o.bare(s, g, piece, first, bare, l)
}

// openColumns are the columns of a page that say what is open.
type openColumns struct {
	from                 int // row of the first value of the following
	seqs, sockets, times []int64
	kinds, epochs        *chunkReader
}

func (o *opening) columns(s *segment, g *groupReader, rows []int) (c openColumns, err error) {
	from, to := rows[0], rows[len(rows)-1]+1
	page := func(col int) *chunkReader {
		r, e := g.seek(col, from, to)
		err = cmp.Or(err, e)
		return r
	}
	kinds, epochs, seqs, sockets := page(colKind), page(colEpoch), page(colSeq), page(colSocket)
	if err != nil {
		return c, err
	}
	c = openColumns{from: from, kinds: kinds, epochs: epochs, seqs: seqs.longs[from-seqs.from:], sockets: sockets.longs[from-sockets.from:]}
	if s.to > o.at {
		times := page(colTime)
		if err != nil {
			return c, err
		}
		c.times = times.longs[from-times.from:]
	}
	return c, nil
}

// bare takes rows of sockets without a cookie.
func (o *opening) bare(s *segment, g *groupReader, piece, first int, rows []int, l *leftOpen) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.load(g); err != nil {
		return err
	}
	n := 0
	return g.events(rows, func(e *activity.Event, epoch uint64) {
		o.event(e, epoch, openRow{piece: piece, row: first + rows[n]}, l)
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
	if err := s.load(g); err != nil {
		return sel, err
	}
	g.open(s)
	err = guarded(func() error { return fetchRows(s, g, rows, q, sel) })
	sel.sort()
	return sel, cmp.Or(err, s.trouble())
}

func fetchLive(path string, rows []int, q *Query, sel *selection) error {
	l, err := readLive(path)
	if err != nil {
		return err
	}
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
	for i := range s.file.groups {
		group := &s.file.groups[i]
		next := first + group.rows
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
