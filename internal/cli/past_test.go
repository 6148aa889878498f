package cli

import (
	"bytes"
	"context"
	"iter"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/control"
	"github.com/portreporter/portreporter/internal/journal"
)

// oldRecorder is a recorder that has run for longer than its record reaches back.
type oldRecorder struct {
	dir     string
	started time.Time
	table   []activity.Socket
}

func (o oldRecorder) Sockets() iter.Seq2[*activity.Socket, error] {
	return func(yield func(*activity.Socket, error) bool) {
		for i := range o.table {
			if !yield(&o.table[i], nil) {
				return
			}
		}
	}
}

func (o oldRecorder) Status() (any, error) {
	st := run{Dir: o.dir}
	st.State.Started = o.started
	return st, nil
}

func (o oldRecorder) Modules(activity.ModuleSetID) *activity.ModuleSet { return nil }

// serve runs the recorder's control socket until the test ends.
func (o oldRecorder) serve(t *testing.T, path string) {
	t.Helper()
	s, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ctx, o) }()
	t.Cleanup(func() { cancel(); s.Close(); <-done })
}

// TestCutRecord: where retention has removed the beginning of a run, what
// opened before is known by its end, or from the recorder if it still runs; else
// it is said that it is missing.
func TestCutRecord(t *testing.T) {
	dir := t.TempDir()
	record, socket := filepath.Join(dir, "record"), filepath.Join(dir, "control.sock")
	text := `process sshd pid=7 exe=/usr/sbin/sshd
process old pid=8 exe=/bin/old
2026-01-02T08:00:00Z accept tcp 192.0.2.1:22 198.51.100.7:4000 @sshd socket=10
2026-01-02T11:00:00Z unlisten tcp 0.0.0.0:99 @old socket=2 after=5h
2026-01-02T12:00:00Z listen tcp 0.0.0.0:100 @old socket=11
`
	if err := story([]string{record}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (stdout, stderr string) {
		var out, err bytes.Buffer
		if code := Run(t.Context(), append(args, "--dir", record, "--control-path", socket), nil, &out, &err); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, err.String())
		}
		return out.String(), err.String()
	}
	ports := func(stdout string) (found []string) {
		for _, p := range []string{":22 ", ":99 ", ":100 "} {
			if strings.Contains(stdout, p) {
				found = append(found, strings.Trim(p, ": "))
			}
		}
		return found
	}
	list := []string{"list", "--at", "2026-01-02T09:00:00Z", "state:listen"}
	stdout, stderr := ask(list...)
	if d := cmp.Diff([]string{"99"}, ports(stdout)); d != "" || !strings.Contains(stderr, "began before the record, which begins at 2026-01-02 ") {
		t.Errorf("without a recorder: -want +got\n%s%s", d, stderr)
	}

	sshd := &activity.Process{ID: 1, Key: activity.ProcessKey{PID: 7, Start: 7e9}, Name: "sshd"}
	oldRecorder{record, time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC), []activity.Socket{
		{Cookie: 1, Proto: activity.TCP, State: activity.StateListen, NetNS: 4026531840, Local: netip.MustParseAddrPort("0.0.0.0:22"), UID: activity.NoID, Owner: sshd.Key, Process: sshd},
		{Cookie: 11, Proto: activity.TCP, State: activity.StateListen, Local: netip.MustParseAddrPort("0.0.0.0:100"), UID: activity.NoID,
			Since: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).UnixNano()},
	}}.serve(t, socket)
	stdout, stderr = ask(list...)
	if d := cmp.Diff([]string{"22", "99"}, ports(stdout)); d != "" || stderr != "" {
		t.Errorf("with the recorder: -want +got\n%s%s", d, stderr)
	}
	stdout, _ = ask("who", "port:22")
	if !strings.Contains(stdout, "listen          tcp  0.0.0.0:22  sshd[7]") || !strings.Contains(stdout, "198.51.100.7     1 connection, 1 not ended") {
		t.Errorf("the story of port 22 is\n%s", stdout)
	}
	stdout, _ = ask("who", "port:99")
	if !strings.Contains(stdout, "2026-01-02 ") || !strings.Contains(stdout, ", for 5h00m") {
		t.Errorf("the story of port 99 is\n%s", stdout)
	}
}

// TestWithStarts: events are put in their runs by their sequence numbers and
// times, whatever the clock does and whatever the question leaves out.
func TestWithStarts(t *testing.T) {
	start := func(at int64) *activity.Event {
		return &activity.Event{Kind: activity.KindRecorderStart, Time: at, Seq: 1}
	}
	runOf := func(from, to int64, told bool) journal.Interval {
		i := journal.Interval{From: from, To: to, State: journal.StateRecorded}
		if told {
			i.Event = start(from)
		}
		return i
	}
	ev := func(at int64, seq uint64) *activity.Event {
		return &activity.Event{Kind: activity.KindListen, Time: at, Seq: seq}
	}
	for _, tt := range []struct {
		name   string
		runs   []journal.Interval
		events []*activity.Event
		from   int64
		want   []int64 // times; negative for a start, and 1000 more for the inferred end of the run before
	}{
		{"one run", []journal.Interval{runOf(10, 20, true)}, []*activity.Event{start(10), ev(12, 2), ev(15, 3)}, 0, []int64{-10, 12, 15}},
		{"a start that the question leaves out", []journal.Interval{runOf(10, 20, true)}, []*activity.Event{ev(12, 2)}, 0, []int64{-10, 12}},
		{"two runs", []journal.Interval{runOf(10, 20, true), runOf(30, 40, true)}, []*activity.Event{ev(12, 5), ev(33, 9)}, 0, []int64{-10, 12, 1020, -30, 33}},
		{"runs without events", []journal.Interval{runOf(10, 20, true), runOf(30, 40, true), runOf(50, 60, true)}, []*activity.Event{ev(55, 9)}, 0, []int64{-10, 1020, -30, 1040, -50, 55}},
		{"and after the last", []journal.Interval{runOf(10, 20, true), runOf(30, 40, true)}, []*activity.Event{ev(12, 2)}, 0, []int64{-10, 12, 1020, -30}},
		{"a clock that was set back", []journal.Interval{runOf(100, 200, true), runOf(10, 300, true)}, []*activity.Event{ev(150, 7), ev(12, 2), ev(250, 3)}, 0, []int64{-100, 150, 1200, -10, 12, 250}},
		{"a future date in the first run", []journal.Interval{runOf(10, 999, true), runOf(30, 40, true)}, []*activity.Event{ev(999, 2), ev(12, 3), ev(33, 2)}, 0, []int64{-10, 999, 12, 1999, -30, 33}},
		{"a run whose start was removed", []journal.Interval{runOf(10, 20, false), runOf(30, 40, true)}, []*activity.Event{ev(12, 2), ev(33, 4)}, 0, []int64{12, 1020, -30, 33}},
		{"what is before the time asked for", []journal.Interval{runOf(10, 20, true), runOf(30, 40, true)}, []*activity.Event{ev(33, 4)}, 32, []int64{33}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events := func(yield func(*activity.Event, error) bool) {
				for _, e := range tt.events {
					if !yield(e, nil) {
						return
					}
				}
			}
			var got []int64
			for e, err := range withStarts(events, tt.runs, tt.from) {
				switch {
				case err != nil:
					t.Fatal(err)
				case e.Kind == activity.KindRecorderStart:
					got = append(got, -e.Time)
				case e.Kind == activity.KindRecorderStop:
					got = append(got, 1000+e.Time)
				default:
					got = append(got, e.Time)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
