package analyse

import (
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// busy is what happens on a busy server, each event an object of its own as a
// journal gives them.
func busy(n int) []*activity.Event {
	h := testutil.NewHistory(1)
	events := make([]*activity.Event, n)
	for i := range events {
		e := h.Next()
		events[i] = &e
	}
	return events
}

func BenchmarkTimeline(b *testing.B) {
	events := busy(200_000)
	b.ReportAllocs()
	for b.Loop() {
		story(nil, 0, events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func BenchmarkOpenAt(b *testing.B) {
	events := busy(200_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OpenAt(streamOf(events), events[len(events)-1].Time); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
