// Command portgen makes TCP and UDP traffic and says what it did: the ground
// truth that recorders are measured against (see internal/testutil/truth).
//
//	portgen [flags] tcp N      N connections between two pinned processes
//	portgen [flags] udp N      N sockets, each one datagram and its reply
//	portgen [flags] procs N    N processes, each one connection
//	portgen [flags] case NAME  a scenario; "all", or a comma separated list
//	portgen cases              prints the names of the scenarios
//	portgen verify TRUTH       compares events on standard input (JSON Lines) with
//	                           the truth in a file; exit status 1 if they differ
//
// It works in a network namespace of its own (root), or with -here in the
// caller's. The truth goes to the file of -truth, or to standard output.
//
// The hot loops are raw system calls on locked threads, with the garbage
// collector off: as fast as C. Linux only.
package main
