package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/capture"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/recorder"
)

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine lets the recorder see, and how the record does",
		Long: `Tell how capture works here (tier, privileges, hooks attached or why not, kinds
that cannot be seen), what a running recorder has recorded and lost, and how
large the record is and how long it will fit.

Where no recorder runs, capture is tried for a moment, as this user could have
it. The exit code is 1 when something needs attention.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReaderConfig(cmd)
			if err != nil {
				return err
			}
			d := examine(cmd.Context(), cfg)
			if err := d.print(cmd.OutOrStdout(), asJSON); err != nil {
				return err
			}
			switch n := len(d.problems); {
			case n == 1:
				return errors.New("doctor: one thing needs attention")
			case n > 1:
				return fmt.Errorf("doctor: %d things need attention", n)
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
	system   string // operating system and kernel
	pid      int    // of the running recorder; 0 none runs
	silent   bool   // there is one, and it does not tell
	version  string // of that
	state    *recorder.Status
	counts   status              // what that recorder could not write
	source   activity.SourceInfo // of the running recorder, else as this user could have it
	rights   rights              // of the same
	dir      string
	record   *journal.Stats // nil: none there, or not to be read
	free     uint64         // bytes free where the record is; 0 unknown
	fits     string         // how long the record will fit; "" unknown
	problems []string       // what needs attention
	notes    []string       // what is worth knowing
}

// rights are the privileges of a process that capture needs.
type rights struct {
	Known   bool
	Held    []string // in the order of neededRights
	Missing []string
}

func examine(ctx context.Context, cfg Config) *diagnosis {
	d := &diagnosis{dir: cfg.Dir, system: osName() + kernelRelease()}
	if !d.ask(ctx, cfg) {
		d.try(cfg)
	}
	for _, h := range d.source.Hooks {
		if h.Err != "" {
			d.note("hook %s is not attached: %s", h.Name, h.Err)
		}
	}
	switch {
	case d.source.Hint == "":
	case !isAdmin() && (d.pid == 0 || d.counts.UID == os.Getuid()):
		d.note("as this user: %s", d.source.Hint) // nothing is wrong with it: users see their own
	default:
		d.problem("%s", d.source.Hint)
	}
	d.measure(cfg)
	return d
}

func (d *diagnosis) problem(f string, args ...any) {
	d.problems = append(d.problems, oneLine(fmt.Sprintf(f, args...)))
}

func (d *diagnosis) note(f string, args ...any) {
	d.notes = append(d.notes, oneLine(fmt.Sprintf(f, args...)))
}

// ask asks a running recorder; false: none answers.
func (d *diagnosis) ask(ctx context.Context, cfg Config) bool {
	c, err := control.Dial(ctx, cfg.ControlPath)
	if err != nil {
		if !errors.Is(err, control.ErrNotRunning) && !errors.Is(err, control.ErrUnsupported) {
			d.silent = true
			d.problem("%v", err)
		} else if hint := hintMachine(cfg, machinePaths()); hint != "" {
			d.note("this user has no recorder%s", hint)
		}
		return false
	}
	defer c.Close()
	var st struct {
		status
		State recorder.Status
	}
	if err := c.Status(ctx, &st); err != nil {
		d.silent = true
		d.problem("ask the recorder: %v", err)
		return false
	}
	d.pid, d.version, d.state, d.source, d.dir, d.counts = st.PID, st.Version, &st.State, st.State.Source, st.Dir, st.status
	d.rights = rightsOf(st.PID)
	d.losses()
	return true
}

// losses tells what a running recorder lost, and where.
func (d *diagnosis) losses() {
	if d.counts.JournalError != "" {
		d.problem("the record cannot be written: %s", d.counts.JournalError)
	}
	for _, k := range sortedKinds(d.counts.JournalDropped) {
		d.problem("%d %s events could not be written", d.counts.JournalDropped[k], kindName(k))
	}
	for _, k := range sortedKinds(d.state.Lost) {
		d.problem("%d %s events were lost before they could be read: raise capture.ring_bytes", d.state.Lost[k], kindName(k))
	}
	if n := d.counts.ClassicDropped; n > 0 {
		d.problem("%d entries of the classic logs were left out: they came too fast; the journal has them", n)
	}
	d.unwatched()
}

// unwatched tells what the rules of interest were not asked of, and who was not
// told what they found.
func (d *diagnosis) unwatched() {
	i := d.counts.Interest
	if i == nil {
		return
	}
	if i.Error != "" {
		d.problem("%s", i.Error)
	}
	if i.Missed > 0 {
		d.problem("%s not looked at for data of interest: they came too fast; `portreporter events --interest` does", count(i.Missed, "event"))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Outlets)) {
		if o := i.Outlets[name]; o.Failed > 0 {
			d.problem("%s could not be sent by interest.%s: the recorder's log says why", count(o.Failed, "finding"), name)
		} else if o.Dropped > 0 {
			d.note("%s not sent by interest.%s: more than interest.per_minute", count(o.Dropped, "finding"), name)
		}
	}
}

// try opens the source for a moment to see what it can do.
func (d *diagnosis) try(cfg Config) {
	d.rights = rightsOf(0)
	s, err := capture.Open(capture.Config{Tier: cfg.CaptureTier})
	if err != nil {
		d.problem("%v", err)
		return
	}
	d.source = s.Info()
	if err := s.Close(); err != nil {
		d.problem("%v", err)
	}
}

// The shortest record whose rate tells how long the disk will do: most of a
// machine's day is unlike its first minutes.
const tellingRecord = time.Hour

func (d *diagnosis) measure(cfg Config) {
	st, err := journal.Stat(d.dir)
	if err != nil {
		if d.pid != 0 {
			d.note("the record cannot be measured: %v", err)
		}
		return // nothing recorded yet, or not ours to read
	}
	d.record, d.free = &st, freeBytes(d.dir)
	if st.BytesPerDay <= 0 || time.Duration(st.Newest-st.Oldest) < tellingRecord {
		return
	}
	room := float64(d.free) + float64(st.Bytes)
	if cfg.RetentionBytes > 0 {
		room = min(room, float64(cfg.RetentionBytes))
	}
	days := room / st.BytesPerDay
	switch {
	case cfg.RetentionDays > 0 && days >= float64(cfg.RetentionDays):
		d.fits = fmt.Sprintf("%d days, as configured", cfg.RetentionDays)
	case cfg.RetentionDays > 0:
		d.fits = fmt.Sprintf("%.1f days at the present rate", days)
		d.problem("the record will hold %.1f days, not the %d configured: raise retention.bytes or free disk space", days, cfg.RetentionDays)
	default:
		d.fits = fmt.Sprintf("%.1f days at the present rate", days)
	}
}
