package journal

import (
	"context"
	"runtime"
	"sync"
)

// maxWorkers bounds what reading in parallel keeps in memory: each worker may
// hold what one segment gives.
const maxWorkers = 4

// inOrder has work done for 0 to n-1 by some goroutines and gives the results to
// take in that order, on the caller's goroutine, until take returns false. Work
// is done ahead for a few only. It returns when all goroutines have ended.
func inOrder[T any](ctx context.Context, n int, work func(ctx context.Context, g *groupReader, i int) (T, error), take func(i int, v T, err error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		v   T
		err error
	}
	workers := min(n, runtime.GOMAXPROCS(0), maxWorkers)
	results := make([]chan result, n)
	for i := range results {
		results[i] = make(chan result, 1)
	}
	todo := make(chan int, n)
	var running sync.WaitGroup
	defer running.Wait()
	defer close(todo)
	defer cancel()
	for range workers {
		running.Go(func() {
			g := newGroupReader()
			defer g.close()
			for i := range todo {
				var r result
				if r.err = ctx.Err(); r.err == nil {
					r.v, r.err = work(ctx, g, i)
				}
				results[i] <- r
			}
		})
	}
	for i := range workers {
		todo <- i
	}
	for i := range n {
		r := <-results[i]
		if !take(i, r.v, r.err) {
			return
		}
		if next := i + workers; next < n {
			todo <- next
		}
	}
}
