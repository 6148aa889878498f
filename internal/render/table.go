package render

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/portreporter/portreporter/internal/activity"
)

// column numbers of the socket table.
const (
	colProto = iota
	colLocal
	colRemote
	colState
	colProcess
	colUser
	colPlace
	colSince
	colInterest
	numColumns

	numCells = colInterest // of a row in table.cells
)

func titles() [numColumns]string {
	return [numColumns]string{"PROTO", "LOCAL", "REMOTE", "STATE", "PROCESS", "USER", "UNIT/CONTAINER", "SINCE", "INTEREST"}
}

// layout is one way to fit a terminal: the width below which each column is not
// shrunk; 0 leaves the column out, and fixed does not shrink it.
type layout [numColumns]int

const fixed = 1 << 16

// layouts go from the fullest to the barest. Addresses stay whole for IPv4 (21
// columns at most) as long as something else can give way.
func layouts() []layout {
	return []layout{
		{fixed, 21, 21, fixed, 12, 6, 10, fixed, 16},
		{fixed, 21, 21, fixed, 12, 6, 0, fixed, 12},
		{fixed, 21, 21, fixed, 12, 6, 0, 0, 8},
		{fixed, 14, 14, fixed, 10, 6, 0, 0, 8},
		{0, 14, 14, fixed, 10, 0, 0, 0, 8},
		{0, 8, 8, 0, 8, 0, 0, 0, 0},
	}
}

// AppendSockets appends sockets as a table in the order given, with a
// header: the columns of `ss -tulpn`, and user, unit or container, since when,
// and the worst of opt.Findings. Columns that nothing is in are left out. Where opt.Width is narrower
// than the table, long texts are cut with an ellipsis, and below 100 columns
// states and times are short and the last columns go; from 28 columns on no line is
// wider than opt.Width.
func AppendSockets(b []byte, sockets []*activity.Socket, opt Options) []byte {
	t := layOut(sockets, opt)
	b = t.header(b)
	return t.rows(b, 0, len(t.states))
}

// How many rows WriteSockets makes and writes together, some 64 KiB, and how many
// such pieces there are at a time.
const (
	rowsAtOnce   = 512
	piecesAtOnce = 4
)

// WriteSockets writes what AppendSockets appends, in pieces: some are made while
// others are written and read.
func WriteSockets(w io.Writer, sockets []*activity.Socket, opt Options) error {
	t := layOut(sockets, opt)
	free := make(chan []byte, piecesAtOnce)
	for range piecesAtOnce {
		free <- nil
	}
	pieces := make(chan chan []byte, piecesAtOnce) // in order, each filled when it is made
	go func() {
		defer close(pieces)
		for from := 0; from < len(t.states); from += rowsAtOnce {
			piece, b := make(chan []byte, 1), <-free
			pieces <- piece
			go func() { piece <- t.rows(b[:0], from, min(from+rowsAtOnce, len(t.states))) }()
		}
	}()
	_, err := w.Write(t.header(nil))
	for piece := range pieces {
		b := <-piece
		if err == nil {
			_, err = w.Write(b)
		}
		free <- b
	}
	return err
}

// layOut makes the cells of all rows, and fits them to the terminal.
func layOut(sockets []*activity.Socket, opt Options) *table {
	t := &table{opt: &opt, pal: newPalette(opt.Color), gap: 2,
		text: make([]byte, 0, len(sockets)*100), cells: make([]span, 0, len(sockets)*numCells), states: make([]activity.State, 0, len(sockets))}
	if opt.Width > 0 && opt.Width < 100 {
		t.narrow, t.gap = true, 1
	}
	t.today = opt.Now.In(opt.zone()).Format(time.DateOnly)
	asked := make(chan interestColumn)
	go func() { asked <- askInterest(sockets, opt.Findings) }()
	for _, s := range sockets {
		t.add(s)
	}
	t.interest = <-asked
	t.width[colInterest] = t.interest.width
	t.fit()
	for i, w := range t.width {
		if w > 0 {
			t.end = i
		}
	}
	return t
}

// span is a cell's text in table.text, and its width on a terminal.
type span struct{ from, to, width int32 }

