// Package proc reads the facts of one process from procfs: who it is, what it
// runs, whose child it is, and which files it has mapped executable.
//
// Identity. A pid alone names nobody: it is reused. A Handle pins the process
// (an open /proc/PID directory refers to that process for ever and answers
// ESRCH once it is gone, never for its successor), and every read checks the
// start time before and after. What could not be read of one process in one
// piece is ErrGone, not a mixture.
//
// Start times. procfs gives them in clock ticks of 10 ms (proc_pid_stat(5),
// field 22), the eBPF tier in nanoseconds. Keys made here are the tick's
// beginning: nanoseconds rounded down. SameStart compares the two kinds.
//
// Names, arguments and paths are kept byte for byte as the kernel holds them,
// whatever they contain; who shows them must escape them. Every input has a
// bound. The package keeps no state and does not log.
package proc
