// Package activity is the vocabulary of Port Reporter: the event, the process
// that owns it, the socket it happened on, and the words for each. It holds no
// I/O and imports the standard library only; every other package speaks it.
//
// The words (Kind, Reason, Role ...) are stable: they are written to disk, to
// JSON and to filters, and are only ever added to.
package activity
