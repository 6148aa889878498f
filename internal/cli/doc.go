// Package cli is the command line: it wires the other packages into commands,
// one file a command, and turns their errors into one line and an exit code.
// The scripts under testdata/script are its manual, run as tests.
package cli
