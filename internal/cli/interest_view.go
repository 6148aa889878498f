package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/interest"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/notify"
)

// severityFlag is --interest: whether only what is of interest is wanted, and
// from which severity on.
type severityFlag struct{ least activity.Severity }

func (f *severityFlag) Type() string    { return "severity" }
func (f *severityFlag) words() []string { return activity.Severities() }

func (f *severityFlag) String() string {
	if f.least == activity.SeverityNone {
		return ""
	}
	return f.least.String()
}

func (f *severityFlag) Set(s string) (err error) {
	if f.least, err = activity.ParseSeverity(s); err != nil {
		return unknownWord(s, f.words())
	}
	return nil
}

func (f *severityFlag) on() bool { return f.least != activity.SeverityNone }

// addInterestFlag gives cmd --interest, and the settings of the rules.
func addInterestFlag(cmd *cobra.Command, f *severityFlag, what string) {
	flag := cmd.Flags().VarPF(f, "interest", "", "only "+what+" that are of interest, with why; or only from a severity on: --interest=`SEVERITY`")
	flag.NoOptDefVal = activity.SeverityInfo.String()
	_ = cmd.RegisterFlagCompletionFunc("interest", cobra.FixedCompletions(f.words(), cobra.ShellCompDirectiveNoFileComp))
}

// interestKeys are the settings that say what is of interest.
func interestKeys() []string {
	return []string{"interest.rules", "interest.baseline", "interest.resolve"}
}

// findings says what is of interest of one event after another.
type findings struct {
	matcher *interest.Matcher
	least   activity.Severity
	logged  *logged
	history *history // nil: of listeners only what was asked about is known
	buf     []activity.Finding
}

// of returns the findings of e from the least severity on, the worst first. They
// are valid until the next call.
func (f *findings) of(e *activity.Event) []activity.Finding {
	f.buf = f.buf[:0]
	if f.history.knows(e) {
		f.buf = append(f.buf, f.history.of(e)...)
	} else {
		f.buf = f.matcher.Event(e, f.buf)
	}
	f.buf = f.logged.add(e, f.buf)
	return f.severe()
}

// history asks the rules of every listener that a port had, in their order:
// whether one opens further than the one before it does not depend on which
// of them somebody asks for. Ports are read when one of their listeners comes.
type history struct {
	journal *journal.Reader
	set     *interest.Set
	ports   map[uint16]map[eventKey][]activity.Finding
}

// The most ports whose listeners are read, each in a few milliseconds. A record
// with more of them, of a test machine, is judged as it comes.
const maxHistories = 128

// knows reports whether e is a listener to ask of: one that this host alone can
// reach is not wider than any. A nil history knows nothing.
func (h *history) knows(e *activity.Event) bool {
	if h == nil || e.Kind != activity.KindListen || e.Local.Addr().IsLoopback() {
		return false
	}
	_, known := h.ports[e.Local.Port()]
	return known || len(h.ports) < maxHistories
}

// of gives what the rules say of a listener that opens.
func (h *history) of(e *activity.Event) []activity.Finding {
	port := e.Local.Port()
	known, ok := h.ports[port]
	if !ok {
		known = h.read(port)
		h.ports[port] = known
	}
	return known[eventKey{e.Time, e.Seq}]
}

// read asks the rules of all listeners that a port ever had.
func (h *history) read(port uint16) map[eventKey][]activity.Finding {
	kinds := filter.KindSet(1<<activity.KindListen | 1<<activity.KindUnlisten | 1<<activity.KindSnapshot)
	q := journal.Query{Hints: filter.Hints{Ports: []filter.PortRange{{Lo: port, Hi: port}}, Kinds: kinds},
		Match: func(e *activity.Event) bool { return e.Local.Port() == port }}
	found, m := map[eventKey][]activity.Finding{}, h.set.Matcher()
	var buf []activity.Finding
	for e, err := range h.journal.Events(context.Background(), q) {
		if err != nil {
			continue // who asked for the events is told
		}
		if buf = m.Event(e, buf[:0]); len(buf) > 0 && e.Kind == activity.KindListen {
			found[eventKey{e.Time, e.Seq}] = slices.Clone(buf)
		}
	}
	return found
}

