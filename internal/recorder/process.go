package recorder

import (
	"bytes"
	"context"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

// process is one process that has, or had, to do with a port.
type process struct {
	key     activity.ProcessKey
	facts   *activity.Process // nil: nothing is known but the key
	sockets *socket           // that it owns
	open    int
	exited  bool
	asked   bool      // Deep was asked, or is not to be
	seen    time.Time // when it last became known or exited
}

// How long a process is remembered after it has exited and its last socket is
// gone: late events still name it.
const keepExited = 10 * time.Second

// The most processes that are remembered; beyond it those without sockets go.
const maxProcesses = 32768

// processes is who is known, by key.
type processes struct {
	byKey map[activity.ProcessKey]*process
	young []activity.ProcessKey // became known, not yet asked about, oldest first
	now   time.Time             // of the last tick: precise enough here, and free
	swept time.Time
}

func newProcesses() processes {
	return processes{byKey: map[activity.ProcessKey]*process{}}
}

// announce takes what a source says of a process.
func (ps *processes) announce(p *activity.Process) *process {
	at := ps.byKey[p.Key]
	if at == nil {
		at = &process{key: p.Key}
		ps.byKey[p.Key] = at
	}
	at.facts, at.asked, at.exited, at.seen = p, false, false, ps.now
	if len(ps.young) < maxProcesses {
		ps.young = append(ps.young, p.Key)
	}
	return at
}

// exit marks a process as gone; it returns it if it still owns sockets.
func (ps *processes) exit(key activity.ProcessKey) *process {
	at := ps.byKey[key]
	if at == nil {
		return nil
	}
	at.exited, at.asked, at.seen = true, true, ps.now
	if at.sockets == nil {
		return nil
	}
	return at
}

// expire forgets who has exited some time ago and owns nothing.
func (ps *processes) expire(now time.Time) {
	ps.now = now
	full := len(ps.byKey) > maxProcesses
	if !full && now.Sub(ps.swept) < keepExited/2 {
		return
	}
	ps.swept = now
	for k, p := range ps.byKey {
		if p.open == 0 && (full && now.Sub(p.seen) > time.Second || p.exited && now.Sub(p.seen) > keepExited) {
			delete(ps.byKey, k)
		}
	}
}

// stub is what is known of a process whose record was lost.
func stub(key activity.ProcessKey, comm []byte, uid uint32) *activity.Process {
	name, _, _ := bytes.Cut(comm, []byte{0})
	return &activity.Process{ID: activity.MakeProcessID(nil, key, activity.NoID), Key: key, Name: string(name),
		UID: uid, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
}

// worker asks for the slow facts of processes that live on, one at a time.
type worker struct {
	resolver Resolver
	in       chan *activity.Process
	out      chan deepResult
	failed   uint64
}

type deepResult struct {
	of      *activity.Process
	facts   *activity.Process
	modules *activity.ModuleSet
	err     error
}

func newWorker(r Resolver) worker {
	return worker{resolver: r, in: make(chan *activity.Process, 64), out: make(chan deepResult, 64)}
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-w.in:
			res := deepResult{of: p}
			res.facts, res.modules, res.err = w.resolver.Deep(ctx, p)
			select {
			case w.out <- res:
			case <-ctx.Done():
				return
			}
		}
	}
}

// The age from which a process counts as living on. Most of a fork storm never
// gets there, and costs nothing more.
const livesOn = time.Second

// feed asks about those who live on. What does not fit waits for the next tick.
func (w *worker) feed(now time.Time, ps *processes) {
	for len(ps.young) > 0 {
		at := ps.byKey[ps.young[0]]
		if at != nil && !at.asked {
			if now.Sub(at.seen) < livesOn {
				return
			}
			select {
			case w.in <- at.facts:
				at.asked = true
			default:
				return
			}
		}
		ps.young = ps.young[1:]
	}
	ps.young = nil // give the array back
}

// collect takes the answers that are there. A process that meanwhile runs
// another program keeps what is known of that one.
func (r *Recorder) collect() {
	for {
		select {
		case res := <-r.deep.out:
			if res.err != nil || res.facts == nil {
				r.deep.failed++
				continue
			}
			if res.modules != nil {
				r.cfg.Journal.Modules(res.modules)
			}
			at := r.procs.byKey[res.of.Key]
			if at != nil && at.facts != nil && at.facts.ID == res.facts.ID && at.facts.Rev <= res.facts.Rev {
				at.facts = res.facts
			}
			r.cfg.Journal.Process(res.facts)
		default:
			return
		}
	}
}

// who finds the process of an observation's owner: as announced, else as it
// can still be read, else a stub of what the event itself says. It is nil only
// when there is no owner.
func (r *Recorder) who(o *activity.Observation) *process {
	key := o.Event.Owner
	if key.IsZero() {
		return nil
	}
	if at := r.procs.byKey[key]; at != nil {
		return at
	}
	return r.read(key, o.Comm[:], o.UID)
}

func (r *Recorder) read(key activity.ProcessKey, comm []byte, uid uint32) *process {
	if at := r.procs.byKey[key]; at != nil {
		return at
	}
	p := r.cfg.Resolver.Read(key)
	known := p != nil
	if !known {
		p = stub(key, comm, uid)
	}
	p.Key = key // to the nanosecond, where the source knows it so
	at := r.procs.announce(r.cfg.Resolver.Quick(p))
	at.asked = !known
	return at
}
