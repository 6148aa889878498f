// Package control is the local socket between a running recorder and its
// clients: list, events --follow, doctor and the console ask over it.
//
// The server belongs to the recorder and never holds it up: a client that reads
// slowly loses events, is told how many, and costs a bounded queue. Who may
// connect is decided by the socket file's mode (0660) and, again, by the peer's
// credentials.
package control

import (
	"errors"
	"iter"

	"github.com/portreporter/portreporter/internal/activity"
)

// Handler answers for the recorder. Its methods are called from the server's
// goroutines, several at a time.
type Handler interface {
	// Sockets yields the recorder's table. Each is the server's to read until
	// the next, the processes in it are immutable, and an error is the last
	// thing that is yielded.
	Sockets() iter.Seq2[*activity.Socket, error]
	// Status returns what status answers; it is sent as JSON.
	Status() (any, error)
	// Modules returns an interned module set, or nil when it is not known.
	Modules(activity.ModuleSetID) *activity.ModuleSet
}

// Recent is a Handler that can also give the newest events on record. Without
// it a follower that asks for them is refused.
type Recent interface {
	// Recent returns at most n events, oldest first, ending with the newest
	// that was published.
	Recent(n int) ([]activity.Event, error)
}

// Errors that callers decide on. They are wrapped in one line that names the
// path and says what to do.
var (
	// ErrNotRunning: nothing listens on the socket.
	ErrNotRunning = errors.New("no recorder is running")
	// ErrPermission: this user may not talk to the recorder.
	ErrPermission = errors.New("permission denied")
	// ErrInUse: another recorder listens on the socket.
	ErrInUse = errors.New("another recorder is running")
	// ErrUnsupported: this system has no control socket yet.
	ErrUnsupported = errors.New("not supported")
	// ErrNoAnswer: a recorder is there, and does not answer.
	ErrNoAnswer = errors.New("the recorder did not answer")
	// ErrProtocol: the other end sent what this version does not understand.
	ErrProtocol = errors.New("protocol error")
)
