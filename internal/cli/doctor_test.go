package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/recorder"
)

// sick is a diagnosis with something of everything.
func sick() *diagnosis {
	d := &diagnosis{system: "Debian GNU/Linux 12, Linux 6.1.0 x86_64", pid: 811, version: "0.1.0", dir: "/var/log/portreporter", free: 79_100_000_000,
		state: &recorder.Status{Started: time.Date(2026, 11, 24, 20, 41, 50, 0, time.UTC), Sockets: 1,
			Events: map[string]uint64{"accept": 12, "connect": 7}, Lost: map[string]uint64{"accept": 3, "": 2}},
		counts: status{JournalError: "write: no space left on device", JournalDropped: map[string]uint64{"close": 9}, ClassicDropped: 1,
			Interest: &interestStatus{Rules: 17, Found: 1, Missed: 4, Error: "rules of interest: i.toml:1:1: unknown key \"x\"",
				Outlets: map[string]tally{"webhook": {Sent: 2, Failed: 3}, "syslog": {Sent: 60, Dropped: 5}, "command": {Sent: 1}}}},
		source: activity.SourceInfo{Tier: activity.TierEBPF, Set: "tracepoint", Detail: "Linux 6.1.0\x1b[31m", Missing: []activity.Kind{activity.KindKnock},
			Hooks: []activity.Hook{{Name: "tp_btf/a"}, {Name: "fexit/b", Err: "not traceable"}}},
		rights: rights{Known: true, Held: []string{"CAP_BPF"}, Missing: []string{"CAP_PERFMON"}},
		record: &journal.Stats{Bytes: 1_200_000, Events: 20_000, Segments: 2, BytesPerEvent: 37.84, Oldest: 1e18, Newest: 1e18 + 1e9},
		notes:  []string{"hook fexit/b is not attached: not traceable"},
	}
	d.losses()
	return d
}

func TestDiagnosisForPeople(t *testing.T) {
	t.Setenv("TZ", "UTC")
	var b strings.Builder
	if err := sick().print(&b, false); err != nil {
		t.Fatal(err)
	}
	want := `system     Debian GNU/Linux 12, Linux 6.1.0 x86_64
recorder   running, pid 811, version 0.1.0, since LOCAL
events     12 accept, 7 connect
lost       2 unknown, 3 accept
open       1 socket
interest   17 rules, 1 finding
capture    ebpf, hook set tracepoint, Linux 6.1.0 [31m
rights     missing: CAP_PERFMON
hooks      1 of 2 attached
not seen   knock
record     /var/log/portreporter
           20000 events, 1.2 MB, OLDEST to NEWEST
           37.8 bytes an event when sealed
disk       79.1 GB free
retention  the record is too short to tell how long the disk will do
note       hook fexit/b is not attached: not traceable
note       5 findings not sent by interest.syslog: more than interest.per_minute
ATTENTION  the record cannot be written: write: no space left on device
ATTENTION  9 close events could not be written
ATTENTION  2 unknown events were lost before they could be read: raise capture.ring_bytes
ATTENTION  3 accept events were lost before they could be read: raise capture.ring_bytes
ATTENTION  1 entries of the classic logs were left out: they came too fast; the journal has them
ATTENTION  rules of interest: i.toml:1:1: unknown key "x"
ATTENTION  4 events not looked at for data of interest: they came too fast; BTportreporter events --interestBT does
ATTENTION  3 findings could not be sent by interest.webhook: the recorder's log says why
`
	d := sick()
	want = strings.NewReplacer("BT", "`", "LOCAL", d.state.Started.Local().Format(time.DateTime), "OLDEST", stamp(d.record.Oldest), "NEWEST", stamp(d.record.Newest)).Replace(want)
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDiagnosisAsJSON(t *testing.T) {
	var b strings.Builder
	if err := sick().print(&b, true); err != nil {
		t.Fatal(err)
	}
	var got struct {
		V        int
		Recorder struct {
			PID  int
			Lost map[string]uint64
		}
		Capture struct {
			Hooks []struct{ Name, Error string }
		}
		Record struct {
			Events uint64
			Oldest time.Time
		}
		Attention []string
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.V != 1 || got.Recorder.PID != 811 || got.Recorder.Lost[""] != 2 || got.Capture.Hooks[1].Error != "not traceable" ||
		got.Record.Events != 20_000 || got.Record.Oldest.UnixNano() != 1e18 || len(got.Attention) != 8 {
		t.Errorf("got %+v", got)
	}
	b.Reset()
	if err := (&diagnosis{}).print(&b, true); err != nil || !strings.Contains(b.String(), `"recorder": null`) {
		t.Errorf("without a recorder: %s, %v", b.String(), err)
	}
}

// TestMeasure: the rate of a record that is long enough tells how long the disk
// will do, and too short a time needs attention.
func TestMeasure(t *testing.T) {
	const hour = int64(time.Hour)
	dir := filepath.Join(t.TempDir(), "record")
	w, err := journal.Open(journal.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(100) {
		w.Append(&activity.Event{Time: 1e18 + i*hour/10, Kind: activity.KindKnock, Proto: activity.TCP})
	}
	if err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		days  int
		bytes int64
		want  string
		bad   bool
	}{
		"enough":     {90, 10 << 30, "90 days, as configured", false},
		"too little": {90, 1 << 10, " days at the present rate", true},
		"no limit":   {0, 1 << 10, " days at the present rate", false},
	} {
		d := &diagnosis{dir: dir}
		d.measure(Config{RetentionDays: c.days, RetentionBytes: c.bytes})
		if !strings.HasSuffix(d.fits, c.want) || (len(d.problems) > 0) != c.bad {
			t.Errorf("%s: %q, problems %q", name, d.fits, d.problems)
		}
	}
	d := &diagnosis{dir: filepath.Join(dir, "none")}
	d.measure(Config{RetentionDays: 90})
	if d.record != nil || d.problems != nil {
		t.Errorf("without a record: %+v", d)
	}
}
