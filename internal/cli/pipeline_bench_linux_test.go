package cli

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
	"github.com/portreporter/portreporter/internal/recorder"
)

// connections is a source that tells of n events: connections between one
// client and one server, seen from both ends, as the decoder hands them over.
type connections struct {
	n, next  int
	script   [6]activity.Observation
	finished func()
}

func (c *connections) Read(o *activity.Observation) error {
	if c.next == c.n {
		c.finished()
		return os.ErrDeadlineExceeded
	}
	i := c.next
	c.next++
	if i < 2 {
		*o = c.script[i]
		return nil
	}
	*o = c.script[2+i%4]
	o.Event.Socket += uint64(i/4) * 2
	o.Event.Boot, o.Event.Time = uint64(i)*1000, int64(i)*1000
	return nil
}

func (c *connections) SetDeadline(time.Time) {}
func (c *connections) Sockets(func(*activity.Socket) bool) (uint64, error) {
	return 0, nil
}
func (c *connections) Lost() (n [activity.NumKinds]uint64, err error) { return n, nil }
func (c *connections) Info() activity.SourceInfo                      { return activity.SourceInfo{} }

type asTheyAre struct{}

func (asTheyAre) Quick(p *activity.Process) *activity.Process { return p }
func (asTheyAre) Read(activity.ProcessKey) *activity.Process  { return nil }
func (asTheyAre) Deep(_ context.Context, p *activity.Process) (*activity.Process, *activity.ModuleSet, error) {
	return p, nil, nil
}

// BenchmarkPipeline is the recorder's user space from a decoded record to the
// live log in the kernel's hands, a write(2) for each batch included; and the
// same with sealing beside it, in the memory that record allows itself. There
// cpu-ns/op is the time of both processors.
func BenchmarkPipeline(b *testing.B) {
	b.Run("live", func(b *testing.B) { benchmarkPipeline(b, 1<<30) })
	b.Run("sealed", func(b *testing.B) {
		defer debug.SetGCPercent(debug.SetGCPercent(heapGC))
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(heapGoal))
		benchmarkPipeline(b, 32<<10)
	})
}

func benchmarkPipeline(b *testing.B, segmentRows int) {
	script := [6]activity.Observation{}
	for i := range 2 {
		key := activity.ProcessKey{PID: uint32(i + 1), Start: 1}
		script[i] = activity.Observation{What: activity.WhatProcess, Key: key, Process: &activity.Process{ID: activity.ProcessID(i + 1), Key: key, Name: "p"}}
	}
	a, z := netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:80")
	for i, k := range []activity.Kind{activity.KindConnect, activity.KindAccept, activity.KindClose, activity.KindClose} {
		e := activity.Event{Kind: k, Proto: activity.TCP, Tier: activity.TierEBPF, Socket: uint64(1 + i%2), Local: a, Remote: z, NetNS: 4026531833,
			Owner: activity.ProcessKey{PID: uint32(1 + i%2), Start: 1}}
		if i%2 == 1 {
			e.Local, e.Remote = z, a
		}
		if k == activity.KindClose {
			e.Rx, e.Tx, e.RxPackets, e.TxPackets, e.Duration, e.RTT, e.Closer = 64, 64, 4, 4, 50_000, 20, 1
		}
		script[2+i] = activity.Observation{What: activity.WhatEvent, Event: e}
	}
	w, err := journal.Open(journal.Config{Dir: b.TempDir(), SegmentRows: segmentRows})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	rec := recorder.New(recorder.Config{Source: &connections{n: b.N + 2, script: script, finished: cancel}, Resolver: asTheyAre{}, Journal: w,
		Publish: func(*activity.Event) {}})
	sealed := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	began := processorTime(b)
	go func() {
		for ctx.Err() == nil || w.Sealable() {
			if err := w.Seal(context.Background()); err != nil {
				sealed <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		sealed <- nil
	}()
	if err := errors.Join(rec.Run(ctx), <-sealed, w.Err()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
}

// processorTime is what this process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
