// Package journal is the record on disk: a crash-safe live log of framed
// events, sealed into Parquet segments with roll-ups, chained by hashes, and
// readable by any process while a recorder writes.
//
// One process writes, under a lock; within it one goroutine calls Append,
// and Flush, and another may call Sync, Seal, Merge and Retain. Readers take no
// lock. docs/JOURNAL.md documents every file, frame and column.
//
// Everything is ordered by position, a pair of recorder epoch and sequence
// number, and never by the wall clock, which may step. The name of each live
// log and segment tells the positions that it holds, so that a directory
// listing alone says what supersedes what after a crash or during a sealing.
package journal
