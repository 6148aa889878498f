package analyse

import (
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// program is what a process is, whatever its number: processes that are the
// same program for the same purpose are told together, and are compared across
// restarts and hosts.
type program struct {
	exe       string // path, or the short name where it is not known
	user      string // name, or number where that is all that is known
	unit      string
	container string
}

// programOf tells what p is; the zero program is unknown.
func programOf(p *activity.Process) program {
	if p == nil {
		return program{}
	}
	g := program{exe: p.Exe, user: p.User, unit: unitOf(p), container: containerOf(p)}
	if g.exe == "" {
		g.exe = p.Name
	}
	if g.user == "" && p.UID != activity.NoID {
		g.user = "#" + strconv.FormatUint(uint64(p.UID), 10)
	}
	return g
}

// unitOf names the unit without what differs each time: the number of a
// session's or a run's scope (session-3.scope, run-u812.service).
func unitOf(p *activity.Process) string {
	name := p.Unit.Name
	for _, transient := range [...]string{"session-", "run-"} {
		if strings.HasPrefix(name, transient) {
			return transient + "*" + name[max(strings.LastIndexByte(name, '.'), 0):]
		}
	}
	return name
}

// containerOf names a container by what outlives it: its pod's owner or its
// name, else its image, else its number.
func containerOf(p *activity.Process) string {
	c := &p.Container
	for _, s := range [...]string{c.Name, c.Image, c.Pod, c.ID} {
		if s != "" {
			return s
		}
	}
	return ""
}

// SameProgram reports whether two processes are the same program for the same
// purpose: of one executable, user, unit and container.
func SameProgram(a, b *activity.Process) bool { return programOf(a) == programOf(b) }
