package prlog

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// leftOver is the error of sections that no line of PR-PORTS belongs to.
type leftOver uint64

func (n leftOver) Error() string {
	return fmt.Sprintf("%d sections at the end have no line in PR-PORTS", uint64(n))
}

// The most processes, and sections with modules, that are remembered.
const (
	maxOwners = 1 << 16
	maxNoted  = 1 << 16
)

// owners makes processes of what the logs of one set say of them, one for each
// pid, program and user. The logs do not tell when a process began: two of one
// program under one pid are one.
type owners struct {
	origin  string
	modules func(*activity.ModuleSet)
	all     map[ownerKey]*owner
	noted   map[uint64]noted              // by the number of the section that lists them
	given   map[activity.ModuleSetID]bool // to modules
}

// noted is a section's module list.
type noted struct {
	id    activity.ModuleSetID
	image string // path of the first
}

type ownerKey struct {
	pid  uint32
	name string // in lower case, as Windows compares them
}

type owner struct {
	process    *activity.Process
	generation uint32 // counts the users that the pid and name had
}

// find returns the process as far as it is known now. What a section adds makes
// a new revision of it, which stands for the earlier ones too.
func (o *owners) find(pid uint32, name, user string, s *Section) *activity.Process {
	if s != nil {
		name, user = orElse(name, s.Name), orElse(user, s.User)
	}
	k := ownerKey{pid, strings.ToLower(name)}
	at := o.all[k]
	if at == nil {
		if o.all == nil || len(o.all) >= maxOwners {
			o.all = make(map[ownerKey]*owner)
		}
		at = &owner{}
		o.all[k] = at
	}
	if p := at.process; p == nil || p.User != "" && user != "" && p.User != user {
		at.generation++
		at.process = o.begin(k, name, at.generation)
	}
	at.process = o.learn(at.process, user, s)
	return at.process
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (o *owners) begin(k ownerKey, name string, generation uint32) *activity.Process {
	key := activity.ProcessKey{PID: k.pid}
	return &activity.Process{ID: activity.MakeProcessID([]byte(o.origin+"\x00"+k.name), key, generation), Key: key, Name: name,
		UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
}

// learn adds to p what is new, in a copy.
func (o *owners) learn(p *activity.Process, user string, s *Section) *activity.Process {
	q := *p
	q.User = orElse(user, p.User)
	if s != nil {
		if len(s.Services) > 0 {
			q.Unit = unitOf(s.Services)
		}
		if id := o.modulesOf(s); id != 0 {
			q.Modules = id
		}
		if exe := o.imagePath(s); exe != "" {
			q.Exe = exe
		}
	}
	if q.User == p.User && q.Unit == p.Unit && q.Modules == p.Modules && q.Exe == p.Exe {
		return p
	}
	q.Rev++
	return &q
}

// unitOf names the services of a process, in the form that appendServices
// writes back.
func unitOf(services []Service) (u activity.Unit) {
	names, display := make([]string, len(services)), make([]string, len(services))
	for i, s := range services {
		names[i], display[i] = s.Name, s.Display
	}
	return activity.Unit{Name: strings.Join(names, ", "), Description: strings.Join(display, ", ")}
}

// imagePath is the path of the process's program: the first module, if it bears
// the program's name.
func (o *owners) imagePath(s *Section) string {
	path := o.noted[s.ModulesAt].image
	if len(s.Modules) > 0 {
		path = s.Modules[0].Path
	}
	if base := path[strings.LastIndexAny(path, `\/`)+1:]; base == "" || !strings.EqualFold(base, s.Name) {
		return ""
	}
	return path
}

// note keeps the modules that a section lists, for those that refer to it.
func (o *owners) note(s *Section) {
	if len(s.Modules) == 0 {
		return
	}
	if o.noted == nil || len(o.noted) >= maxNoted {
		o.noted = make(map[uint64]noted)
	}
	o.noted[s.Number] = noted{o.give(s.Modules), s.Modules[0].Path}
}

// modulesOf returns a section's module set, 0 when it is not known.
func (o *owners) modulesOf(s *Section) activity.ModuleSetID {
	switch {
	case s.ModulesAt != 0:
		return o.noted[s.ModulesAt].id
	case len(s.Modules) == 0:
		return 0
	case s.Number != 0 && o.noted[s.Number].id != 0:
		return o.noted[s.Number].id
	}
	return o.give(s.Modules)
}

// give hands a module set on, once, and returns its number, which follows from
// its content. In a log the program comes first, wherever it is mapped.
func (o *owners) give(modules []activity.Module) activity.ModuleSetID {
	set := &activity.ModuleSet{Modules: slices.SortedStableFunc(slices.Values(modules), func(a, b activity.Module) int { return cmp.Compare(a.Base, b.Base) })}
	sum := sha256.Sum256(activity.AppendModuleSet(nil, set))
	set.ID = activity.ModuleSetID(max(binary.LittleEndian.Uint64(sum[:]), 1))
	if o.given[set.ID] {
		return set.ID
	}
	if o.given == nil || len(o.given) >= maxNoted {
		o.given = make(map[activity.ModuleSetID]bool)
	}
	o.given[set.ID] = true
	if o.modules != nil {
		o.modules(set)
	}
	return set.ID
}
