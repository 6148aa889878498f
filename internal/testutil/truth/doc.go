// Package truth holds what a traffic generator knows that it did, and compares
// it with what a recorder says that happened.
//
// A generator (internal/testutil/cmd/portgen) writes a Log: its processes, and
// the events that a perfect recorder would tell. A test feeds every event it
// can read back, from a capture source, the journal or JSON Lines, to a
// Verifier, and asks for its Report:
//
//	log, err := truth.Read(f)
//	v := truth.NewVerifier(log)
//	for e, err := range events { v.Add(e) }
//	r := v.Report()
//	if err := r.Err(); err != nil { t.Errorf("%v\n%s", err, r) }
//
// Expectations are matched by kind, protocol and both ends; then owner, process
// facts, bytes, errno and reason are checked, each only where the truth states
// it. Events of other network namespaces are nobody's business and ignored.
//
// What is compared loosely, because the kernel itself has no single answer: the
// local address of a UDP socket (it may be told as the wildcard that the socket
// is bound to), and the local end of a failed connect (a port may not have been
// chosen). Where they are told, they must not contradict the truth. A connect
// that failed inside this host may be told as not sent, errno unknown.
package truth
