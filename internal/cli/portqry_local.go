package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/enrich"
	"github.com/portreporter/portreporter/internal/prlog"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/render"
)

// localFacts finds what is to be said of this system's processes.
type localFacts struct {
	resolver *enrich.Resolver
	known    map[activity.ProcessKey]processFacts
}

type processFacts struct {
	process *activity.Process
	modules *activity.ModuleSet
}

func newLocalFacts() *localFacts {
	return &localFacts{resolver: enrich.New(enrich.Config{HashLimit: -1}), known: map[activity.ProcessKey]processFacts{}}
}

// deep reads what a process is, and its modules where this user may.
func (l *localFacts) deep(ctx context.Context, p *activity.Process) (*activity.Process, *activity.ModuleSet) {
	if p == nil {
		return nil, nil
	}
	f, ok := l.known[p.Key]
	if !ok {
		f.process, f.modules, _ = l.resolver.Deep(ctx, p) // an error is a process that has gone, or is another's
		if f.process == nil {
			f.process = p
		}
		l.known[p.Key] = f
	}
	return f.process, f.modules
}

// showLocal prints every port of this system with its process, and every
// process with its ports.
func (q *portqry) showLocal(ctx context.Context) error {
	socks, err := q.localSockets()
	if err != nil {
		return err
	}
	b := prlog.AppendMappings([]byte("\n"), render.PortQryMappings, socks)
	b = append(b, render.PortQryByProcess...)
	facts := newLocalFacts()
	defer facts.resolver.Close()
	processes, err := q.localProcesses(socks)
	if err != nil {
		return err
	}
	for _, p := range processes {
		b = q.appendDetails(ctx, b, facts, p, ownedBy(socks, p.Key))
		q.print(b)
		b = b[:0]
		if err := ctx.Err(); err != nil {
			return nil
		}
	}
	q.print(b)
	return q.failed
}

func (q *portqry) appendDetails(ctx context.Context, b []byte, facts *localFacts, p *activity.Process, socks []activity.Socket) []byte {
	if !q.verbose {
		return prlog.AppendDetails(b, p.Key.PID, p, socks, nil, prlog.PortsOnly)
	}
	whole, modules := facts.deep(ctx, p)
	return prlog.AppendDetails(b, p.Key.PID, whole, socks, modules, prlog.Everything)
}

// localSockets are the kernel's.
func (q *portqry) localSockets() (socks []activity.Socket, err error) {
	found, err := kernelSockets(Config{ProcessArgs: "none"}, io.Discard)
	for _, s := range found {
		socks = append(socks, *s)
	}
	return socks, err
}

// localProcesses lists the owners of socks, and the other programs, by pid.
func (q *portqry) localProcesses(socks []activity.Socket) ([]*activity.Process, error) {
	all := map[uint32]*activity.Process{}
	fs := proc.FS{}
	pids, err := fs.PIDs()
	if err != nil && !errors.Is(err, proc.ErrUnsupported) {
		return nil, err
	}
	for _, pid := range pids {
		if p, err := fs.Read(pid); err == nil && !p.Kernel {
			all[pid] = p
		}
	}
	for i := range socks {
		if p := socks[i].Process; p != nil {
			all[p.Key.PID] = p
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *activity.Process) int { return cmp.Compare(a.Key.PID, b.Key.PID) }), nil
}

func ownedBy(socks []activity.Socket, k activity.ProcessKey) (own []activity.Socket) {
	for _, s := range socks {
		if s.Owner.PID == k.PID {
			own = append(own, s)
		}
	}
	return own
}

// wanted reports whether a socket is one that is watched.
func (q *portqry) wanted(s *activity.Socket) bool {
	if q.watchPort > 0 {
		return int(s.Local.Port()) == q.watchPort || int(s.Remote.Port()) == q.watchPort
	}
	return int(s.Owner.PID) == q.watchPID
}

