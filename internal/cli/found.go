package cli

import (
	"sync"

	"github.com/portreporter/portreporter/internal/activity"
)

// The most module sets, and the most processes, that are kept in memory.
const maxFound = 1024

// found keeps what was found out about processes for the classic logs and for
// clients' questions: the journal writes such things and keeps none. The zero
// found is empty. It may be used by any goroutine.
type found struct {
	mu        sync.Mutex
	modules   map[activity.ModuleSetID]*activity.ModuleSet // guarded by mu
	processes map[activity.ProcessID]*activity.Process     // guarded by mu
}

// moduleSet returns a set by its number, nil when it is not known (any more).
func (f *found) moduleSet(id activity.ModuleSetID) *activity.ModuleSet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.modules[id]
}

// process returns what is known of p, if that is more than p.
func (f *found) process(p *activity.Process) *activity.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.processes[p.ID]; known != nil && known.Rev >= p.Rev {
		return known
	}
	return nil
}

// keep remembers p and its modules; either may be nil.
func (f *found) keep(p *activity.Process, set *activity.ModuleSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if set != nil {
		f.modules = room(f.modules)
		f.modules[set.ID] = set
	}
	if p != nil {
		f.processes = room(f.processes)
		f.processes[p.ID] = p
	}
}

// room returns m with room for one more: what was kept can be found again, so
// a full map starts over.
func room[K comparable, V any](m map[K]V) map[K]V {
	if m == nil || len(m) >= maxFound {
		return map[K]V{}
	}
	return m
}
