package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The line comes after a second and then once a second, and goes at the end.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		p := &progress{w: &b, what: "read", next: time.Now().Add(time.Second)}
		for range 5 {
			for range 1 << 12 {
				p.step()
			}
			time.Sleep(600 * time.Millisecond)
		}
		p.done()
		want := "\rread 12288 events\rread 20480 events\r" + strings.Repeat(" ", 17) + "\r"
		if b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	})
	var b strings.Builder
	p := newProgress(&b, "read") // no terminal
	for range 1 << 13 {
		p.step()
	}
	if p.done(); b.Len() > 0 || p.n != 1<<13 {
		t.Errorf("%q, %d", b.String(), p.n)
	}
}
