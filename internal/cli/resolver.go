package cli

import (
	"context"
	"iter"
	"os"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/proc"
)

// resolver joins what enrich and proc know into what the recorder asks for.
type resolver struct {
	r  *recording
	fs proc.FS
}

func (v resolver) Quick(p *activity.Process) *activity.Process { return v.r.resolver.Quick(p) }

func (v resolver) Read(key activity.ProcessKey) *activity.Process {
	p, err := v.fs.Read(key.PID)
	if err != nil || key.Start != 0 && !proc.SameStart(key.Start, p.Key.Start) {
		return nil
	}
	p.Key = key
	p.ID = activity.MakeProcessID([]byte(v.r.boot), key, 0)
	return p
}

func (v resolver) Deep(ctx context.Context, p *activity.Process) (*activity.Process, *activity.ModuleSet, error) {
	full, set, err := v.r.resolver.Deep(ctx, p)
	v.r.found.keep(full, set)
	return full, set, err
}

// answers gives the control socket's clients what they ask for.
type answers struct{ r *recording }

func (a answers) Sockets() iter.Seq2[*activity.Socket, error] {
	return a.r.rec.Sockets(context.Background())
}

func (a answers) Modules(id activity.ModuleSetID) *activity.ModuleSet { return a.r.found.moduleSet(id) }

// The most events that a follower gets from before it asked: they are in memory
// for as long as it takes to send them.
const maxRecentEvents = 10_000

// Recent reads the newest events from the record, which has every event that
// was published.
func (a answers) Recent(n int) ([]activity.Event, error) {
	r, err := journal.OpenReader(a.r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	tail, err := r.Tail(context.Background(), journal.Query{}, min(n, maxRecentEvents))
	if len(tail) == 0 && err != nil {
		return nil, err
	}
	events := make([]activity.Event, len(tail))
	for i, e := range tail {
		events[i] = *e
	}
	return events, nil // with holes perhaps, which `portreporter events` names
}

// status is what doctor asks a running recorder for.
type status struct {
	PID     int
	UID     int // whose recorder it is; -1 where users have no number
	Version string
	Dir     string
	State   any // recorder.Status

	JournalError   string            // why the record cannot be written, "" it can
	JournalDropped map[string]uint64 // events that could not be written, by kind
	ClassicDropped uint64
	Interest       *interestStatus `json:",omitempty"` // nil: interest.enabled is false
}

func (a answers) Status() (any, error) {
	st, err := a.r.rec.Status(context.Background())
	if err != nil {
		return nil, err
	}
	s := status{PID: os.Getpid(), UID: os.Getuid(), Version: buildVersion(), Dir: a.r.cfg.Dir, State: st, JournalDropped: map[string]uint64{}}
	if err := a.r.journal.Err(); err != nil {
		s.JournalError = err.Error()
	}
	for k, n := range a.r.journal.Dropped() {
		if n > 0 {
			s.JournalDropped[activity.Kind(k).String()] = n
		}
	}
	if a.r.classicQ != nil {
		s.ClassicDropped = a.r.classicQ.Dropped()
	}
	if a.r.watch != nil {
		s.Interest = a.r.watch.status()
	}
	return s, nil
}
