package journal

import "math/bits"

// socketTable says of each cookie of one epoch in one piece when it ended last,
// and which events no ending has followed. It is a hash table with open
// addressing, which takes a third of a map's time: it is asked for each event of
// the record.
type socketTable struct {
	slots []socketSlot // a power of two, at most half of it used; cookie 0 is free
	rows  []socketRow
	used  int
	shift int
}

type socketSlot struct {
	cookie uint64
	ended  uint64 // sequence number of its last ending; 0 none
	newest int32  // 1 + index into rows
}

// socketRow is an event of a socket.
type socketRow struct {
	seq   uint64
	row   int32
	older int32 // 1 + index of another of the same socket
}

// newSocketTable makes a table for about n sockets.
func newSocketTable(n int) *socketTable {
	t := new(socketTable)
	t.resize(max(64, 2*n))
	return t
}

func (t *socketTable) resize(n int) {
	old := t.slots
	width := bits.Len(uint(n - 1))
	t.slots, t.shift = make([]socketSlot, 1<<width), 64-width
	for _, s := range old {
		if s.cookie != 0 {
			*t.find(s.cookie) = s
		}
	}
}

// find returns the cookie's slot, or the free one that it would take.
func (t *socketTable) find(cookie uint64) *socketSlot {
	mask := uint64(len(t.slots) - 1)
	// Cookies count up: neighbours in time are neighbours here, so that what is
	// looked up next is in the processor's cache. The upper bits are spread.
	for i := cookie + (cookie>>(64-t.shift))*0x9e3779b97f4a7c15>>t.shift; ; i++ {
		if s := &t.slots[i&mask]; s.cookie == cookie || s.cookie == 0 {
			return s
		}
	}
}

// at returns the cookie's slot, to be used before the next call.
func (t *socketTable) at(cookie uint64) *socketSlot {
	s := t.find(cookie)
	if s.cookie == 0 {
		if t.used++; 2*t.used > len(t.slots) {
			t.resize(2 * len(t.slots))
			s = t.find(cookie)
		}
		s.cookie = cookie
	}
	return s
}

func (t *socketTable) end(cookie, seq uint64) {
	s := t.at(cookie)
	s.ended = max(s.ended, seq)
}

func (t *socketTable) add(cookie, seq uint64, row int) {
	s := t.at(cookie)
	if seq > s.ended {
		t.rows = append(t.rows, socketRow{seq, int32(row), s.newest})
		s.newest = int32(len(t.rows))
	}
}

// left gives the events that no ending has followed, the newest first.
func (t *socketTable) left(s *socketSlot, visit func(socketRow)) {
	for i := s.newest; i > 0; i = t.rows[i-1].older {
		if t.rows[i-1].seq > s.ended {
			visit(t.rows[i-1])
		}
	}
}
