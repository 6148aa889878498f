package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/recorder"
	"github.com/portreporter/portreporter/internal/render"
)

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine lets the recorder see, and how the record does",
		Long: `Tell how capture works here (tier, hooks attached or why not, kinds that cannot
be seen), what a running recorder has recorded and lost, and how large the
record is and how long it will fit. The exit code is 1 when something needs
attention.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			d := examine(cmd.Context(), cfg)
			if err := d.print(cmd.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if len(d.Problems) > 0 {
				return fmt.Errorf("doctor: %d things need attention", len(d.Problems))
			}
			return nil
		},
	}
	addConfigFlags(cmd, "dir", "control.path", "capture.tier", "retention.days", "retention.bytes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// diagnosis is what doctor found.
type diagnosis struct {
	Running  bool
	PID      int              `json:",omitempty"`
	Recorder *recorder.Status `json:",omitempty"` // of a running one
	Journal  string           `json:",omitempty"` // why it cannot be written, "" it can
	Dropped  map[string]uint64
	Source   activity.SourceInfo // of the running recorder, else as it would be
	Dir      string
	Record   *journal.Stats `json:",omitempty"`
	Fits     string         `json:",omitempty"` // how long the record will fit
	Free     uint64         // bytes free where the record is
	Problems []string
}

func examine(ctx context.Context, cfg Config) *diagnosis {
	d := &diagnosis{Dir: cfg.Dir}
	if !d.ask(ctx, cfg) {
		d.try(cfg)
	}
	for _, h := range d.Source.Hooks {
		if h.Err != "" {
			d.problem("hook %s is not attached: %s", h.Name, h.Err)
		}
	}
	if d.Source.Hint != "" {
		d.problem("%s", d.Source.Hint)
	}
	d.measure(cfg)
	return d
}

func (d *diagnosis) problem(f string, args ...any) {
	d.Problems = append(d.Problems, oneLine(fmt.Sprintf(f, args...)))
}

// ask asks a running recorder; false: none answers.
func (d *diagnosis) ask(ctx context.Context, cfg Config) bool {
	c, err := control.Dial(ctx, cfg.ControlPath)
	if err != nil {
		if !errors.Is(err, control.ErrNotRunning) && !errors.Is(err, control.ErrUnsupported) {
			d.problem("%v", err)
		}
		return false
	}
	defer c.Close()
	var st struct {
		status
		State recorder.Status
	}
	if err := c.Status(ctx, &st); err != nil {
		d.problem("ask the recorder: %v", err)
		return false
	}
	d.Running, d.PID, d.Recorder, d.Source, d.Dir = true, st.PID, &st.State, st.State.Source, st.Dir
	d.Journal, d.Dropped = st.JournalError, st.JournalDropped
	if d.Journal != "" {
		d.problem("the record cannot be written: %s", d.Journal)
	}
	for k, n := range st.JournalDropped {
		d.problem("%d %s events could not be written", n, k)
	}
	for k, n := range st.State.Lost {
		d.problem("%d %s events were lost before they could be read: raise capture.ring_bytes", n, k)
	}
	if st.ClassicDropped > 0 {
		d.problem("%d entries of the classic logs were left out: they came too fast; the journal has them", st.ClassicDropped)
	}
	return true
}

// try opens the source for a moment to see what it can do.
func (d *diagnosis) try(cfg Config) {
	s, err := capture.Open(capture.Config{Tier: cfg.CaptureTier})
	if err != nil {
		d.problem("%v", err)
		return
	}
	d.Source = s.Info()
	if err := s.Close(); err != nil {
		d.problem("%v", err)
	}
}

func (d *diagnosis) measure(cfg Config) {
	st, err := journal.Stat(d.Dir)
	if err != nil {
		if !d.Running {
			return // nothing recorded yet, or not ours to read
		}
		d.problem("measure the record: %v", err)
	}
	d.Record = &st
	d.Free = freeBytes(d.Dir)
	if st.BytesPerDay <= 0 {
		return
	}
	room := float64(d.Free) + float64(st.Bytes)
	if cfg.RetentionBytes > 0 {
		room = min(room, float64(cfg.RetentionBytes))
	}
	days := room / st.BytesPerDay
	if cfg.RetentionDays > 0 && days > float64(cfg.RetentionDays) {
		d.Fits = fmt.Sprintf("%d days, as configured", cfg.RetentionDays)
		return
	}
	d.Fits = fmt.Sprintf("%.1f days at the present rate", days)
	if cfg.RetentionDays > 0 {
		d.problem("the record will hold %.1f days, not the %d configured: raise retention.bytes or free disk space", days, cfg.RetentionDays)
	}
}

func (d *diagnosis) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	var b []byte
	line := func(name, f string, args ...any) {
		b = fmt.Appendf(b, "%-10s %s\n", name, oneLine(fmt.Sprintf(f, args...)))
	}
	if d.Running {
		line("recorder", "running, pid %d, since %s", d.PID, d.Recorder.Started.Local().Format(time.DateTime))
		line("events", "%s", counted(d.Recorder.Events))
		line("lost", "%s", counted(d.Recorder.Lost))
		line("open", "%d sockets", d.Recorder.Sockets)
	} else {
		line("recorder", "not running")
	}
	line("capture", "%s, hook set %s, %s", d.Source.Tier, d.Source.Set, d.Source.Detail)
	attached := 0
	for _, h := range d.Source.Hooks {
		if h.Err == "" {
			attached++
		}
	}
	line("hooks", "%d of %d attached", attached, len(d.Source.Hooks))
	if len(d.Source.Missing) > 0 {
		var words []string
		for _, k := range d.Source.Missing {
			words = append(words, k.String())
		}
		line("not seen", "%s", strings.Join(words, ", "))
	}
	line("record", "%s", d.Dir)
	if s := d.Record; s != nil && s.Events > 0 {
		line("", "%d events, %s, %s to %s", s.Events, render.Bytes(uint64(s.Bytes)), stamp(s.Oldest), stamp(s.Newest))
		if s.BytesPerEvent > 0 {
			line("", "%.1f bytes an event when sealed", s.BytesPerEvent)
		}
	}
	if d.Fits != "" {
		line("retention", "%s", d.Fits)
	}
	for _, p := range d.Problems {
		line("ATTENTION", "%s", p)
	}
	return writeAll(w, b)
}

func counted(n map[string]uint64) string {
	if len(n) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		name := k
		if name == "" {
			name = "of unknown kind"
		}
		parts = append(parts, fmt.Sprintf("%d %s", n[k], name))
	}
	return strings.Join(parts, ", ")
}
