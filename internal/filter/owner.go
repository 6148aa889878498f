package filter

import "github.com/portreporter/portreporter/internal/activity"

// MayOwn is a hint like Hints, about the owner: when it reports false, no event
// or socket of process p matches. p is nil for an owner that is not known. Who
// asks many events of few processes keeps the answer beside the process.
func (x *Expr) MayOwn(p *activity.Process) bool {
	s := subject{e: &activity.Event{Process: p}, p: p, known: known(p), modules: x.modules}
	if !s.known {
		s.p = &activity.Process{UID: activity.NoID, EUID: activity.NoID, LoginUID: activity.NoID}
	}
	return x.root.mayOwn(&s, false)
}

// mayOwn reports whether the node, or its negation, may be true of an event of
// s's process.
func (n *node) mayOwn(s *subject, not bool) bool {
	switch n.op {
	case opTerm:
		return !n.term.ofOwner(s) || n.term.match(s) != not
	case opNot:
		return n.kids[0].mayOwn(s, !not)
	}
	any := (n.op == opOr) != not // De Morgan: one of the kids suffices
	for i := range n.kids {
		if n.kids[i].mayOwn(s, not) == any {
			return any
		}
	}
	return !any
}

// ofOwner reports whether the process alone decides the term.
func (t *term) ofOwner(s *subject) bool {
	switch t.field.id {
	case fName, fProcess, fExe, fArgs, fCwd, fParent, fParentPID, fAncestor, fEUser, fEUID, fLogin, fUnit, fContainer, fRuntime, fImage,
		fPod, fCgroup, fPackage, fSHA256, fModule, fDeleted, fMemFD, fKernel:
		return true
	case fUser, fUID:
		return s.known // a socket knows its user without a process
	}
	return false
}
