package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
	"github.com/portreporter/portreporter/internal/interest"
	"github.com/portreporter/portreporter/internal/notify"
	"github.com/portreporter/portreporter/internal/recorder"
	"github.com/portreporter/portreporter/internal/render"
)

// watch looks for data of interest while recording, on a goroutine of its own:
// the recorder hands it events through a bounded queue and never waits for it.
// What it finds goes to the log in the record's directory, and from a severity
// on to those who are to be told.
type watch struct {
	r     *recording
	queue *recorder.Queue
	least activity.Severity
	told  repeats
	log   *notify.File
	opt   render.Options
	text  *render.Text
	out   []outlet

	asking sync.WaitGroup // look-ups under way

	// These belong to the goroutine.
	matcher *interest.Matcher
	names   *addrNames
	hosts   []string
	files   []string
	stamps  map[string]time.Time // when the files were changed last
	buf     []activity.Finding

	rules   atomic.Int64
	found   atomic.Uint64
	failure atomic.Pointer[string] // why the rules cannot be loaded; nil they can
}

// outlet is one way by which findings are told.
type outlet struct {
	name  string
	queue *notify.Queue
}

// The most events that wait to be looked at.
const interestQueue = 4096

// openInterest prepares the watch. Rules that cannot be loaded keep nothing from
// being recorded: that is logged, and those that were loaded before, or the
// program's own, are asked.
func (r *recording) openInterest() (err error) {
	w := &watch{r: r, queue: recorder.NewQueue(interestQueue), opt: render.Options{Host: r.host}, text: render.NewText(render.Options{})}
	if w.least, err = activity.ParseSeverity(r.cfg.InterestLeast); err != nil {
		return usagef("interest.least: %w", err)
	}
	if err := w.load(); err != nil {
		w.fails(err)
		if err := w.loadStarter(); err != nil {
			return err
		}
	}
	if err := w.openOutlets(); err != nil {
		return err
	}
	w.log, err = notify.OpenFile(filepath.Join(r.cfg.Dir, interestLog), interestLogMax, interestLogKeep)
	if err != nil {
		return fmt.Errorf("rules of interest: %w", err)
	}
	r.watch = w
	return nil
}

// load loads the rules, and takes note of when their files were changed.
func (w *watch) load() error {
	rules, err := loadRules(w.r.cfg, w.r.found.moduleSet, anybodyMayWrite)
	if err != nil {
		return err
	}
	for _, err := range rules.skipped {
		w.r.log.Debug("a Sigma rule cannot be asked", "err", err)
	}
	if n := len(rules.skipped); n > 0 {
		w.r.log.Warn("Sigma rules cannot be asked: see `portreporter interest check`", "rules", n)
	}
	w.take(rules)
	return nil
}

// loadStarter loads the rules that need no file.
func (w *watch) loadStarter() error {
	b := interest.NewBuilder(interest.Options{Filter: filter.Options{Modules: w.r.found.moduleSet}, Writable: anybodyMayWrite})
	if err := b.AddStarter(); err != nil {
		return err
	}
	set, err := b.Set()
	if err != nil {
		return err
	}
	path, _ := rulesPath(w.r.cfg)
	base, _ := baselinePath(w.r.cfg)
	w.take(&rules{set: set, names: newAddrNames(false), files: []string{path, base}})
	return nil
}

// take has the matcher ask other rules from now on. What the one before
// remembers of listeners is lost: rules change rarely.
func (w *watch) take(r *rules) {
	w.matcher, w.names, w.hosts, w.files = r.set.Matcher(), r.names, r.set.Hosts(), r.files
	w.stamps = changed(w.files)
	w.rules.Store(int64(len(r.set.Rules())))
}

// fails takes note of why the rules cannot be loaded, nil when they can.
func (w *watch) fails(err error) {
	w.r.check("rules of interest", err)
	if err == nil {
		w.failure.Store(nil)
		return
	}
	text := err.Error()
	w.failure.Store(&text)
}

// changed tells when files were changed last; those that are not there are left out.
func changed(files []string) map[string]time.Time {
	at := map[string]time.Time{}
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			at[f] = st.ModTime()
		}
	}
	return at
}

