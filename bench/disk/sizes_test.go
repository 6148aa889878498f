package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestSizes(t *testing.T) {
	file := func(n int) *fstest.MapFile { return &fstest.MapFile{Data: make([]byte, n)} }
	s, err := sum(fstest.MapFS{"a/1.parquet": file(30), "2.parquet": file(10), "live.log": file(50), "chain": file(4)})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sizes{"a/*.parquet": 30, "*.parquet": 10, "*.log": 50, "chain": 4}, s); d != "" {
		t.Error(d)
	}
	var b strings.Builder
	if err := s.print(&b, 10); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if d := cmp.Diff([]string{"file bytes an event", "*.log 50 5.0", "a/*.parquet 30 3.0", "*.parquet 10 1.0", "chain 4 0.4", "all 94 9.4"}, got); d != "" {
		t.Error(d)
	}
}
