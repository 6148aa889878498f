//go:build !windows

package prlog

// crlf says that lines end in CR LF. They do on Windows.
const crlf = false
