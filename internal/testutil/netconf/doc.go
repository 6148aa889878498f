// Package netconf configures the network namespace that the calling thread is
// in, as far as tests need it: links up, veth pairs, addresses, neighbours and
// routes, by rtnetlink(7) and with no other program. Linux only; elsewhere the
// package is empty.
//
// A namespace belongs to a thread: callers lock theirs (runtime.LockOSThread).
package netconf
