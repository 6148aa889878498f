// Package filter is the one language in which the commands, the console and
// the rules say which events and sockets they mean:
//
//	port:3389 kind:accept remote:10.0.0.0/8 user:root exe:*/sshd since:2h -unit:ssh.service bytes>1MB
//
// Terms side by side are and-ed; "or", "not" (or "-") and parentheses combine
// them. Parse reads an expression, Match asks it of an event, MatchSocket of a
// socket, String prints its canonical form, and Hints tells a store what it
// may skip. docs/FILTER.md is the reference for people.
//
// The package has no clock, no file and no table of the system's: the time, the
// zone, service names and module sets are given in Options.
package filter

import (
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// Bounds on what Parse accepts: an expression may come from the console.
const (
	maxSource = 64 << 10 // bytes
	maxDepth  = 100      // nested parentheses and negations
	maxItem   = 4 << 10  // bytes of one value: the longest path (PATH_MAX)
)

// Options are what an expression's meaning depends on besides its text.
type Options struct {
	Now      time.Time      // what relative times count back from
	Location *time.Location // of times without a zone; nil is UTC

	// Services gives the port of a service name that the built-in table does
	// not know, such as those of /etc/services; nil knows no more.
	Services func(name string) (port uint16, ok bool)

	// Modules resolves a process's module set, nil when unknown. Without it
	// the field "module" is an error.
	Modules func(activity.ModuleSetID) *activity.ModuleSet
}

// Expr is a parsed expression. It is immutable, and safe for concurrent use as
// far as Options.Modules is.
type Expr struct {
	root    node
	modules func(activity.ModuleSetID) *activity.ModuleSet
}

// op says what a node does with its kids.
type op uint8

const (
	opAnd op = iota // all of kids: without any, true
	opOr            // one of kids
	opNot           // not kids[0]
	opTerm
)

// node is one node of the expression. It is a struct and not an interface so
// that what Match hands down stays on the stack.
type node struct {
	op   op
	kids []node
	term *term
}

// term is one question about one field. Which operands are filled depends on
// the field's class.
type term struct {
	field *field
	rel   rel
	any   bool          // "*": the field has a value (not for text)
	set   uint64        // words and flags: one bit a word
	spans []span        // numbers and ports
	num   uint64        // the operand of an ordering relation, as printed
	addrs []addrPattern // addresses
	texts []pattern     // text
	from  int64         // times: UTC ns, inclusive
	to    int64         // exclusive
}

// rel is how a term compares.
type rel uint8

const (
	relMatch rel = iota // ":"
	relEqual            // "=": text without wildcards, else the same as ":"
	relLess
	relLessEqual
	relMore
	relMoreEqual
	relDiffer // "!=", which the parser turns into not "="
)

func (r rel) String() string { return [...]string{":", "=", "<", "<=", ">", ">=", "!="}[r] }

// span is a closed interval of numbers.
type span struct{ lo, hi uint64 }