// openOutlets opens the ways that are configured.
func (w *watch) openOutlets() error {
	add := func(name string, sink notify.Sink, err error) error {
		if err != nil {
			return usagef("interest.%s: %w", name, err)
		}
		q := notify.NewQueue(sink, w.r.cfg.InterestPerMinute, func(err error) { w.r.check("interest: "+name, err) })
		w.out = append(w.out, outlet{name, q})
		return nil
	}
	cfg := w.r.cfg
	if cfg.InterestSyslog != "" {
		sink, err := notify.Sink(nil), error(nil)
		if cfg.InterestSyslog == "journald" {
			sink, err = notify.NewJournald()
		} else {
			sink, err = notify.NewSyslog(cfg.InterestSyslog, w.r.host)
		}
		if err := add("syslog", sink, err); err != nil {
			return err
		}
	}
	if cfg.InterestWebhook != "" {
		sink, err := notify.NewWebhook(cfg.InterestWebhook)
		if err := add("webhook", sink, err); err != nil {
			return err
		}
	}
	if cfg.InterestCommand != "" {
		argv, err := texts(cfg.InterestCommand)
		if err != nil {
			return usagef("interest.command: %w", err)
		}
		sink, err := notify.NewCommand(argv)
		if err := add("command", sink, err); err != nil {
			return err
		}
	}
	return nil
}

// run looks at events until ctx is done and none waits, then lets what is to be
// told go out.
func (w *watch) run(ctx context.Context) {
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, o := range w.out {
		wg.Go(func() { o.queue.Run(telling) })
	}
	w.lookUp(ctx)
	refresh := time.Now().Add(rulesEvery)
	w.queue.Run(ctx, func(e *activity.Event) {
		w.look(e)
		if now := time.Now(); now.After(refresh) {
			refresh = now.Add(rulesEvery)
			w.refresh(ctx)
		}
	}, func() {})
	stop()
	wg.Wait()
	w.asking.Wait()
	w.r.check("interest: log", w.log.Close())
}

// rulesEvery is how often it is looked whether the rules were changed, and the
// addresses of names that they have.
const rulesEvery = time.Minute

// refresh loads rules and baseline anew when one of their files was changed, came
// or went, and else looks the names up again.
func (w *watch) refresh(ctx context.Context) {
	now := changed(w.files)
	same := len(now) == len(w.stamps)
	for f, at := range now {
		same = same && at.Equal(w.stamps[f])
	}
	if same {
		w.lookUp(ctx)
		return
	}
	w.stamps = now
	err := w.load()
	w.fails(err)
	if err == nil {
		w.lookUp(ctx)
		w.r.log.Info("rules of interest loaded anew", "rules", w.rules.Load())
	}
}

// lookUp looks up the hosts that rules name, beside everything else: the DNS may
// take seconds.
func (w *watch) lookUp(ctx context.Context) {
	if names, hosts := w.names, w.hosts; len(hosts) > 0 {
		w.asking.Go(func() { names.lookUp(ctx, hosts) })
	}
}

// look asks the rules of one event.
func (w *watch) look(e *activity.Event) {
	w.buf = w.matcher.Event(e, w.buf[:0])
	fresh := w.buf[:0]
	now := time.Now()
	for _, f := range w.buf {
		if w.told.fresh(e, f.Rule, now) {
			fresh = append(fresh, f)
		}
	}
	if len(fresh) == 0 {
		return
	}
	w.found.Add(uint64(len(fresh)))
	line := render.AppendFindingsJSON(render.AppendJSON(nil, e, w.opt), fresh)
	w.r.check("interest: log", w.log.Append(line))
	if activity.Worst(fresh) < w.least || len(w.out) == 0 {
		return
	}
	a := w.alert(e, fresh, line)
	for _, o := range w.out {
		o.queue.Put(a)
	}
}

