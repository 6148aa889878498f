package interest

import (
	"fmt"
	"net/netip"

	"github.com/portreporter/portreporter/internal/activity"
)

// scope says who can reach a listener; a later one is wider.
type scope uint8

const (
	scopeNone scope = iota
	scopeLoopback
	scopeAddress // one address of this host
	scopeEverywhere
)

func (s scope) String() string {
	return [...]string{"", "loopback", "address", "everywhere"}[s]
}

// words tells people who it is that can reach it.
func (s scope) words() string {
	return [...]string{"nobody", "this host alone", "one of its addresses", "every address"}[s]
}

// scopeOf tells who can reach a listener on an address. That an address is
// private or public does not count here: it is the host's own, and one of many.
func scopeOf(a netip.Addr) scope {
	switch {
	case !a.IsValid():
		return scopeNone
	case a.IsLoopback():
		return scopeLoopback
	case a.IsUnspecified():
		return scopeEverywhere
	}
	return scopeAddress
}

// change is a listener that is open to more than the one before it was.
type change struct {
	port     uint16
	from, to scope
}

func (c change) wider() bool { return c.to > c.from }

func (c change) String() string {
	return fmt.Sprintf("port %d was open to %s, now to %s", c.port, c.from.words(), c.to.words())
}

// The most listeners of which it is remembered how far they were open.
const maxScopes = 8192

// scopes remembers how far each program opened each port. A program that has
// several listeners on a port, for each address of the host, has not widened
// any: only one that opens when none of the port is open counts. Its zero value
// remembers nothing.
type scopes struct {
	known map[listener]*scopeState
}

// listener is a program's listening port, whichever process has it.
type listener struct {
	program string
	proto   activity.Proto
	port    uint16
}

// scopeState is what is known of one listener: the widest that it ever was, and
// how many of it are open. Both are needed: see scopes.
type scopeState struct {
	widest scope
	open   int
}

// see takes note of a listener that opens or closes.
func (s *scopes) see(e *activity.Event, base *Baseline) (c change) {
	opens := e.Kind == activity.KindListen || foundListening(e)
	if !opens && e.Kind != activity.KindUnlisten {
		return c
	}
	key := listener{program(e.Process), e.Proto, e.Local.Port()}
	if key.program == "" || key.port == 0 {
		return c
	}
	st := s.known[key]
	if st == nil {
		if len(s.known) >= maxScopes || s.known == nil {
			s.known = map[listener]*scopeState{}
		}
		st = &scopeState{widest: base.scope(key)}
		s.known[key] = st
	}
	if !opens {
		st.open = max(st.open-1, 0)
		return c
	}
	now := scopeOf(e.Local.Addr())
	if st.open == 0 && st.widest != scopeNone && now > st.widest {
		c = change{key.port, st.widest, now}
	}
	st.open++
	st.widest = max(st.widest, now)
	return c
}
