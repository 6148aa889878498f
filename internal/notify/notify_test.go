package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func alert(n int) *Alert {
	return &Alert{Time: time.Date(2026, 11, 24, 20, 41, 50, 191786123, time.UTC), Severity: activity.SeverityHigh, Rule: "r", Text: fmt.Sprintf("alert %d", n),
		Fields: []Field{{"rule", "r"}, {"reason", `a "quote", a \ and a ]`}}, JSON: []byte(fmt.Sprintf("{\"n\":%d}\n", n))}
}

// fake is a sink that takes alerts when it is let.
type fake struct {
	mu     sync.Mutex
	got    []string
	closed bool
	gate   chan struct{} // nil: open
	err    error
}

func (f *fake) Send(ctx context.Context, a *Alert) error {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, a.Text)
	return f.err
}

func (f *fake) Close() error { f.closed = true; return nil }

// TestQueueNeverWaits: a sink that hangs costs alerts, which are counted, and
// nothing else.
func TestQueueNeverWaits(t *testing.T) {
	f := &fake{gate: make(chan struct{})}
	q := NewQueue(f, 0, func(error) {})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(ctx) })
	const n = 3 * queueSize
	for i := range n {
		q.Put(alert(i))
	}
	_, dropped, _ := q.Counts()
	if dropped < n-queueSize-1 {
		t.Errorf("%d dropped of %d, though %d fit", dropped, n, queueSize)
	}
	close(f.gate)
	cancel()
	wg.Wait()
	sent, dropped, failed := q.Counts()
	if sent+dropped+failed != n {
		t.Errorf("%d sent, %d dropped and %d failed make not %d", sent, dropped, failed, n)
	}
	if !f.closed {
		t.Error("the sink is not closed")
	}
	if !slices.IsSortedFunc(f.got, func(a, b string) int {
		var x, y int
		fmt.Sscanf(a, "alert %d", &x)
		fmt.Sscanf(b, "alert %d", &y)
		return x - y
	}) {
		t.Error("alerts are out of order")
	}
}

func TestQueueTellsFailures(t *testing.T) {
	f := &fake{err: errors.New("no")}
	var told []error
	q := NewQueue(f, 0, func(err error) { told = append(told, err) })
	q.Put(alert(1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q.Run(ctx)
	if _, _, failed := q.Counts(); failed != 1 || len(told) != 1 || told[0] != f.err {
		t.Errorf("%d failed, told %v", failed, told)
	}
}

func TestRate(t *testing.T) {
	now := time.Unix(0, 0)
	r := rate{perMinute: 3, now: func() time.Time { return now }}
	taken := func(n int) (k int) {
		for range n {
			if r.take() {
				k++
			}
		}
		return k
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 3}, {10 * time.Second, 0}, {10 * time.Second, 1}, {time.Hour, 3}, {40 * time.Second, 2}} {
		now = now.Add(step.after)
		if got := taken(10); got != step.want {
			t.Errorf("after %v: %d of 10, want %d", step.after, got, step.want)
		}
	}
	if r = (rate{}); taken(100) != 100 {
		t.Error("no rate is no limit")
	}
}

func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	answers := []int{500, 429, 204, 400, 302, 500, 500, 500}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Method+" "+r.Header.Get("Content-Type")+" "+string(b))
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer s.Close()
	sink, err := NewWebhook(s.URL + "/secret")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	var pauses []int
	sink.(*webhook).pause = func(_ context.Context, try int) error { pauses = append(pauses, try); return nil }
	for i, want := range []string{"", "webhook: the server answered 400", "webhook: the server answered 302", "webhook: the server answered 500"} {
		err := sink.Send(context.Background(), alert(i))
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.HasPrefix(got, want) {
			t.Errorf("alert %d: %v, want %q", i, err, want)
		}
	}
	if d := cmp.Diff([]int{1, 2, 1, 2}, pauses); d != "" {
		t.Errorf("pauses: -want +got\n%s", d)
	}
	if len(bodies) != 8 || bodies[0] != "POST application/json {\"n\":0}\n" {
		t.Errorf("%d requests, %q", len(bodies), bodies)
	}
	s.Close()
	sink.(*webhook).pause = func(context.Context, int) error { return context.Canceled }
	if err := sink.Send(context.Background(), alert(1)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no server: %v", err)
	}
	for _, bad := range []string{"", "ftp://x/", "http:///x", "x", "https://\x00"} {
		if _, err := NewWebhook(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(path, []byte("torn"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, err := OpenFile(path, 20, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if err := l.Append([]byte(fmt.Sprintf("line %d\n", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line, err := range Lines(path, 2) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	// Two lines fit a file, so the torn one and those with it are the oldest: gone.
	if d := cmp.Diff([]string{"line 2", "line 3", "line 4", "line 5", "line 6", "line 7"}, got[len(got)-6:]); d != "" || len(got) > 7 {
		t.Errorf("%q", got)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 3 {
		t.Errorf("files: %q", names)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st, err)
	}
	for range Lines(path, 2) {
		break // an early end is fine
	}
	for range Lines(filepath.Join(t.TempDir(), "none"), 2) {
		t.Error("a line of a file that is not there")
	}
}

// TestFileTorn: what a crash left is a line of its own, and nothing is glued to it.
func TestFileTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(path, []byte("whole\ntor"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, err := OpenFile(path, 1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Append([]byte("next\n")), l.Close()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "whole\ntor\nnext\n" {
		t.Errorf("%q", b)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("x", maxLine+10)+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, err := range Lines(path, 0) {
		failed = err
	}
	if failed == nil {
		t.Error("a line beyond the bound is told as nothing")
	}
}
