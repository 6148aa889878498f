package analyse

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/portreporter/portreporter/internal/activity"
)

// Change is one difference between the ports of two moments, or of two hosts.
// A port that is only in one of them has only that side.
type Change struct {
	Before, After *activity.Socket // nil: none
	Fields        []FieldChange    // of a port that is in both
}

// FieldChange is what is different of one port. Field is scope (the address it
// is bound to), port, owner (the program), sha256, package, deleted, args, unit,
// user or container; an empty value is none, or unknown.
type FieldChange struct {
	Field         string
	Before, After string
	Wider         bool // scope: more can reach it than before
}

// Diff compares the ports that are held, which are TCP listeners and UDP ports
// that were asked for, and returns what is gone, new or changed, by port. Who
// holds them is told by what it is (executable, unit, container, user, the shape
// of its command line) and not by its process number; sockets that only differ in
// that are the same. sockets may have others too.
func Diff(before, after []*activity.Socket) (changes []Change) {
	a, b := heldPorts(before), heldPorts(after)
	m := matcher{a: a, b: b, ofA: make([]int, len(a)), ofB: make([]int, len(b))}
	for i := range m.ofA {
		m.ofA[i] = -1
	}
	for i := range m.ofB {
		m.ofB[i] = -1
	}
	match(&m, (*held).identity, func(*held, *held) int { return 1 })
	match(&m, (*held).onPort, samePort)
	match(&m, func(p *held) program { return p.who }, movedPort)
	for i, p := range a {
		if m.ofA[i] < 0 {
			changes = append(changes, Change{Before: p.sock})
		} else if fs := compare(p, b[m.ofA[i]]); len(fs) > 0 {
			changes = append(changes, Change{Before: p.sock, After: b[m.ofA[i]].sock, Fields: fs})
		}
	}
	for i, p := range b {
		if m.ofB[i] < 0 {
			changes = append(changes, Change{After: p.sock})
		}
	}
	slices.SortStableFunc(changes, compareChanges)
	return changes
}

func compareChanges(a, b Change) int {
	x, y := a.side(), b.side()
	return cmp.Or(cmp.Compare(x.Local.Port(), y.Local.Port()), cmp.Compare(x.Proto, y.Proto), x.Local.Addr().Compare(y.Local.Addr()),
		cmp.Compare(a.order(), b.order()))
}

func (c *Change) side() *activity.Socket { return cmp.Or(c.After, c.Before) }

// order puts what is gone before what is new at its place.
func (c *Change) order() int {
	if c.After == nil {
		return 0
	}
	return 1
}

// held is a port that is held, and what holds it.
type held struct {
	sock *activity.Socket
	who  program
	args string // their shape
}

// The first port that Linux gives out by itself (ip_local_port_range).
const firstEphemeral = 32768

// heldPorts lists the ports of a state. Several sockets of one program on one
// address, as of servers with many workers, are one.
func heldPorts(socks []*activity.Socket) (ports []held) {
	at := map[identity]int{}
	for _, s := range socks {
		listens := s.State == activity.StateListen
		if !listens && (s.Proto != activity.UDP || s.AutoBind || s.Remote.IsValid() && s.Local.Port() >= firstEphemeral) {
			continue
		}
		p := held{s, programOf(s.Process), shapeOf(s.Process)}
		k := p.identity()
		if i, ok := at[k]; ok {
			if s.Since < ports[i].sock.Since {
				ports[i] = p
			}
			continue
		}
		at[k] = len(ports)
		ports = append(ports, p)
	}
	slices.SortStableFunc(ports, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.sock.Local.Port(), b.sock.Local.Port()), a.sock.Local.Addr().Compare(b.sock.Local.Addr()), cmp.Compare(a.sock.Cookie, b.sock.Cookie))
	})
	return ports
}

// identity is what is the same of a port that did not change.
type identity struct {
	proto activity.Proto
	local netip.AddrPort
	who   program
	args  string
}

func (p *held) identity() identity {
	return identity{p.sock.Proto, p.sock.Local, p.who, p.args}
}

// matcher finds which ports are the same ones.
type matcher struct {
	a, b     []held
	ofA, ofB []int // the index of the partner, -1 none
}

// The most ports of one group that are weighed against each other.
const maxWeighed = 256

// match pairs what is not paired yet within groups, the likest first. alike is
// 0 for what is never the same.
func match[K comparable](m *matcher, group func(*held) K, alike func(a, b *held) int) {
	type pair struct{ i, j, score int }
	groups := map[K][]int{}
	for j := range m.b {
		if k := group(&m.b[j]); m.ofB[j] < 0 && len(groups[k]) < maxWeighed {
			groups[k] = append(groups[k], j)
		}
	}
	weighed := map[K]int{}
	var pairs []pair
	for i := range m.a {
		k := group(&m.a[i])
		if m.ofA[i] >= 0 || weighed[k] >= maxWeighed {
			continue
		}
		weighed[k]++
		for _, j := range groups[k] {
			if n := alike(&m.a[i], &m.b[j]); n > 0 {
				pairs = append(pairs, pair{i, j, n})
			}
		}
	}
	slices.SortStableFunc(pairs, func(x, y pair) int { return cmp.Compare(y.score, x.score) })
	for _, p := range pairs {
		if m.ofA[p.i] < 0 && m.ofB[p.j] < 0 {
			m.ofA[p.i], m.ofB[p.j] = p.j, p.i
		}
	}
}

