package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/svc"
	"github.com/portreporter/portreporter/internal/testutil"
)

// newTestRecording returns a recording without a control socket, and what it
// says, to be read when it has ended.
func newTestRecording(t *testing.T, print func(*activity.Event)) (*recording, *bytes.Buffer) {
	t.Helper()
	cfg := defaultConfig(func(string) string { return "" })
	cfg.Dir = filepath.Join(t.TempDir(), "record")
	var said bytes.Buffer
	r, err := newRecording(cfg, &said, print, &svc.Notifier{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.open(proc.FS{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.resolver.Close)
	return r, &said
}

// TestStatusLineEachMinute is in fake time.
func TestStatusLineEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kinds []activity.Kind
		r, said := newTestRecording(t, func(e *activity.Event) { kinds = append(kinds, e.Kind) })
		source := testutil.NewSource()
		source.Lose(activity.KindAccept, 3)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.run(ctx, source, proc.FS{}) }()
		time.Sleep(3*time.Minute + time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		text := said.String()
		if n := strings.Count(text, "msg=status "); n != 3 {
			t.Errorf("%d status lines in three minutes:\n%s", n, text)
		}
		if !strings.Contains(text, "msg=status events=2 lost=3 sockets=0") {
			t.Errorf("the status line does not tell of the loss:\n%s", text)
		}
		want := []activity.Kind{activity.KindRecorderStart, activity.KindGap, activity.KindRecorderStop}
		if !slices.Equal(kinds, want) {
			t.Errorf("printed %v, want %v", kinds, want)
		}
		if !strings.Contains(text, "msg=stopped") {
			t.Errorf("the last word is not that it stopped:\n%s", text)
		}
		rep, err := journal.Verify(t.Context(), r.cfg.Dir)
		if err != nil || len(rep.Problems) > 0 || rep.Segments != 1 || rep.Live != 0 || rep.Events != 3 {
			t.Errorf("the record is not sealed and whole: %+v, %v", rep, err)
		}
	})
}

func TestRecent(t *testing.T) {
	r, _ := newTestRecording(t, nil)
	for i := range 5 {
		r.journal.Append(&activity.Event{Time: int64(i + 1), Kind: activity.KindKnock, Proto: activity.TCP})
	}
	if err := r.journal.Flush(); err != nil {
		t.Fatal(err)
	}
	events, err := answers{r}.Recent(2)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	if d := cmp.Diff([]uint64{4, 5}, seqs); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if err := r.putAway(); err != nil {
		t.Error(err)
	}
}

func TestRecordingRefusesConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`control.group: there is no group "no such group"`: func(c *Config) { c.ControlGroup = "no such group" },
	} {
		cfg := defaultConfig(func(string) string { return "" })
		change(&cfg)
		_, err := newRecording(cfg, &bytes.Buffer{}, nil, &svc.Notifier{})
		if exitCode(err) != exitUsage || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestGroupID(t *testing.T) {
	if n, err := groupID("54242"); n != 54242 || err != nil {
		t.Errorf("by number: %d, %v", n, err)
	}
	for _, bad := range []string{"-1", "4294967296", "no such group"} {
		if n, err := groupID(bad); err == nil {
			t.Errorf("groupID(%q) = %d", bad, n)
		}
	}
}

func TestTroublesAreToldOnce(t *testing.T) {
	r, said := newTestRecording(t, nil)
	full := errors.New("no space left on device")
	for _, err := range []error{nil, full, full, full, os.ErrPermission, context.Canceled, os.ErrPermission, nil, nil} {
		r.check("seal", err)
	}
	var got []string
	for line := range strings.Lines(said.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), "level=")
		got = append(got, line)
	}
	want := []string{`ERROR msg=seal err="no space left on device"`, `ERROR msg=seal err="permission denied"`, `INFO msg="seal: works again"`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if err := r.putAway(); err != nil {
		t.Error(err)
	}
}

func TestFound(t *testing.T) {
	var f found
	p := &activity.Process{ID: 7, Rev: 1}
	if f.process(p) != nil || f.moduleSet(3) != nil {
		t.Error("the zero found knows something")
	}
	full, set := &activity.Process{ID: 7, Rev: 2, Modules: 3}, &activity.ModuleSet{ID: 3}
	f.keep(full, set)
	if f.process(p) != full || f.moduleSet(3) != set {
		t.Error("what was kept is not found")
	}
	if f.process(&activity.Process{ID: 7, Rev: 3}) != nil {
		t.Error("what is older than the event's own facts is found")
	}
	for i := range maxFound + 1 {
		f.keep(&activity.Process{ID: activity.ProcessID(100 + i)}, &activity.ModuleSet{ID: activity.ModuleSetID(100 + i)})
	}
	if n := max(len(f.processes), len(f.modules)); n > maxFound {
		t.Errorf("%d are kept, at most %d should be", n, maxFound)
	}
}
