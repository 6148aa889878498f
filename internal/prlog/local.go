package prlog

import (
	"fmt"
	"strconv"

	"github.com/portreporter/portreporter/internal/activity"
)

// The texts of this file are those that Port Reporter shared with PortQry's
// local mode (KB 832919).

// AppendMappings appends a heading, the number of sockets, their table with the
// process of each, and the statistics: PR-INITIAL's, and `portqry -local`'s. It
// sorts sockets.
func AppendMappings(b []byte, heading string, sockets []activity.Socket) []byte {
	sortSockets(sockets)
	b = fmt.Appendf(b, "%s\n\n%d%s\n\nPID:Process%s", heading, len(sockets), lineFound, tableHead)
	for i := range sockets {
		s := &sockets[i]
		b = strconv.AppendUint(b, uint64(s.Owner.PID), 10)
		if name := imageName(s.Process); name != "" {
			b = appendText(append(b, ':'), name, false)
		}
		b = appendRow(b, s)
	}
	return appendStats(append(b, '\n'), sockets)
}

// Details says how much AppendDetails tells of a process.
type Details uint8

// What AppendDetails tells.
const (
	PortsOnly  Details = iota // the table and the statistics
	Everything                // services and modules too
)

// AppendDetails appends a process's section as PortQry's local mode prints it:
// who it is, its sockets, sorted here, with their statistics, and its modules. p
// and set may be nil.
func AppendDetails(b []byte, pid uint32, p *activity.Process, sockets []activity.Socket, set *activity.ModuleSet, d Details) []byte {
	b = append(b, rule+"\n\n"...)
	b = appendWho(b, pid, true, p)
	if d == Everything && p != nil {
		b = appendServices(b, p.Unit)
	}
	sortSockets(sockets)
	b = appendTable(b, pid, sockets)
	if d == Everything {
		b = append(appendModules(b, p, set), '\n')
	}
	return b
}
