package journal

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/filter"
)

// BenchmarkAppend is the recorder's steady state: events of known processes,
// flushed in batches of 256.
func BenchmarkAppend(b *testing.B) {
	h := newHistory(1, 300)
	w := open(b, Config{Dir: b.TempDir(), SegmentRows: 1 << 30})
	defer w.Close()
	h.modules(w)
	events := make([]*activity.Event, 4096)
	for i := range events {
		events[i] = h.next()
		w.Append(events[i])
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.Append(events[n%len(events)])
		if n++; n%256 == 0 {
			check(b, w.Flush())
		}
	}
	b.SetBytes(w.size / int64(n+len(events)))
}

// sealRows is what `record` seals.
const sealRows = 32 << 10

// BenchmarkSeal makes a segment of 32,768 events, 300 processes and 300 sets of
// 60 modules.
func BenchmarkSeal(b *testing.B) {
	dir := b.TempDir()
	h := newHistory(1, 300)
	w := open(b, Config{Dir: dir, SegmentRows: sealRows})
	defer w.Close()
	b.ReportAllocs()
	var spent time.Duration
	var peak uint64
	segments := 0
	for b.Loop() {
		h.modules(w)
		for range sealRows {
			w.Append(h.next())
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		stop := make(chan struct{})
		top := heapPeak(stop)
		began := cpuTime(b)
		sealAll(b, w)
		spent += cpuTime(b) - began
		close(stop)
		peak = max(peak, <-top-m.HeapAlloc)
		segments++
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(segments*sealRows), "cpu-ns/event")
	b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MB")
	b.ReportMetric(residentPeak(b), "peak-RSS-MB")
	var size int64
	for _, f := range segmentFiles() {
		var part int64
		names, _ := filepath.Glob(filepath.Join(dir, "seg-*", f))
		for _, n := range names {
			st, err := os.Stat(n)
			check(b, err)
			part += st.Size()
		}
		size += part
		b.Logf("%s: %.2f bytes/event", f, float64(part)/float64(segments*sealRows))
	}
	b.ReportMetric(float64(size)/float64(segments*sealRows), "bytes/event")
}

// cpuTime is what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentPeak is the most memory that this process has had, in MiB: that of the
// test itself and of its generator included.
func residentPeak(b *testing.B) float64 {
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Maxrss) / 1024
}

// heapPeak watches the heap in use until stop is closed and then sends its peak.
func heapPeak(stop chan struct{}) chan uint64 {
	out := make(chan uint64, 1)
	go func() {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		var top uint64
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(s)
			top = max(top, s[0].Value.Uint64())
			select {
			case <-stop:
				out <- top
				return
			case <-tick.C:
			}
		}
	}()
	return out
}

// BenchmarkQuery asks for one port, one address and everything.
func BenchmarkQuery(b *testing.B) {
	dir := b.TempDir()
	h := newHistory(1, 300)
	w := open(b, Config{Dir: dir})
	for range 4 * defaultSegmentRows {
		w.Append(h.next())
	}
	sealAll(b, w)
	check(b, w.Close())
	r, err := OpenReader(dir)
	check(b, err)
	for name, q := range map[string]Query{"port": {Hints: filter.Hints{Ports: []filter.PortRange{{Lo: 3389, Hi: 3389}}}}, "kind": {Hints: filter.Hints{Kinds: 1 << activity.KindBindFailed}}, "all": {}} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = 0
				for _, err := range r.Events(context.Background(), q) {
					check(b, err)
					n++
				}
			}
			b.ReportMetric(float64(n), "events")
		})
	}
}