// onPort groups by what clients reach.
type onPort struct {
	proto activity.Proto
	port  uint16
}

func (p *held) onPort() onPort { return onPort{p.sock.Proto, p.sock.Local.Port()} }

// samePort weighs whether two holders of one port are the same thing, or one has
// taken the place of the other.
func samePort(a, b *held) (n int) {
	x, y := &a.who, &b.who
	switch {
	case x.container != y.container && x.container != "" && y.container != "":
		return 0 // each has a network of its own
	case *x == *y && a.args == b.args:
		n = 60
	case *x == *y:
		n = 50
	case x.exe == y.exe && x.unit == y.unit:
		n = 40
	case x.exe == y.exe:
		n = 30
	case x.unit == y.unit && x.unit != "":
		n = 25
	case baseName(x.exe) == baseName(y.exe):
		n = 20
	case x.container == y.container:
		n = 10
	default:
		return 0
	}
	if a.sock.Local.Addr() == b.sock.Local.Addr() {
		return n + 2
	}
	if a.sock.Local.Addr().Is4() == b.sock.Local.Addr().Is4() {
		n++
	}
	return n
}

// movedPort weighs whether a port that the kernel chose is what another one was
// before the program started anew. They are of one program.
func movedPort(a, b *held) int {
	if a.sock.Proto != b.sock.Proto || a.sock.Local.Port() < firstEphemeral || b.sock.Local.Port() < firstEphemeral {
		return 0
	}
	if a.sock.Local.Addr() == b.sock.Local.Addr() {
		return 2
	}
	return 1
}

// compare lists what is different of a port.
func compare(a, b held) (fs []FieldChange) {
	differ := func(field, before, after string) {
		if before != after {
			fs = append(fs, FieldChange{Field: field, Before: before, After: after})
		}
	}
	if x, y := a.sock.Local, b.sock.Local; x.Addr() != y.Addr() {
		fs = append(fs, FieldChange{Field: "scope", Before: x.Addr().String(), After: y.Addr().String(), Wider: reach(y.Addr()) > reach(x.Addr())})
	}
	differ("port", strconv.Itoa(int(a.sock.Local.Port())), strconv.Itoa(int(b.sock.Local.Port())))
	differ("owner", a.who.exe, b.who.exe)
	differ("unit", a.who.unit, b.who.unit)
	differ("user", a.who.user, b.who.user)
	differ("container", a.who.container, b.who.container)
	p, q := a.sock.Process, b.sock.Process
	if p == nil || q == nil {
		return fs
	}
	if p.Args != nil && q.Args != nil && a.args != b.args {
		differ("args", strings.Join(p.Args, " "), strings.Join(q.Args, " "))
	}
	known := func(field, before, after string) { // one that is not known yet has not changed
		if before != "" && after != "" {
			differ(field, before, after)
		}
	}
	known("sha256", p.ExeSHA256, q.ExeSHA256)
	known("package", p.ExePackage, q.ExePackage)
	differ("deleted", yesNo(p.Deleted), yesNo(q.Deleted))
	return fs
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// reach ranks the addresses that a port is bound to by who can reach it.
func reach(a netip.Addr) int {
	switch {
	case a.IsLoopback():
		return 0
	case a.IsUnspecified():
		return 2
	}
	return 1
}

func baseName(exe string) string { return exe[strings.LastIndexAny(exe, `/\`)+1:] }

// shapeOf is a command line without what differs each time: numbers, and
// hexadecimal names such as those of containers.
func shapeOf(p *activity.Process) string {
	if p == nil {
		return ""
	}
	var b strings.Builder
	for i, a := range p.Args {
		if i > 0 {
			b.WriteByte(0)
		}
		appendShape(&b, a)
	}
	return b.String()
}

// appendShape writes s with each word of digits, and each of eight hexadecimal
// digits or more, as a #.
func appendShape(b *strings.Builder, s string) {
	for len(s) > 0 {
		n := strings.IndexFunc(s, func(r rune) bool { return !isWord(r) })
		if n < 0 {
			n = len(s)
		}
		if w := s[:n]; strings.Trim(w, "0123456789") == "" && n > 0 || n >= 8 && strings.Trim(w, "0123456789abcdefABCDEF") == "" {
			b.WriteByte('#')
		} else {
			b.WriteString(w)
		}
		if s = s[n:]; len(s) > 0 {
			_, n = utf8.DecodeRuneInString(s)
			b.WriteString(s[:n])
			s = s[n:]
		}
	}
}

func isWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
}
