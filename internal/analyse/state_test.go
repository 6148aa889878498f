package analyse

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

// namesOf lists the sockets of a state with their owners.
func namesOf(s State) (names []string) {
	for _, k := range s.Sockets {
		e := activity.Event{Socket: k.Cookie, Local: k.Local, Remote: k.Remote, NetNS: k.NetNS, Proto: k.Proto}
		names = append(names, nameOf(keyOf(&e), k.Owner))
	}
	slices.Sort(names)
	return names
}

// TestOpenAtTruth: at any moment that was recorded, the record tells what was
// open on the machine, whatever happened to the recorder before.
func TestOpenAtTruth(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(seed, 400)
		asked := 0
		for range 60 {
			at := h.events[0].Time + h.rnd.Int64N(h.now-h.events[0].Time)
			if _, ok := h.run(at); !ok || h.betweenOwners(at) {
				continue
			}
			asked++
			var want []string
			for _, n := range h.tenures {
				if n.openAt(at) {
					want = append(want, nameOf(n.key, n.owner.Key))
				}
			}
			slices.Sort(want)
			got, err := OpenAt(h.stream(), at)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, namesOf(got)); d != "" {
				t.Fatalf("seed %d, at %s: -open +told\n%s", seed, time.Unix(0, at).UTC(), d)
			}
		}
		if asked < 10 {
			t.Errorf("seed %d: only %d moments were recorded", seed, asked)
		}
	}
}

// betweenOwners reports whether a socket has just changed hands, and the record
// doesn't say so yet.
func (h *history) betweenOwners(at int64) bool {
	return slices.ContainsFunc(h.tenures, func(n *tenure) bool { return n.from <= at && at < n.from+1e6 && n.from != n.opened })
}

