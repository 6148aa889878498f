package filter

import (
	"net/netip"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// Match reports whether the expression is true of e. A field that e has no
// value for satisfies no term but an empty text (unit:""), and so satisfies
// every negated one. Match does not allocate, apart from "args" with text
// that may span arguments.
func (x *Expr) Match(e *activity.Event) bool {
	if len(x.root.kids) == 0 && x.root.op != opTerm {
		return true
	}
	s := subject{e: e, p: e.Process, known: known(e.Process), modules: x.modules}
	if !s.known {
		s.p = &activity.Process{UID: activity.NoID, EUID: activity.NoID, LoginUID: activity.NoID}
	}
	return x.root.match(&s)
}

// MatchSocket is Match for a socket of now. Terms of time are about when it
// opened; its kind is that of its opening.
func (x *Expr) MatchSocket(sock *activity.Socket) bool {
	e := sock.Opening()
	s := subject{e: &e, p: e.Process, known: known(e.Process), keys: sock.Holders, modules: x.modules, sock: sock}
	if !s.known {
		s.p = &activity.Process{UID: activity.NoID, EUID: activity.NoID, LoginUID: activity.NoID}
	}
	return x.root.match(&s)
}

// known tells a process from none, and from the stub with only a number that
// activity.DecodeEvent makes when a process's record is lost.
func known(p *activity.Process) bool {
	return p != nil && (p.Name != "" || p.Exe != "" || !p.Key.IsZero())
}

func (n *node) match(s *subject) bool {
	switch n.op {
	case opTerm:
		return n.term.match(s)
	case opNot:
		return !n.kids[0].match(s)
	case opOr:
		for i := range n.kids {
			if n.kids[i].match(s) {
				return true
			}
		}
		return false
	}
	for i := range n.kids {
		if !n.kids[i].match(s) {
			return false
		}
	}
	return true
}

func (t *term) match(s *subject) bool {
	id := t.field.id
	switch t.field.class {
	case classWord:
		set, has := s.word(id)
		return t.any && has || t.set&set != 0
	case classFlag:
		on := uint64(1)
		if s.flag(id) {
			on = 2
		}
		return t.set&on != 0
	case classPort:
		a, b := s.ends(id)
		return t.port(a) || t.port(b)
	case classAddr:
		a, b := s.ends(id)
		return t.addr(a) || t.addr(b)
	case classNumber:
		n, has := s.number(id)
		return has && (t.any || within(t.spans, n))
	case classTime:
		return (s.e.Time != 0 || s.sock == nil) && t.from <= s.e.Time && s.e.Time < t.to
	}
	for i := range t.texts {
		if s.text(id, &t.texts[i], t.rel == relEqual) {
			return true
		}
	}
	return false
}

func (t *term) port(a netip.AddrPort) bool {
	a, ok := end(a)
	return ok && (t.any && a.Port() != 0 || within(t.spans, uint64(a.Port())))
}

func (t *term) addr(a netip.AddrPort) bool {
	a, ok := end(a)
	if !ok {
		return false
	}
	for i := range t.addrs {
		if t.addrs[i].has(a) {
			return true
		}
	}
	return t.any
}

// text reports whether the field matches one pattern. Names that people give
// (users, units, containers, process names) match in any case; paths,
// arguments and package names by case.
func (s *subject) text(id fieldID, pat *pattern, exact bool) bool {
	p := s.p
	switch id {
	case fName:
		return pat.match(p.Name, true)
	case fProcess:
		return isProcess(p, pat)
	case fExe:
		return pat.matchPath(p.Exe)
	case fArgs:
		return matchArgs(p.Args, pat, exact)
	case fCwd:
		return pat.matchPath(p.Cwd)
	case fParent:
		return matchRef(p.Parent(), pat)
	case fAncestor:
		return s.ancestor(pat)
	case fUser:
		uid := uint32(activity.NoID)
		if n, has := s.uid(); has {
			uid = uint32(n)
		}
		return matchUser(p.User, uid, pat)
	case fEUser:
		return matchUser(p.EffectiveUser, p.EUID, pat)
	case fLogin:
		return matchUser(p.LoginUser, p.LoginUID, pat)
	case fUnit:
		return matchUnit(p.Unit.Name, pat, exact)
	case fContainer:
		return pat.match(p.Container.Name, true) && (p.Container.Name != "" || p.Container.ID == "") ||
			p.Container.ID != "" && (pat.match(p.Container.ID, false) || isDigits(pat, p.Container.ID, 6, exact))
	case fRuntime:
		return pat.match(p.Container.Runtime, true)
	case fImage:
		return pat.match(p.Container.Image, false)
	case fPod:
		return matchPod(p.Container.Pod, pat)
	case fCgroup:
		return pat.match(p.Cgroup, false)
	case fPackage:
		return pat.match(p.ExePackage, false)
	case fSHA256:
		return pat.match(p.ExeSHA256, true) || isDigits(pat, p.ExeSHA256, 1, exact)
	case fModule:
		return s.module(pat)
	case fHolder:
		return s.holder(pat)
	}
	return s.bare(pat)
}

// bare is what a word without a field matches besides numbers and addresses.
func (s *subject) bare(pat *pattern) bool {
	p := s.p
	if s.known {
		if isProcess(p, pat) || pat.match(p.User, true) || matchUnit(p.Unit.Name, pat, false) ||
			s.text(fContainer, pat, false) || pat.path && pat.matchPath(p.Exe) {
			return true
		}
	}
	if len(pat.spans) == 0 {
		return false
	}
	t := term{spans: pat.spans}
	return t.port(s.e.Local) || t.port(s.e.Remote)
}

func isProcess(p *activity.Process, pat *pattern) bool {
	if pat.match(p.Name, true) && (p.Name != "" || p.Exe == "") {
		return true
	}
	i := strings.LastIndexAny(p.Exe, `/\`)
	return p.Exe != "" && pat.match(p.Exe[i+1:], true)
}

// matchUser matches a user by name or number; one whose name is not known has
// a value all the same.
func matchUser(name string, id uint32, pat *pattern) bool {
	if name != "" || id == activity.NoID {
		return pat.match(name, true) || id != activity.NoID && pat.isNum && pat.num == uint64(id)
	}
	return pat.shape == shapeAny || pat.isNum && pat.num == uint64(id)
}

// isDigits reports whether the pattern is the beginning of a hexadecimal id.
func isDigits(pat *pattern, id string, least int, exact bool) bool {
	return !exact && pat.shape == shapeExact && len(pat.text) >= least && len(id) >= len(pat.text) && strings.EqualFold(id[:len(pat.text)], pat.text)
}

func matchRef(r activity.ProcessRef, pat *pattern) bool {
	return pat.match(r.Name, true) || pat.isNum && r.Key.PID != 0 && pat.num == uint64(r.Key.PID)
}

func (s *subject) ancestor(pat *pattern) bool {
	for i := range s.p.Ancestors {
		if matchRef(s.p.Ancestors[i], pat) {
			return true
		}
	}
	return len(s.p.Ancestors) == 0 && pat.text == ""
}

// matchUnit matches a unit's name, with or without ".service", or one of
// several Windows services.
func matchUnit(name string, pat *pattern, exact bool) bool {
	if pat.match(name, true) {
		return true
	}
	if exact || name == "" {
		return false
	}
	if short := strings.TrimSuffix(name, ".service"); len(short) < len(name) {
		return short != "" && pat.match(short, true)
	}
	if !strings.Contains(name, ",") {
		return false
	}
	for more := true; more; {
		var one string
		one, name, more = strings.Cut(name, ",")
		if one = strings.TrimSpace(one); one != "" && pat.match(one, true) {
			return true
		}
	}
	return false
}

// matchPod matches namespace/name, or the name alone.
func matchPod(pod string, pat *pattern) bool {
	if pat.match(pod, false) {
		return true
	}
	_, name, ok := strings.Cut(pod, "/")
	return ok && name != "" && !pat.path && pat.match(name, false)
}

// matchArgs matches a command line: text without wildcards occurs in it, a
// pattern with them is all of it or all of one argument, "=" is one argument.
func matchArgs(args []string, pat *pattern, exact bool) bool {
	for _, a := range args {
		if a != "" && pat.match(a, false) || a != "" && pat.shape == shapeExact && !exact && pat.text != "" && strings.Contains(a, pat.text) {
			return true
		}
	}
	if len(args) == 0 {
		return pat.text == ""
	}
	if exact || pat.text == "" || !strings.Contains(pat.text, " ") && (pat.shape == shapeExact || pat.shape == shapeContains) {
		return false // what has no space cannot span arguments
	}
	var buf [512]byte
	line := buf[:0]
	for i, a := range args {
		if i > 0 {
			line = append(line, ' ')
		}
		line = append(line, a...)
	}
	if pat.shape == shapeExact {
		return strings.Contains(string(line), pat.text)
	}
	return pat.match(string(line), false)
}

func (s *subject) module(pat *pattern) bool {
	if s.p.Modules == 0 {
		return false
	}
	set := s.modules(s.p.Modules)
	if set == nil {
		return false
	}
	for i := range set.Modules {
		m := &set.Modules[i]
		if pat.matchPath(m.Path) || m.Package != "" && pat.match(m.Package, false) {
			return true
		}
	}
	return false
}

// holder reports whether any process that had the socket open matches; of a
// bind that failed, the process that had the port.
func (s *subject) holder(pat *pattern) bool {
	if s.e.Kind == activity.KindBindFailed {
		return known(s.e.Holder) && isHolder(s.e.Holder, pat)
	}
	if s.known && isHolder(s.p, pat) || pat.isNum && s.pid() != 0 && pat.num == uint64(s.pid()) {
		return true
	}
	for _, p := range s.e.Holders {
		if known(p) && isHolder(p, pat) {
			return true
		}
	}
	for _, k := range s.keys {
		if pat.isNum && k.PID != 0 && pat.num == uint64(k.PID) {
			return true
		}
	}
	return false
}

func isHolder(p *activity.Process, pat *pattern) bool {
	return isProcess(p, pat) || pat.isNum && p.Key.PID != 0 && pat.num == uint64(p.Key.PID)
}