// table lays out in two passes: cells to one buffer, then rows from it. The last
// column is made on the side.
type table struct {
	opt    *Options
	pal    palette
	today  string
	text   []byte
	cells  []span
	width  [numColumns]int // what the column needs, then what it gets; 0 left out
	states []activity.State
	last   *activity.Socket // of the row before
	narrow bool
	gap    int // columns between two columns
	end    int // the last column that is not left out

	interest interestColumn
}

// put makes the next cell of what text has more than t.text, which it is
// appended to.
func (t *table) put(col int, text []byte) {
	from := len(t.text)
	w := width(text[from:])
	t.text = text
	t.width[col] = max(t.width[col], w)
	t.cells = append(t.cells, span{int32(from), int32(len(text)), int32(w)})
}

// again repeats a cell of the row before.
func (t *table) again() { t.cells = append(t.cells, t.cells[len(t.cells)-numCells]) }

// width counts terminal columns: wide glyphs are two, combining marks none.
func width(b []byte) int {
	for _, c := range b {
		if c >= 0x80 {
			return displaywidth.Bytes(b)
		}
	}
	return len(b)
}

func (t *table) add(s *activity.Socket) {
	t.states = append(t.states, s.State)
	t.put(colProto, append(t.text, protoWord(s.Proto)...))
	t.put(colLocal, appendAddr(t.text, s.Local, true))
	if hasRemote(s.Remote) {
		t.put(colRemote, appendAddr(t.text, s.Remote, true))
	} else {
		t.put(colRemote, t.text)
	}
	t.put(colState, append(t.text, t.state(s.State)...))
	t.addOwner(s)
	if before := t.last; before != nil && s.Since/1e9 == before.Since/1e9 && (s.Since == 0) == (before.Since == 0) {
		t.again()
	} else {
		t.put(colSince, t.since(t.text, s.Since))
	}
	t.last = s
}

// addOwner adds the cells of process, user, and unit or container. Of a busy
// server most rows have those of the row before.
func (t *table) addOwner(s *activity.Socket) {
	p := known(s.Process)
	if before := t.last; p != nil && before != nil && p == before.Process && s.Owner == before.Owner &&
		len(s.Others) == len(before.Others) && len(s.Holders) == len(before.Holders) {
		t.again()
		t.again()
		t.again()
		return
	}
	t.put(colProcess, appendProcessCell(t.text, s, p))
	t.put(colUser, appendUserCell(t.text, s, p))
	if p != nil {
		t.put(colPlace, appendPlace(t.text, p, ""))
	} else {
		t.put(colPlace, t.text)
	}
}

func appendUserCell(b []byte, s *activity.Socket, p *activity.Process) []byte {
	switch {
	case p != nil && p.User != "":
		return appendSafe(b, p.User)
	case p != nil && p.UID != activity.NoID:
		return strconv.AppendUint(b, uint64(p.UID), 10)
	case s.UID != activity.NoID:
		return strconv.AppendUint(b, uint64(s.UID), 10)
	}
	return append(b, '?')
}

// appendProcessCell appends "nginx(811)+4": the owner, and how many more
// processes have the socket open.
func appendProcessCell(b []byte, s *activity.Socket, p *activity.Process) []byte {
	pid := ownerPID(s.Owner, p)
	if p == nil && pid == 0 {
		if kernelOwned(s) {
			return append(b, '-')
		}
		return append(b, "unknown"...)
	}
	b = append(appendName(b, p), '(')
	b = append(strconv.AppendUint(b, uint64(pid), 10), ')')
	if more := max(len(s.Others), len(s.Holders)-1); more > 0 {
		b = strconv.AppendInt(append(b, '+'), int64(more), 10)
	}
	return b
}

// state shortens the two longest words in a narrow table, as ss(8) does always.
func (t *table) state(s activity.State) string {
	switch {
	case t.narrow && s == activity.StateEstablished:
		return "ESTAB"
	case t.narrow && s == activity.StateSynReceived:
		return "SYN-RECV"
	}
	return s.String()
}

// since writes a time of today without its date, and an age in a narrow table.
func (t *table) since(b []byte, ns int64) []byte {
	if ns == 0 {
		return append(b, '?')
	}
	if t.narrow {
		return append(b, Age(ns, t.opt.Now.UnixNano())...)
	}
	when := time.Unix(0, ns).In(t.opt.zone())
	from := len(b)
	b = when.AppendFormat(b, time.DateTime)
	if string(b[from:from+len(t.today)]) == t.today {
		return append(b[:from], b[from+len(t.today)+1:]...) // today: the time alone
	}
	return b[:from+len("2006-01-02 15:04")]
}