// TestOpenAtSince: a socket's time is when it opened, or unknown, never wrong.
func TestOpenAtSince(t *testing.T) {
	known := 0
	for seed := range uint64(20) {
		h := newHistory(seed, 400)
		opened := map[string]int64{}
		for _, n := range h.tenures {
			opened[nameOf(n.key, n.owner.Key)] = n.opened
		}
		got, err := OpenAt(h.stream(), h.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namesOf(got) {
			if opened[name] == 0 {
				t.Errorf("seed %d: %s never was", seed, name)
			}
		}
		for _, s := range got.Sockets {
			e := activity.Event{Socket: s.Cookie, Local: s.Local, Remote: s.Remote, NetNS: s.NetNS, Proto: s.Proto}
			want := opened[nameOf(keyOf(&e), s.Owner)]
			if s.Since != 0 && s.Since != want {
				t.Errorf("seed %d: %d is said to be open since %d, not %d", seed, s.Cookie, s.Since, want)
			}
			if s.Since != 0 {
				known++
			}
		}
	}
	if known == 0 {
		t.Error("since when is never known")
	}
}

// at is a moment of the tables below.
func at(s string) int64 {
	t, err := time.Parse(time.TimeOnly, s)
	if err != nil {
		panic(err)
	}
	return t.AddDate(2026, 0, 0).UnixNano()
}

// ev makes an event about the listener of a port, whose cookie is the port.
func ev(when string, k activity.Kind, port uint16) *activity.Event {
	e := &activity.Event{Time: at(when), Kind: k, Proto: activity.TCP, Socket: uint64(port), Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	if k == activity.KindSnapshot {
		e.Provenance = activity.Snapshotted
	}
	if k.Coverage() {
		e.Local, e.Socket, e.Proto = netip.AddrPort{}, 0, 0
	}
	return e
}

func TestOpenAtRuns(t *testing.T) {
	const start, listen, unlisten, snapshot = activity.KindRecorderStart, activity.KindListen, activity.KindUnlisten, activity.KindSnapshot
	lasting := func(e *activity.Event, d time.Duration) *activity.Event { e.Duration = int64(d); return e }
	for _, tt := range []struct {
		name   string
		events []*activity.Event
		at     string
		want   []uint64 // cookies
	}{
		{"nothing is on record", nil, "10:00:00", nil},
		{"at the very instant", []*activity.Event{ev("08:00:00", start, 0), ev("10:00:00", listen, 80)}, "10:00:00", []uint64{80}},
		{"before", []*activity.Event{ev("08:00:00", start, 0), ev("10:00:00", listen, 80)}, "09:59:59", nil},
		{"closed at the instant", []*activity.Event{ev("08:00:00", start, 0), ev("09:00:00", listen, 80), ev("10:00:00", unlisten, 80)}, "10:00:00", nil},
		{"a later run forgets", []*activity.Event{ev("08:00:00", start, 0), ev("08:30:00", listen, 80), ev("09:00:00", start, 0), ev("09:00:01", snapshot, 22)}, "10:00:00", []uint64{22}},
		{"the snapshots are true from the start on", []*activity.Event{ev("09:00:00", start, 0), ev("09:00:05", snapshot, 22)}, "09:00:00", []uint64{22}},
		{"those of a later run are not", []*activity.Event{ev("08:00:00", start, 0), ev("09:00:00", start, 0), ev("09:00:05", snapshot, 22)}, "08:59:59", nil},
		{"a future date", []*activity.Event{ev("08:00:00", start, 0), ev("23:00:00", listen, 80), ev("09:00:00", listen, 22)}, "10:00:00", []uint64{22}},
		{"the clock was set back in a run", []*activity.Event{ev("08:00:00", start, 0), ev("12:00:00", listen, 80), ev("11:00:00", unlisten, 80)}, "12:30:00", nil},
		{"a later run on an earlier clock", []*activity.Event{ev("08:00:00", start, 0), ev("08:30:00", listen, 80), ev("01:00:00", start, 0), ev("01:00:01", snapshot, 22), ev("12:00:00", listen, 23)}, "10:00:00", []uint64{80}},
		{"and a moment of it", []*activity.Event{ev("08:00:00", start, 0), ev("08:30:00", listen, 80), ev("01:00:00", start, 0), ev("01:00:01", snapshot, 22)}, "02:00:00", []uint64{22}},
		{"the run's beginning was removed", []*activity.Event{ev("09:00:00", listen, 80), lasting(ev("11:00:00", unlisten, 22), 5*time.Hour), lasting(ev("11:30:00", unlisten, 23), time.Hour)}, "10:00:00", []uint64{22, 80}},
		{"a cookie comes again", []*activity.Event{ev("08:00:00", start, 0), ev("09:00:00", listen, 80), ev("09:30:00", listen, 80)}, "10:00:00", []uint64{80}},
		{"an ending without a beginning", []*activity.Event{ev("08:00:00", start, 0), ev("09:00:00", unlisten, 80)}, "10:00:00", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenAt(streamOf(tt.events), at(tt.at))
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, k := range s.Sockets {
				got = append(got, k.Cookie)
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestOpenAtError(t *testing.T) {
	broken := errors.New("broken")
	_, err := OpenAt(func(yield func(*activity.Event, error) bool) { yield(nil, broken) }, 1)
	if !errors.Is(err, broken) {
		t.Errorf("the stream's error is not told: %v", err)
	}
}

// TestSameProcess: a start that is known to the tick may be of one known to the
// nanosecond, and two of those are one only if they are equal.
func TestSameProcess(t *testing.T) {
	const start = 123_456_789_012
	key := func(pid uint32, start uint64) activity.ProcessKey {
		return activity.ProcessKey{PID: pid, Start: start}
	}
	for _, tt := range []struct {
		a, b activity.ProcessKey
		want bool
	}{
		{key(7, start), key(7, start), true},
		{key(7, start), key(8, start), false},
		{key(7, start), key(7, start-start%tick), true},
		{key(7, start-start%tick), key(7, start), true},
		{key(7, start), key(7, start+1), false},
		{key(7, start), key(7, start-start%tick+tick), false},
		{key(7, 0), key(7, 0), true},
		{key(7, 0), key(7, start), false},
	} {
		if got := sameProcess(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v: %v", tt.a, tt.b, got)
		}
	}
}