// watch prints the watched sockets each time that one of them is another: at
// every event where a recorder runs, else as often as q.interval says. Esc and
// Ctrl+C end it.
func (q *portqry) watch(ctx context.Context) error {
	if !q.quiet {
		defer q.keys(&ctx)()
	}
	q.print(render.AppendPortQryWatch(nil, q.watchPort, q.watchPID, q.interval, q.verbose))
	facts := newLocalFacts()
	defer facts.resolver.Close()
	show := func(socks []activity.Socket) {
		b := render.AppendPortQryDate(nil, time.Now())
		for _, k := range owners(socks) {
			i := slices.IndexFunc(socks, func(s activity.Socket) bool { return s.Owner == k })
			p := socks[i].Process
			if p == nil {
				p = &activity.Process{Key: k}
			}
			b = q.appendDetails(ctx, b, facts, p, ownedBy(socks, k))
		}
		q.print(b)
	}
	c, err := control.Dial(ctx, portqryControl())
	if err == nil {
		err = q.watchEvents(ctx, c, show)
	}
	if err != nil && ctx.Err() == nil { // no recorder, none for this user, or it has ended
		err = q.watchTables(ctx, show)
	}
	if ctx.Err() != nil {
		err = nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errEscape) {
		q.print(render.AppendPortQryEscape(nil, q.watchPort, q.watchPID))
	}
	return errors.Join(err, q.failed)
}

// owners lists the processes of socks by pid.
func owners(socks []activity.Socket) (keys []activity.ProcessKey) {
	for _, s := range socks {
		if !slices.Contains(keys, s.Owner) {
			keys = append(keys, s.Owner)
		}
	}
	slices.SortFunc(keys, func(a, b activity.ProcessKey) int { return cmp.Compare(a.PID, b.PID) })
	return keys
}