// fit gives each column its width: that of its text, less where the terminal
// asks for it, the widest column giving way first.
func (t *table) fit() {
	for i, title := range titles() {
		if t.width[i] > 0 || i != colRemote && i != colPlace && i != colInterest {
			t.width[i] = max(t.width[i], len(title))
		}
	}
	if t.opt.Width <= 0 {
		return
	}
	l := t.choose()
	for i := range t.width {
		if l[i] == 0 {
			t.width[i] = 0
		}
		t.width[i] = min(t.width[i], t.opt.Width)
	}
	for t.total() > t.opt.Width {
		widest := -1
		for i, w := range t.width {
			if w > l[i] && (widest < 0 || w > t.width[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return // narrower than the barest layout
		}
		t.width[widest]--
	}
}

// choose returns the fullest layout that can fit.
func (t *table) choose() (l layout) {
	for _, l = range layouts() {
		least := *t
		for i := range least.width {
			least.width[i] = min(t.width[i], l[i])
		}
		if least.total() <= t.opt.Width {
			break
		}
	}
	return l
}

func (t *table) total() (n int) {
	for _, w := range t.width {
		if w > 0 {
			n += w + t.gap
		}
	}
	return max(n-t.gap, 0)
}

func (t *table) header(b []byte) []byte {
	b = append(b, t.pal.head.on...)
	for i, title := range titles() {
		if t.width[i] > 0 {
			title = title[:min(len(title), t.width[i])]
			b = append(b, title...)
			if i != t.end {
				b = pad(b, t.width[i]-len(title)+t.gap)
			}
		}
	}
	b = append(b, t.pal.head.off...)
	return append(b, '\n')
}

// rows appends the rows from from to before to.
func (t *table) rows(b []byte, from, to int) []byte {
	b = slices.Grow(b, (to-from)*(t.total()+1))
	for row := from; row < to; row++ {
		b = t.row(b, row)
	}
	return b
}

func (t *table) row(b []byte, row int) []byte {
	spaces := 0 // owed before the next text, so that no line ends in them
	for i, w := range t.width {
		if w == 0 {
			continue
		}
		text, used := t.cell(row, i)
		if len(text) > 0 {
			b = pad(b, spaces)
			spaces = 0
		}
		p := t.paint(i, row)
		if len(text) == 0 {
			p = paint{}
		}
		b = append(b, p.on...)
		if used > w {
			text, used = cut(text, w, tailMark(i))
		}
		b = append(b, text...)
		b = append(b, p.off...)
		if i != t.end {
			spaces += w - used + t.gap
		}
	}
	return append(b, '\n')
}

// cell returns a cell's text and its width.
func (t *table) cell(row, col int) ([]byte, int) {
	text, c := t.text, span{}
	if col == colInterest {
		text, c = t.interest.text, t.interest.cells[row]
	} else {
		c = t.cells[row*numCells+col]
	}
	return text[c.from:c.to], int(c.width)
}

func (t *table) paint(col, row int) paint {
	switch {
	case col == colState && t.states[row] == activity.StateListen:
		return t.pal.good
	case col == colProcess:
		return t.pal.name
	case col == colSince:
		return t.pal.dim
	case col == colInterest:
		return t.pal.severity(t.interest.worst[row])
	}
	return paint{}
}

// tailMark is where the end of a column's text begins that is kept when it is
// cut: an address keeps its port, a process its pid. 0 keeps none.
func tailMark(col int) byte {
	switch col {
	case colLocal, colRemote:
		return ':'
	case colProcess:
		return '('
	}
	return 0
}

// cut shortens a text to w columns with an ellipsis, at its end or before its tail.
func cut(text []byte, w int, mark byte) ([]byte, int) {
	var tail []byte
	if i := bytes.LastIndexByte(text, mark); mark != 0 && i > 0 && w > len(text)-i+1 {
		text, tail = text[:i], text[i:]
	}
	short := displaywidth.TruncateBytes(text, w-len(tail), []byte("…"))
	short = append(short[:len(short):len(short)], tail...)
	return short, displaywidth.Bytes(short)
}
