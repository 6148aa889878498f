package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/render"
)

// print writes the diagnosis for people or as one JSON object.
func (d *diagnosis) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(d.document())
	}
	p := &lines{}
	d.printRecorder(p)
	d.printCapture(p)
	d.printRecord(p)
	for _, n := range d.notes {
		p.line("note", "%s", n)
	}
	for _, text := range d.problems {
		p.line("ATTENTION", "%s", text)
	}
	return writeAll(w, p.b)
}

// lines are a name and a text each.
type lines struct{ b []byte }

func (p *lines) line(name, f string, args ...any) {
	p.b = fmt.Appendf(p.b, "%-10s %s\n", name, oneLine(fmt.Sprintf(f, args...)))
}

func (d *diagnosis) printRecorder(p *lines) {
	p.line("system", "%s", d.system)
	switch {
	case d.silent:
		p.line("recorder", "does not tell")
		return
	case d.pid == 0:
		p.line("recorder", "not running")
		return
	}
	p.line("recorder", "running, pid %d, version %s, since %s", d.pid, d.version, d.state.Started.Local().Format(time.DateTime))
	p.line("events", "%s", counted(d.state.Events))
	p.line("lost", "%s", counted(d.state.Lost))
	p.line("open", "%s", count(d.state.Sockets, "socket"))
	if i := d.counts.Interest; i != nil {
		p.line("interest", "%s, %s", count(uint64(i.Rules), "rule"), count(i.Found, "finding"))
	}
}

func (d *diagnosis) printCapture(p *lines) {
	p.line("capture", "%s, hook set %s, %s", d.source.Tier, d.source.Set, d.source.Detail)
	switch {
	case !d.rights.Known:
	case len(d.rights.Missing) == 0:
		p.line("rights", "all that are needed: %s", strings.Join(d.rights.Held, ", "))
	default:
		p.line("rights", "missing: %s", strings.Join(d.rights.Missing, ", "))
	}
	if n := len(d.source.Hooks); n > 0 {
		p.line("hooks", "%d of %d attached", d.attached(), n)
	}
	if words := kindWords(d.source.Missing); len(words) > 0 {
		p.line("not seen", "%s", strings.Join(words, ", "))
	}
}

func (d *diagnosis) attached() (n int) {
	for _, h := range d.source.Hooks {
		if h.Err == "" {
			n++
		}
	}
	return n
}

// The fewest events for which a size an event says something: a segment has
// parts that do not grow with it.
const tellingEvents = 10_000

func (d *diagnosis) printRecord(p *lines) {
	p.line("record", "%s", d.dir)
	s := d.record
	if s == nil {
		return
	}
	if s.Events == 0 {
		p.line("", "no events yet")
	} else {
		p.line("", "%s, %s, %s to %s", count(s.Events, "event"), render.Bytes(uint64(s.Bytes)), stamp(s.Oldest), stamp(s.Newest))
	}
	if s.BytesPerEvent > 0 && s.Events >= tellingEvents {
		p.line("", "%.1f bytes an event when sealed", s.BytesPerEvent)
	}
	if d.free > 0 {
		p.line("disk", "%s free", render.Bytes(d.free))
	}
	if d.fits != "" {
		p.line("retention", "%s", d.fits)
	} else {
		p.line("retention", "the record is too short to tell how long the disk will do")
	}
}

func kindWords(kinds []activity.Kind) (words []string) {
	for _, k := range kinds {
		words = append(words, k.String())
	}
	return words
}

func sortedKinds(n map[string]uint64) []string { return slices.Sorted(maps.Keys(n)) }

// kindName names a kind of lost events; the source does not know it of all.
func kindName(k string) string {
	if k == "" {
		return "unknown"
	}
	return k
}

func counted(n map[string]uint64) string {
	if len(n) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range sortedKinds(n) {
		parts = append(parts, fmt.Sprintf("%d %s", n[k], kindName(k)))
	}
	return strings.Join(parts, ", ")
}

