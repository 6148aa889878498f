package testutil

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portreporter/portreporter/internal/activity"
)

func events(seed uint64, n int) []activity.Event {
	h := NewHistory(seed)
	out := make([]activity.Event, n)
	for i := range out {
		out[i] = h.Next()
	}
	return out
}

func TestHistoryRepeats(t *testing.T) {
	addrs := cmpopts.EquateComparable(netip.AddrPort{})
	if d := cmp.Diff(events(1, 2000), events(1, 2000), addrs); d != "" {
		t.Error(d)
	}
	if cmp.Equal(events(1, 2000), events(2, 2000), addrs) {
		t.Error("two seeds, one history")
	}
}

// What ends has begun, and time does not go back.
func TestHistoryIsCoherent(t *testing.T) {
	begins := map[activity.Kind]activity.Kind{activity.KindUnlisten: activity.KindListen, activity.KindUnbind: activity.KindBind, activity.KindFlowEnd: activity.KindFlow}
	type id struct {
		kind   activity.Kind
		cookie uint64
	}
	open := map[id]activity.Event{}
	var kinds [activity.NumKinds]int
	last := int64(0)
	for i, e := range events(7, 50000) {
		kinds[e.Kind]++
		if e.Time < last || e.Boot == 0 {
			t.Fatalf("event %d goes back in time: %+v", i, e)
		}
		last = e.Time
		if !e.Kind.Ends() {
			open[id{e.Kind, e.Socket}] = e
			continue
		}
		b, ok := open[id{begins[e.Kind], e.Socket}]
		if e.Kind == activity.KindClose {
			if b, ok = open[id{activity.KindConnect, e.Socket}]; !ok {
				b, ok = open[id{activity.KindAccept, e.Socket}]
			}
		}
		if !ok || b.Owner != e.Owner || b.Local != e.Local || b.Remote != e.Remote || e.Process == nil {
			t.Fatalf("event %d ends what did not begin so: %+v, %+v", i, b, e)
		}
	}
	for _, k := range []activity.Kind{activity.KindListen, activity.KindUnlisten, activity.KindBind, activity.KindUnbind, activity.KindConnect,
		activity.KindConnectFailed, activity.KindAccept, activity.KindClose, activity.KindFlow, activity.KindFlowEnd, activity.KindKnock} {
		if kinds[k] == 0 {
			t.Errorf("no %s", k)
		}
	}
}

func TestHistoryProcesses(t *testing.T) {
	h := NewHistory(3)
	known := map[*activity.Process]bool{}
	for range 5000 {
		e := h.Next()
		if e.Process != nil && e.Process.Key != e.Owner {
			t.Fatalf("owner %v, process %v", e.Owner, e.Process.Key)
		}
		known[e.Process] = true
	}
	ids := map[activity.ProcessID]bool{}
	for _, p := range h.Processes() {
		ids[p.ID] = true
		delete(known, p)
	}
	if delete(known, nil); len(known) > 0 || len(ids) != len(h.Processes()) {
		t.Errorf("%d processes are not listed, %d ids of %d", len(known), len(ids), len(h.Processes()))
	}
}

func BenchmarkHistory(b *testing.B) {
	h := NewHistory(1)
	for b.Loop() {
		h.Next()
	}
}