// newest shows the newest n events of interest. What a rule finds may depend on
// the events before, so all are asked.
func (f *findings) newest(events iter.Seq2[*activity.Event, error], n int, show func(*activity.Event, []activity.Finding) error) error {
	type kept struct {
		e     *activity.Event
		found []activity.Finding
	}
	var ring []kept
	next := 0 // the oldest, once the ring is full
	for e, err := range events {
		if err != nil {
			return err
		}
		found := f.of(e)
		switch k := (kept{e, slices.Clone(found)}); {
		case len(found) == 0 || n == 0:
		case len(ring) < n:
			ring = append(ring, k)
		default:
			ring[next] = k
			next = (next + 1) % n
		}
	}
	for i := range ring {
		k := ring[(next+i)%len(ring)]
		if err := show(k.e, k.found); err != nil {
			return err
		}
	}
	return nil
}

// ofSocket is of for a socket.
func (f *findings) ofSocket(s *activity.Socket) []activity.Finding {
	f.buf = f.matcher.Socket(s, f.buf[:0])
	return f.severe()
}

// severe keeps what is severe enough, the worst first.
func (f *findings) severe() []activity.Finding {
	f.buf = slices.DeleteFunc(f.buf, func(x activity.Finding) bool { return x.Severity < f.least })
	slices.SortStableFunc(f.buf, func(a, b activity.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return f.buf
}

// interestOf gives what the rules say of a socket that is open, or was at a past
// moment. Rules that cannot be loaded are an error where somebody asked for
// them, and else a word on stderr: list has more to tell.
func interestOf(ctx context.Context, cfg Config, past bool, least activity.Severity, stderr io.Writer) (func(*activity.Socket) []activity.Finding, error) {
	modules, writable := recorderModules(ctx, cfg), anybodyMayWrite
	if past {
		modules, writable = recordModules(cfg.Dir), readLogged("list", cfg.Dir, stderr).wasWritable
	}
	r, err := loadRules(cfg, modules, writable)
	switch {
	case err != nil && least == activity.SeverityNone:
		fmt.Fprintf(stderr, "portreporter: list: %s\n", oneLine(err.Error()))
		return func(*activity.Socket) []activity.Finding { return nil }, nil
	case err != nil:
		return nil, err
	}
	r.lookUp(ctx)
	f := &findings{matcher: r.set.Matcher(), least: least}
	return f.ofSocket, nil
}

// newFindings loads the rules to ask them of the record in cfg.Dir, together
// with what the recorder found there when it happened.
func newFindings(ctx context.Context, command string, cfg Config, least activity.Severity, stderr io.Writer) (*findings, *rules, error) {
	f := &findings{least: least, logged: readLogged(command, cfg.Dir, stderr)}
	r, err := loadRules(cfg, recordModules(cfg.Dir), f.logged.wasWritable)
	if err != nil {
		return nil, nil, err
	}
	if n := len(r.skipped); n > 0 {
		fmt.Fprintf(stderr, "portreporter: %s: %s cannot be asked here: see `portreporter interest check`\n", command, count(n, "Sigma rule"))
	}
	r.lookUp(ctx)
	f.matcher = r.set.Matcher()
	return f, r, nil
}

// over has the findings know the past of listeners in the record, where x leaves
// out any of it; nil leaves out nothing.
func (f *findings) over(r *journal.Reader, set *interest.Set, x *filter.Expr) {
	if x == nil {
		return
	}
	f.history = &history{journal: r, set: set, ports: map[uint16]map[eventKey][]activity.Finding{}}
}

// The file in the record's directory where the recorder writes what it finds,
// its size in bytes, and how many older ones are kept.
const (
	interestLog     = "interest.jsonl"
	interestLogMax  = 8 << 20
	interestLogKeep = 3
)

// logged is what the recorder found when it happened, and what could not be
// derived from the record alone: that an executable could be written by others,
// that a listener was wider than the one before it, what an address was called.
type logged struct {
	events   map[eventKey][]activity.Finding
	writable map[imageKey]bool
}

// eventKey names an event in a record of several runs of the recorder.
type eventKey struct {
	time int64
	seq  uint64
}

// imageKey names a program image by what JSON tells of it.
type imageKey struct {
	pid   uint32
	start int64
	exe   string
}

// loggedLine is what is read of a line of the log.
type loggedLine struct {
	Time    time.Time
	Seq     uint64
	Process *struct {
		PID   uint32
		Start *time.Time
		Exe   *string
	}
	Interest []struct{ Rule, Severity, Reason string }
}

// readLogged reads the log. A line that is none, such as the torn end that a
// crash leaves, is passed over.
func readLogged(command, dir string, stderr io.Writer) *logged {
	l := &logged{events: map[eventKey][]activity.Finding{}, writable: map[imageKey]bool{}}
	for line, err := range notify.Lines(filepath.Join(dir, interestLog), interestLogKeep) {
		if err != nil {
			fmt.Fprintf(stderr, "portreporter: %s: what the recorder found is not all read: %s\n", command, oneLine(err.Error()))
			break
		}
		var x loggedLine
		if json.Unmarshal(line, &x) == nil {
			l.take(&x)
		}
	}
	return l
}

// take takes over one line's findings.
func (l *logged) take(x *loggedLine) {
	key := eventKey{x.Time.UnixNano(), x.Seq}
	for _, f := range x.Interest {
		s, err := activity.ParseSeverity(f.Severity)
		if err != nil {
			continue
		}
		if f.Rule == writableRule && x.Process != nil && x.Process.Exe != nil && x.Process.Start != nil {
			l.writable[imageKey{x.Process.PID, x.Process.Start.UnixNano(), *x.Process.Exe}] = true
		}
		l.events[key] = append(l.events[key], activity.Finding{Rule: f.Rule, Severity: s, Reason: f.Reason})
	}
}

// writableRule is the starter rule whose findings hold for a whole process.
const writableRule = "starter.world-writable"

// wasWritable is interest.Options.Writable for the past.
func (l *logged) wasWritable(p *activity.Process) bool {
	return p != nil && l.writable[imageKey{p.Key.PID, p.Start, p.Exe}]
}

// add adds what was found then to what the rules of now find.
func (l *logged) add(e *activity.Event, found []activity.Finding) []activity.Finding {
	for _, f := range l.events[eventKey{e.Time, e.Seq}] {
		if !slices.ContainsFunc(found, func(x activity.Finding) bool { return x.Rule == f.Rule }) {
			found = append(found, f)
		}
	}
	return found
}

// recordModules resolves the module sets of a record.
func recordModules(dir string) func(activity.ModuleSetID) *activity.ModuleSet {
	r, err := journal.OpenReader(dir)
	if err != nil {
		return nil // the command itself says so
	}
	return remembered(func(id activity.ModuleSetID) *activity.ModuleSet {
		set, _ := r.Modules(id) // what cannot be read is not known
		return set
	})
}

// recorderModules resolves those that a running recorder knows. It is asked when
// there is something to ask.
func recorderModules(ctx context.Context, cfg Config) func(activity.ModuleSetID) *activity.ModuleSet {
	dial := sync.OnceValues(func() (*control.Client, error) { return control.Dial(ctx, cfg.ControlPath) })
	return remembered(func(id activity.ModuleSetID) *activity.ModuleSet {
		c, err := dial()
		if err != nil {
			return nil
		}
		set, _ := c.Modules(ctx, id)
		return set
	})
}

// remembered asks for each module set once, as long as they are not too many.
func remembered(ask func(activity.ModuleSetID) *activity.ModuleSet) func(activity.ModuleSetID) *activity.ModuleSet {
	known := map[activity.ModuleSetID]*activity.ModuleSet{}
	return func(id activity.ModuleSetID) *activity.ModuleSet {
		set, ok := known[id]
		if !ok {
			set = ask(id)
			known = room(known)
			known[id] = set
		}
		return set
	}
}