// The JSON form of a diagnosis. Names are only ever added.
type diagnosisJSON struct {
	V         int           `json:"v"`
	System    string        `json:"system"`
	Recorder  *recorderJSON `json:"recorder"` // null: none runs
	Capture   captureJSON   `json:"capture"`
	Record    recordJSON    `json:"record"`
	Notes     []string      `json:"notes,omitempty"`
	Attention []string      `json:"attention,omitempty"`
}

type recorderJSON struct {
	PID            int               `json:"pid"`
	Version        string            `json:"version"`
	Started        time.Time         `json:"started"`
	Events         map[string]uint64 `json:"events"`
	Lost           map[string]uint64 `json:"lost"` // "" is of unknown kind
	Sockets        int               `json:"sockets"`
	Processes      int               `json:"processes"`
	Counters       map[string]uint64 `json:"counters,omitempty"` // the source's own
	JournalError   string            `json:"journal_error,omitempty"`
	JournalDropped map[string]uint64 `json:"journal_dropped,omitempty"`
	ClassicDropped uint64            `json:"classic_dropped"`
	Interest       *interestStatus   `json:"interest,omitempty"` // absent: interest.enabled is false
}

type captureJSON struct {
	Tier          string     `json:"tier"`
	Set           string     `json:"set"`
	Detail        string     `json:"detail"`
	Missing       []string   `json:"missing_kinds,omitempty"`
	Hooks         []hookJSON `json:"hooks,omitempty"`
	Hint          string     `json:"hint,omitempty"`
	Rights        []string   `json:"rights,omitempty"`
	MissingRights []string   `json:"missing_rights,omitempty"`
}

type hookJSON struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"` // why it is not attached
}

type recordJSON struct {
	Dir           string     `json:"dir"`
	Events        *uint64    `json:"events"` // null: there is none, or it cannot be read
	Bytes         int64      `json:"bytes,omitempty"`
	Segments      int        `json:"segments,omitempty"`
	Oldest        *time.Time `json:"oldest,omitempty"`
	Newest        *time.Time `json:"newest,omitempty"`
	BytesPerEvent float64    `json:"bytes_per_event,omitempty"`
	BytesPerDay   float64    `json:"bytes_per_day,omitempty"`
	Free          uint64     `json:"free,omitempty"`
	Fits          string     `json:"fits,omitempty"`
}

func (d *diagnosis) document() diagnosisJSON {
	j := diagnosisJSON{V: render.SchemaVersion, System: d.system, Notes: d.notes, Attention: d.problems,
		Capture: captureJSON{Tier: d.source.Tier.String(), Set: d.source.Set, Detail: d.source.Detail, Missing: kindWords(d.source.Missing),
			Hint: d.source.Hint, Rights: d.rights.Held, MissingRights: d.rights.Missing},
		Record: recordJSON{Dir: d.dir, Free: d.free, Fits: d.fits}}
	for _, h := range d.source.Hooks {
		j.Capture.Hooks = append(j.Capture.Hooks, hookJSON{h.Name, h.Err})
	}
	if st := d.state; st != nil {
		j.Recorder = &recorderJSON{PID: d.pid, Version: d.version, Started: st.Started, Events: st.Events, Lost: st.Lost, Sockets: st.Sockets,
			Processes: st.Processes, Counters: st.Counters, JournalError: d.counts.JournalError, JournalDropped: d.counts.JournalDropped,
			ClassicDropped: d.counts.ClassicDropped, Interest: d.counts.Interest}
	}
	if s := d.record; s != nil {
		j.Record.Events, j.Record.Bytes, j.Record.Segments = &s.Events, s.Bytes, s.Segments
		j.Record.BytesPerEvent, j.Record.BytesPerDay = s.BytesPerEvent, s.BytesPerDay
		j.Record.Oldest, j.Record.Newest = instant(s.Oldest), instant(s.Newest)
	}
	return j
}

// instant is a time for JSON; nil when there is none.
func instant(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}
