//go:build amd64 || arm64

package bpf

import (
	"slices"

	"github.com/portreporter/portreporter/internal/activity"
)

// Without trampolines a listener is told when its state changes, which is
// before listen(2) has got its port: the call may still fail, and a socket that
// was not bound has no port yet. So such an event is held back until its
// outcome is certain, for at most as long as a failure takes to be told.
const listenSettles = 1_000_000 // ns; LISTEN_FAIL_NS in src/tcp.h

// listens are the events held back, oldest first: none nearly always.
type listens []activity.Observation

// hold takes a listen event.
func (l *listens) hold(o *activity.Observation) { *l = append(*l, *o) }

// settle says which of the held events are to be told before o; o itself may
// be the end that one waits for. find looks a listener's port up.
func (l *listens) settle(o *activity.Observation, find func(*activity.Event) bool) (told []activity.Observation) {
	*l = slices.DeleteFunc(*l, func(p activity.Observation) bool {
		e := &p.Event
		if o.What == activity.WhatEvent && o.Event.Socket == e.Socket && e.Socket != 0 {
			if o.Event.Kind == activity.KindBindFailed {
				return true // it never listened
			}
			if e.Local.Port() == 0 {
				e.Local = o.Event.Local
			}
		} else if o.Event.Boot < e.Boot+listenSettles && o.Event.Owner != e.Owner && o.Event.Local.Port() != e.Local.Port() {
			return false
		} else if e.Local.Port() == 0 && !find(e) {
			return false // over already: its end, still to be read, knows the port
		}
		told = append(told, p)
		return true
	})
	return told
}

// expire says which of the held events are certain at now (CLOCK_BOOTTIME ns),
// with nothing left to read.
func (l *listens) expire(now uint64, find func(*activity.Event) bool) (told []activity.Observation) {
	*l = slices.DeleteFunc(*l, func(p activity.Observation) bool {
		e := &p.Event
		switch {
		case now < e.Boot+listenSettles:
			return false
		case e.Local.Port() == 0 && !find(e):
			if now < e.Boot+1000*listenSettles {
				return false
			}
			e.Unknown |= activity.FactLocal
		}
		told = append(told, p)
		return true
	})
	return told
}
