// Command history writes a journal of many realistic events, for measuring how
// fast it answers: a week of one host with 300 processes, 200,000 remote
// addresses and 30 service ports, its openings with their ends, failures,
// knocks, restarts of programs and of the recorder, and gaps. The same flags
// make the same events.
//
//	go run ./bench/history -events 10000000 -dir /var/tmp/history
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/journal"
)

func main() {
	var c config
	flag.StringVar(&c.dir, "dir", "", "directory to make, which must not hold a journal")
	flag.IntVar(&c.events, "events", 10_000_000, "how many, about")
	flag.DurationVar(&c.over, "over", 7*24*time.Hour, "in which time")
	flag.Uint64Var(&c.seed, "seed", 1, "of the random numbers")
	flag.IntVar(&c.rows, "segment-rows", 32<<10, "events in a new segment")
	flag.IntVar(&c.mergeRows, "merge-rows", 0, "events in a merged segment; 0 is the recorder's default")
	flag.Parse()
	start := time.Now()
	n, err := c.write(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
	fmt.Printf("%d events in %v\n", n, time.Since(start).Round(time.Millisecond))
}

type config struct {
	dir             string
	events          int
	over            time.Duration
	seed            uint64
	rows, mergeRows int
}

// epochs is how often the recorder starts; between two it is away for a while,
// every other time without having said that it stops.
const epochs = 4

// begin is a Monday.
func begin() time.Time { return time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC) }

func (c config) write(ctx context.Context) (n int, err error) {
	if c.dir == "" || journal.Exists(c.dir) {
		return 0, errors.New("a directory without a journal is needed (-dir)")
	}
	g := newGenerator(c.seed, c.events, begin(), c.over)
	for epoch := range epochs {
		k, err := c.run(ctx, g, epoch, c.events*(epoch+1)/epochs-n)
		n += k
		if err != nil {
			return n, err
		}
		g.pause(10 * time.Minute)
	}
	return n, nil
}

// run is one run of the recorder, of about most events.
func (c config) run(ctx context.Context, g *generator, epoch, most int) (n int, err error) {
	w, err := journal.Open(journal.Config{Dir: c.dir, HostName: "history", BootID: "boot-1", SegmentRows: c.rows, MergeRows: c.mergeRows,
		Now: func() time.Time { return begin() }})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Finish(ctx)) }()
	put := func(e *activity.Event) { w.Append(e); n++ }
	tell := func(kind activity.Kind, cov activity.Coverage) {
		put(&activity.Event{Time: g.now, Boot: uint64(g.now - g.bootWall), Kind: kind, Tier: activity.TierEBPF, Coverage: &cov})
	}
	for _, s := range moduleSets() {
		w.Modules(s)
	}
	tell(activity.KindRecorderStart, activity.Coverage{From: g.now, Detail: "history"})
	g.snapshots(put)
	k := &keeper{w: w}
	k.start(ctx)
	for n < most {
		if put(g.next()); n%(most/2+1) == 0 {
			cov := activity.Coverage{From: g.now - int64(time.Second), To: g.now, Reason: "ring overflow"}
			cov.Lost[activity.KindAccept] = 312
			tell(activity.KindGap, cov)
		}
		if n%(1<<16) == 0 {
			if err := k.pace(); err != nil {
				return n, err
			}
		}
	}
	if epoch%2 == 0 {
		tell(activity.KindRecorderStop, activity.Coverage{To: g.now})
	}
	return n, errors.Join(w.Flush(), k.finish(ctx))
}
