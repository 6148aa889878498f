package journal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

func FuzzLive(f *testing.F) {
	h := newHistory(1, 2)
	b := appendHeader(nil, &header{hostName: "h", boot: "b", first: pos{1, 1}})
	f.Add(b)
	start := len(b)
	b = activity.AppendEvent(beginFrame(b, frameEvent), h.next())
	endFrame(b, start, castagnoli())
	f.Add(b)
	f.Add(append(bytes.Clone(b), b[start:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := parseLive(b)
		last := int32(0)
		for _, at := range l.events {
			if at.from < last || at.to < at.from || int(at.to) > len(b) {
				t.Fatalf("event at %v after %d", at, last)
			}
			last = at.to
		}
		if l.tail > len(b) || l.tail < int(last) {
			t.Fatalf("tail at %d of %d, after %d", l.tail, len(b), last)
		}
		// A whole frame after anything is found: nothing is lost to damage before it.
		whole := appendHeader(nil, &header{})[len(liveMagic):]
		start := len(whole)
		whole = activity.AppendEvent(beginFrame(whole, frameEvent), &activity.Event{Seq: 77})
		endFrame(whole, start, castagnoli())
		again := parseLive(append(bytes.Clone(b), whole...))
		var e activity.Event
		if n := len(again.events); n == 0 || again.event(n-1, &e) != nil || e.Seq != 77 {
			t.Fatalf("%d events, and not the last", n)
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add([]byte(`{"v":1,"n":1,"time":5,"op":"seal","segment":"seg-1","ranges":[{"epoch":1,"first":1,"last":2,"count":2}],"prev":""}` + "\n"))
	f.Add([]byte("{}\n\n{\"n\":1}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var end int64
		for l, err := range chainLines(bytes.NewReader(b)) {
			if err != nil {
				return
			}
			if l.end <= end || l.end > int64(len(b)) || b[l.end-1] != '\n' || l.sum != sum(b[end:l.end-1]) {
				t.Fatalf("line from %d to %d", end, l.end)
			}
			if l.err == nil && (l.rec.N == 0 || l.rec.Op == "") {
				t.Fatalf("record %+v", l.rec)
			}
			end = l.end
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\xff\x00", "\U0010ff41", "\U0010fffd", "C:\\Windows\\\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := toText(s)
		if strings.ToValidUTF8(c, "") != c {
			t.Fatalf("%q is no UTF-8", c)
		}
		if got := fromText(c); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add(liveName(pos{1, 2}))
	f.Add(segmentName(pos{1, 2}, pos{3, 4}))
	f.Add("seg-1-2-3-4")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseName(s)
		if !ok {
			return
		}
		if p.live && liveName(p.first) != s || !p.live && segmentName(p.first, p.last) != s {
			t.Fatalf("%q is read as %+v", s, p)
		}
	})
}
