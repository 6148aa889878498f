// Package prlog writes and reads Port Reporter's three classic logs.
//
// The layout is that of Microsoft's Port Reporter 1.01, as its samples published
// in 2005 show it (Mitch Tulloch, "Port Reporter", O'Reilly Windows DevCenter,
// 2005-07-19; Microsoft KB 837243 and, for the wording of process details, KB
// 832919). A set is three files that are created together and end in the same
// local time, year-month-day-hour-minute-second, padded as the original's were:
//
//	PR-INITIAL-05-07-6-13-44-4.log   every port and its process at that time
//	PR-PORTS-05-07-6-13-44-4.log     one line of ten columns for each new port
//	PR-PIDS-05-07-6-13-44-4.log      one numbered section for each such line
//
// What the writer does that the original did not:
//
//   - The first line says version 3.0. A second set within one second ends in a
//     further number: 13-44-4-2.
//   - Text is escaped, reversibly, because the original has no quoting: bytes
//     that would break a line, a column or a terminal are written as % and two
//     hexadecimal digits, as in RFC 3986 section 2.1. In PR-PORTS these are also
//     the comma, the double quote, < and >, and a first = + - or @, which
//     spreadsheets take for a formula. % itself is escaped only where two
//     hexadecimal digits follow.
//   - A section's modules are listed once: later sections of the same modules
//     say "unchanged since log number N" or "same as log number N". A process's
//     table is written once a second at most, and a long one only after as many
//     sections as it had rows; those between show their own port, and say in
//     which section the table is. Config.Modules "every" writes all of it every time.
//   - With Config.Ports "listeners" PR-PORTS and PR-PIDS have only ports that a
//     program opened for others: no TCP connections, and no UDP ports that the
//     kernel chose at the first send, as each DNS client's are.
//   - PR-INITIAL and PR-PIDS name the time zone, and a section says how many
//     entries before it could not be written.
//
// A socket whose process is not known has pid 0 in the tables, as ports of ended
// programs had in the original (TIME WAIT ones), and an empty PID, module and
// user in PR-PORTS.
//
// Times are local, in Config.Location, to the second, as in the original; the
// journal has them exactly. The logs hold what the original's held: no closes,
// no failures, no direction.
package prlog
