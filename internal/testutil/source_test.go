package testutil

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
)

func seen(seq uint64) activity.Observation {
	return activity.Observation{What: activity.WhatEvent, Event: activity.Event{Seq: seq}}
}

func TestSourceOrder(t *testing.T) {
	boom := errors.New("boom")
	s := NewSource(seen(1), seen(2))
	s.Fail(boom)
	s.Feed(seen(3))
	s.Done = true
	var o activity.Observation
	for want := uint64(1); want <= 3; want++ {
		if err := s.Read(&o); err != nil || o.Event.Seq != want {
			t.Fatalf("read %d, %v, want %d", o.Event.Seq, err, want)
		}
	}
	for _, want := range []error{boom, os.ErrClosed, os.ErrClosed} {
		if err := s.Read(&o); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestSourceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSource()
		start := time.Now()
		s.SetDeadline(start.Add(50 * time.Millisecond))
		var o activity.Observation
		if err := s.Read(&o); err != os.ErrDeadlineExceeded || time.Since(start) != 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		s.SetDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { s.Feed(seen(9)) })
		if err := s.Read(&o); err != nil || o.Event.Seq != 9 || time.Since(start) < time.Hour {
			t.Errorf("%v, seq %d after %v", err, o.Event.Seq, time.Since(start))
		}
		time.AfterFunc(time.Hour, func() { s.Close() })
		if err := s.Read(&o); err != os.ErrClosed {
			t.Errorf("%v, want closed", err)
		}
	})
}

func TestSourceState(t *testing.T) {
	s := NewSource()
	s.Open, s.AsOf, s.Described.Set = []activity.Socket{{Cookie: 1}, {Cookie: 2}}, 77, "fake"
	n := 0
	if at, err := s.Sockets(func(*activity.Socket) bool { n++; return n < 1 }); at != 77 || err != nil || n != 1 {
		t.Errorf("stopped: %d sockets as of %d, %v", n, at, err)
	}
	s.Lose(activity.KindClose, 3)
	s.Lose(activity.KindClose, 4)
	if lost, err := s.Lost(); err != nil || lost[activity.KindClose] != 7 {
		t.Errorf("lost %v, %v", lost, err)
	}
	if s.Info().Set != "fake" {
		t.Errorf("info %+v", s.Info())
	}
}
