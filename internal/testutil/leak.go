package testutil

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// NoLeaks fails the test if, when it ends, goroutines that it started still run
// or file descriptors that it opened are still open. It must be called before
// the test registers other cleanups, and is no use to parallel tests.
func NoLeaks(t testing.TB) {
	t.Helper()
	before, fds := goroutines(), openFiles()
	t.Cleanup(func() {
		if t.Failed() {
			return // what has failed may leave something behind
		}
		var left []string
		// Goroutines that were told to end need a moment to do so; only one that
		// is still there after seconds of patience is a leak.
		for wait := time.Millisecond; ; wait *= 2 {
			left = leaked(before, fds)
			if len(left) == 0 || wait > 2*time.Second {
				break
			}
			time.Sleep(wait)
		}
		for _, s := range left {
			t.Errorf("leaked: %s", s)
		}
	})
}

func leaked(before, fds map[string]string) (left []string) {
	for id, stack := range goroutines() {
		if _, ok := before[id]; !ok {
			left = append(left, stack)
		}
	}
	for fd, what := range openFiles() {
		if fds[fd] != what {
			left = append(left, fmt.Sprintf("file descriptor %s: %s", fd, what))
		}
	}
	slices.Sort(left)
	return left
}

// goroutines returns the stack of each goroutine but this one and the runtime's
// and testing's own, by its number.
func goroutines() map[string]string {
	b := make([]byte, 1<<20)
	b = b[:runtime.Stack(b, true)]
	out := map[string]string{}
	for i, stack := range strings.Split(string(b), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		if i == 0 || strings.Contains(stack, "testing.(*T).Run(") || strings.Contains(stack, "os/signal.loop") ||
			strings.Contains(stack, "testing.(*M).") || strings.Contains(stack, "testing.runFuzz") {
			continue
		}
		out[id] = stack
	}
	return out
}
