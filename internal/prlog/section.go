package prlog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// maxRows bounds a process's table in one section; the statistics count all.
const maxRows = 1000

// appendWho appends a process's number and name.
func appendWho(b []byte, pid uint32, known bool, p *activity.Process) []byte {
	b = append(b, lineProcess...)
	if known {
		b = strconv.AppendUint(b, uint64(pid), 10)
	}
	if name := imageName(p); name != "" {
		b = append(appendText(append(b, " ("...), name, false), ')')
	}
	return append(b, "\n\n"...)
}

// appendProcess appends the head of a process's details: who it is.
func appendProcess(b []byte, pid uint32, known bool, p *activity.Process) []byte {
	b = appendWho(b, pid, known, p)
	b = appendText(append(b, lineUser...), userName(p), false)
	b = append(b, "\n\n"...)
	if p == nil {
		return b
	}
	return appendServices(b, p.Unit)
}

// appendServices appends three lines for each service. A systemd scope or slice
// groups processes that no service started.
func appendServices(b []byte, u activity.Unit) []byte {
	if u.Name == "" || strings.HasSuffix(u.Name, ".scope") || strings.HasSuffix(u.Name, ".slice") {
		return append(b, lineNoSvc+"\n\n"...)
	}
	names, descriptions := strings.Split(u.Name, ","), []string{u.Description}
	if len(names) > 1 {
		descriptions = strings.Split(u.Description, ",")
	}
	for i, name := range names {
		b = appendText(append(b, lineService...), strings.TrimSpace(name), false)
		b = append(b, "\n"+lineDisplay...)
		if len(descriptions) == len(names) {
			b = appendText(b, strings.TrimSpace(descriptions[i]), false)
		}
		b = append(b, "\n"+lineType...)
		if len(names) > 1 {
			b = append(b, typeShared...)
		} else {
			b = append(b, typeOwn...)
		}
		b = append(b, "\n\n"...)
	}
	return b
}

// sortSockets orders mappings as PR-INITIAL does: by pid, TCP before UDP, then
// by address.
func sortSockets(socks []activity.Socket) {
	slices.SortFunc(socks, func(a, b activity.Socket) int {
		return cmp.Or(cmp.Compare(a.Owner.PID, b.Owner.PID), cmp.Compare(a.Proto, b.Proto),
			cmp.Compare(a.Local.Port(), b.Local.Port()), a.Local.Addr().Compare(b.Local.Addr()), a.Remote.Compare(b.Remote))
	})
}

// Columns are padded to the original's widths, and a tab parts them as well.
const tableHead = "\tPort     \tLocal IP       \tState       \tRemote IP:Port\n"

// appendRow appends a mapping from its Port column on.
func appendRow(b []byte, s *activity.Socket) []byte {
	start := len(b) + 1
	b = append(append(b, '\t'), strings.ToUpper(s.Proto.String())...)
	b = strconv.AppendUint(append(b, ' '), uint64(s.Local.Port()), 10)
	b = append(pad(b, start, 9), '\t')
	start = len(b)
	b = appendAddr(b, s.Local.Addr())
	b = append(pad(b, start, 15), '\t')
	start = len(b)
	if s.Proto == activity.TCP {
		b = append(b, stateName(s.State)...)
	}
	b = append(pad(b, start, 12), '\t')
	switch {
	case s.Remote.IsValid() && s.Remote.Port() != 0:
		b = s.Remote.AppendTo(b)
	case s.Proto == activity.UDP:
		b = append(b, "*:*"...)
	default:
		b = appendAddr(b, anyAddr(s.Local.Addr()))
	}
	return append(b, '\n')
}

// pad fills a column up. Longer content, such as an IPv6 address, moves what
// follows; the tab keeps the columns apart.
func pad(b []byte, start, width int) []byte {
	for len(b)-start < width {
		b = append(b, ' ')
	}
	return b
}

// appendTable appends one process's mappings, sorted, and their statistics.
func appendTable(b []byte, pid uint32, socks []activity.Socket) []byte {
	if len(socks) > 0 {
		b = append(append(b, "PID"...), tableHead...)
		for i := range socks[:min(len(socks), maxRows)] {
			b = appendRow(strconv.AppendUint(b, uint64(pid), 10), &socks[i])
		}
		if more := len(socks) - maxRows; more > 0 {
			b = append(strconv.AppendInt(b, int64(more), 10), lineMore+"\n"...)
		}
		b = append(b, '\n')
	}
	return appendStats(b, socks)
}

// appendStats appends the counts, and the share of each state among the TCP
// mappings. All mappings count, also those that maxRows leaves out of the table.
func appendStats(b []byte, socks []activity.Socket) []byte {
	var tcp, udp int
	var states [len(stateNames)]int
	for i := range socks {
		if socks[i].Proto == activity.UDP {
			udp++
			continue
		}
		tcp++
		if int(socks[i].State) < len(states) {
			states[socks[i].State]++
		}
	}
	b = fmt.Appendf(b, lineStats+"\n\n"+lineTCP+"%d\n"+lineUDP+"%d\n\n", tcp, udp)
	if tcp == 0 {
		return b
	}
	for _, s := range statOrder {
		if n := states[s]; n > 0 {
			b = fmt.Appendf(b, lineState+"%s state: \t%d = %.2f%%\n", stateName(s), n, 100*float64(n)/float64(tcp))
		}
	}
	return append(b, '\n')
}

// appendModules appends the module list, the program itself first and apart.
func appendModules(b []byte, p *activity.Process, set *activity.ModuleSet) []byte {
	if set == nil || len(set.Modules) == 0 {
		return append(b, lineNoMods+"\n"...)
	}
	b = append(b, lineModules+"\n"...)
	image := max(0, slices.IndexFunc(set.Modules, func(m activity.Module) bool { return p != nil && m.Path == p.Exe }))
	b = appendModule(b, &set.Modules[image])
	if len(set.Modules) > 1 {
		b = append(b, '\n')
	}
	for i := range set.Modules {
		if i != image {
			b = appendModule(b, &set.Modules[i])
		}
	}
	return b
}

// deletedMark is how the kernel marks a mapped file without a name in
// /proc/pid/maps.
const deletedMark = " (deleted)"

// appendModule pads an address to the eight digits that the original's had; those
// of 64-bit processes have more.
func appendModule(b []byte, m *activity.Module) []byte {
	b = appendText(b, m.Path, false)
	if m.Deleted && !strings.HasSuffix(m.Path, deletedMark) {
		b = append(b, deletedMark...)
	}
	return fmt.Appendf(b, " (0x%08X)\n", m.Base)
}