// alert puts a finding in words: the worst one of an event.
func (w *watch) alert(e *activity.Event, found []activity.Finding, line []byte) *notify.Alert {
	worst := &found[0]
	for i := range found {
		if found[i].Severity > worst.Severity {
			worst = &found[i]
		}
	}
	what := w.text.Append(nil, e)
	what = what[len("2006-01-02 15:04:05.000  ") : len(what)-1]
	a := &notify.Alert{Time: e.When(), Severity: worst.Severity, Rule: worst.Rule, JSON: line,
		Text: fmt.Sprintf("%s %s: %s: %s", worst.Severity, worst.Rule, render.Safe(worst.Reason), what)}
	field := func(name, value string) {
		if value != "" {
			a.Fields = append(a.Fields, notify.Field{Name: name, Value: render.Safe(value)})
		}
	}
	field("rule", worst.Rule)
	field("severity", worst.Severity.String())
	field("reason", worst.Reason)
	field("kind", e.Kind.String())
	field("proto", e.Proto.String())
	for _, end := range []struct {
		name string
		addr netip.AddrPort
	}{{"local", e.Local}, {"remote", e.Remote}} {
		if end.addr.IsValid() {
			field(end.name, end.addr.String())
		}
	}
	if p := e.Process; p != nil {
		field("pid", fmt.Sprint(p.Key.PID))
		field("process", p.Name)
		field("exe", p.Exe)
		field("user", p.User)
		field("unit", p.Unit.Name)
	}
	return a
}

// repeats keeps the same finding from being told again and again: of the same
// process, between the same addresses, on the same port of who was called.
type repeats struct {
	told map[repeat]time.Time
}

type repeat struct {
	rule          string
	process       activity.ProcessID
	local, remote netip.Addr
	port          uint16
}

// How long the same finding is not told again, and how many are remembered.
const (
	repeatAfter = 10 * time.Minute
	maxRepeats  = 8192
)

// fresh reports whether a finding is to be told, and remembers that it is.
func (t *repeats) fresh(e *activity.Event, rule string, now time.Time) bool {
	k := repeat{rule: rule, local: e.Local.Addr(), remote: e.Remote.Addr(), port: calledPort(e)}
	if e.Process != nil {
		k.process = e.Process.ID
	}
	if at, ok := t.told[k]; ok && now.Sub(at) < repeatAfter {
		return false
	}
	if t.told == nil {
		t.told = map[repeat]time.Time{}
	}
	if len(t.told) >= maxRepeats {
		for old, at := range t.told {
			if now.Sub(at) >= repeatAfter {
				delete(t.told, old)
			}
		}
	}
	if len(t.told) >= maxRepeats {
		clear(t.told) // more than anybody reads: some are told twice
	}
	t.told[k] = now
	return true
}

// calledPort is the port of the end that did not begin it: the smaller one, where
// a server has a port that the kernel chose, is as often the caller's. That of a
// UDP socket that the kernel chose says nothing: a client has another each time.
func calledPort(e *activity.Event) uint16 {
	if e.Flags&activity.FlagAutoBind != 0 && (e.Kind == activity.KindBind || e.Kind == activity.KindUnbind) {
		return 0
	}
	if e.Remote.Port() == 0 || e.Flags&activity.FlagInbound != 0 || e.Kind == activity.KindAccept || e.Kind == activity.KindKnock {
		return e.Local.Port()
	}
	return e.Remote.Port()
}

// interestStatus is what doctor tells of the watch.
type interestStatus struct {
	Rules   int64            `json:"rules"`
	Found   uint64           `json:"found"`             // findings, without repeats
	Missed  uint64           `json:"missed"`            // events that nobody looked at, for there were too many
	Error   string           `json:"error,omitempty"`   // why the rules as they are now cannot be loaded
	Outlets map[string]tally `json:"outlets,omitempty"` // by their setting
}

// tally counts what went through an outlet.
type tally struct {
	Sent    uint64 `json:"sent"`
	Dropped uint64 `json:"dropped"` // too many at once, or in a minute
	Failed  uint64 `json:"failed"`
}

// status may be called by any goroutine.
func (w *watch) status() *interestStatus {
	s := &interestStatus{Rules: w.rules.Load(), Found: w.found.Load(), Missed: w.queue.Dropped()}
	if e := w.failure.Load(); e != nil {
		s.Error = *e
	}
	for _, o := range w.out {
		var c tally
		c.Sent, c.Dropped, c.Failed = o.queue.Counts()
		if s.Outlets == nil {
			s.Outlets = map[string]tally{}
		}
		s.Outlets[o.name] = c
	}
	return s
}