// watchTables looks again and again.
func (q *portqry) watchTables(ctx context.Context, show func([]activity.Socket)) error {
	tick := time.NewTicker(q.interval)
	defer tick.Stop()
	var last []sighting
	for first := true; q.failed == nil; first = false {
		socks, err := q.localSockets()
		if err != nil {
			return err
		}
		socks = slices.DeleteFunc(socks, func(s activity.Socket) bool { return !q.wanted(&s) })
		now := sightings(socks)
		if first || !slices.Equal(now, last) {
			show(socks)
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// sighting is what a change of is a change.
type sighting struct {
	proto         activity.Proto
	state         activity.State
	local, remote string
	pid           uint32
}

func sightings(socks []activity.Socket) (all []sighting) {
	for i := range socks {
		s := &socks[i]
		all = append(all, sighting{s.Proto, s.State, s.Local.String(), s.Remote.String(), s.Owner.PID})
	}
	slices.SortFunc(all, func(a, b sighting) int {
		return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.proto, b.proto), cmp.Compare(a.local, b.local), cmp.Compare(a.remote, b.remote), cmp.Compare(a.state, b.state))
	})
	return all
}

// gathering is how long events are gathered before the table is printed again:
// a person reads no faster.
const gathering = 250 * time.Millisecond

// watchEvents follows the recorder, so that what opens and closes between two
// looks is told too: it is shown once as CLOSED.
func (q *portqry) watchEvents(ctx context.Context, c *control.Client, show func([]activity.Socket)) error {
	defer c.Close()
	follow, stop := context.WithCancel(ctx)
	defer stop()
	begun, events, ended := make(chan struct{}), make(chan *activity.Event, 1024), make(chan error, 1)
	go func() {
		defer close(events)
		ended <- follower(follow, c, func() { close(begun) }, events)
	}()
	select {
	case <-begun:
	case err := <-ended:
		return err
	}
	t, err := q.firstTable(ctx)
	if err != nil {
		return err
	}
	show(t.sockets())
	for q.failed == nil {
		changed, more := t.gather(ctx, q, events)
		if changed {
			show(t.sockets())
			t.closed = nil
		}
		if !more {
			return <-ended
		}
	}
	return nil
}

// errRecorderEnded is why a watch of events goes on as one of tables.
var errRecorderEnded = errors.New("the recorder has stopped")

// follower hands events on until the recorder or ctx ends.
func follower(ctx context.Context, c *control.Client, begun func(), events chan<- *activity.Event) error {
	for e, err := range c.FollowFrom(ctx, 0, begun) {
		if err != nil {
			return err
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errRecorderEnded
}

func (q *portqry) firstTable(ctx context.Context) (*watchTable, error) {
	c, err := control.Dial(ctx, portqryControl())
	if err != nil {
		return nil, err
	}
	socks, err := recorderSockets(ctx, c)
	t := &watchTable{byCookie: map[uint64]*activity.Socket{}}
	for _, s := range socks {
		if q.wanted(s) {
			t.byCookie[s.Cookie] = s
		}
	}
	return t, err
}

// watchTable is the watched part of the recorder's table, kept up by events.
type watchTable struct {
	byCookie map[uint64]*activity.Socket
	closed   []*activity.Socket
}

// gather waits for an event that changes the table, takes those that follow
// closely, and reports whether there may be more.
func (t *watchTable) gather(ctx context.Context, q *portqry, events <-chan *activity.Event) (changed, more bool) {
	var late <-chan time.Time
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return changed, false
			}
			if t.apply(q, e) && !changed {
				changed = true
				timer := time.NewTimer(gathering)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			return changed, true
		case <-ctx.Done():
			return changed, false
		}
	}
}

func (t *watchTable) apply(q *portqry, e *activity.Event) bool {
	if e.Kind.Ends() {
		s := t.byCookie[e.Socket]
		if s == nil || e.Kind == activity.KindFlowEnd {
			return false
		}
		delete(t.byCookie, e.Socket)
		s.State = activity.StateClosed
		t.closed = append(t.closed, s)
		return true
	}
	state := opensAs(e)
	if state == activity.StateNone {
		return false
	}
	s := &activity.Socket{Cookie: e.Socket, Proto: e.Proto, State: state, Local: e.Local, Remote: e.Remote, Owner: e.Owner, Process: e.Process, Since: e.Time}
	if !q.wanted(s) || t.byCookie[e.Socket] != nil {
		return false
	}
	t.byCookie[e.Socket] = s
	return true
}

// opensAs is the state of the socket that an event tells the opening of.
func opensAs(e *activity.Event) activity.State {
	switch e.Kind {
	case activity.KindListen:
		return activity.StateListen
	case activity.KindBind:
		return activity.StateBound
	case activity.KindConnect, activity.KindAccept:
		return activity.StateEstablished
	}
	return activity.StateNone
}

// portqryControl is where the recorder that a watch follows answers.
func portqryControl() string {
	return cmp.Or(os.Getenv("PORTREPORTER_CONTROL_PATH"), machinePaths().control)
}

func (t *watchTable) sockets() (socks []activity.Socket) {
	for _, s := range t.byCookie {
		socks = append(socks, *s)
	}
	for _, s := range t.closed {
		socks = append(socks, *s)
	}
	return socks
}

// errEscape is why a watch ends when Esc was pressed.
var errEscape = errors.New("escape key pressed")

// keys makes Esc, and Ctrl+C where the terminal no longer does, end ctx; the
// returned function gives the terminal back.
func (q *portqry) keys(ctx *context.Context) (restore func()) {
	f, ok := q.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return func() {}
	}
	ending, cancel := context.WithCancelCause(*ctx)
	*ctx = ending
	out := q.out
	q.out = crlf{out} // a raw terminal does not return the carriage by itself
	go func() {       // it ends with the program: a terminal's read cannot be called off
		var b [16]byte
		for {
			n, err := f.Read(b[:])
			switch {
			case err != nil:
				return
			case n == 1 && b[0] == 0x1b:
				cancel(errEscape)
				return
			case n > 0 && b[0] == 3:
				cancel(context.Canceled)
				return
			}
		}
	}()
	return func() {
		q.out = out
		_ = term.Restore(int(f.Fd()), before)
		cancel(nil)
	}
}

// crlf writes lines for a terminal in raw mode.
type crlf struct{ w io.Writer }

func (c crlf) Write(b []byte) (int, error) {
	var out []byte
	for _, x := range b {
		if x == '\n' {
			out = append(out, '\r')
		}
		out = append(out, x)
	}
	if _, err := c.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
