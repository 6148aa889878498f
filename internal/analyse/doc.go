// Package analyse answers questions from events: what was open at a moment,
// the timeline of one thing, what differs between two moments, and the reports
// that count.
//
// It is pure: events come as a stream in the order of the record, or as a
// slice; there is no file and no clock here. Streams are read once and not
// kept, so that memory depends on what the answer holds and not on how many
// events there are.
//
// # Runs
//
// What is known of open sockets begins anew with each run of the recorder: its
// recorder-start is followed by snapshots of all that is open. So nothing of an
// older run is open after it, but for what the snapshots name again. A socket
// is named by its cookie, which the kernel gives out once while it is up, or
// where none is known (old kernels, imported logs) by its ends.
package analyse
