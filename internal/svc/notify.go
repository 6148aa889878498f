package svc

import (
	"context"
	"strings"
	"time"
)

// Notifier tells the service manager how the service does. Its zero value, and
// one of a program that no manager started, tells nobody. Safe for concurrent
// use. An error means that the manager did not hear it; the service goes on.
type Notifier struct {
	send     func(state string) error // sd_notify(3) assignments; nil: nobody listens
	watchdog time.Duration
}

// Run runs work as the service manager wants its services run: on Windows,
// when started by the service control manager, ctx also ends when that says
// stop. It returns what work returns.
func Run(ctx context.Context, work func(ctx context.Context, n *Notifier) error) error {
	return run(ctx, work)
}

// Ready says that all is attached and events are being recorded.
func (n *Notifier) Ready() error { return n.tell("READY=1") }

// Stopping says that the service has begun to end by itself or was told to.
func (n *Notifier) Stopping() error { return n.tell("STOPPING=1") }

// Status gives the line that the manager shows beside the service.
func (n *Notifier) Status(text string) error {
	return n.tell("STATUS=" + strings.Map(oneLine, text))
}

// Alive says that the service still does its work. To be called by the work
// itself, at most half of WatchdogInterval apart: a timer of its own would keep
// a service alive that hangs.
func (n *Notifier) Alive() error {
	if n.watchdog == 0 {
		return nil
	}
	return n.tell("WATCHDOG=1")
}

// WatchdogInterval is the time after which the manager takes the service for
// hung and restarts it; 0 when it does not watch.
func (n *Notifier) WatchdogInterval() time.Duration { return n.watchdog }

func (n *Notifier) tell(state string) error {
	if n.send == nil {
		return nil
	}
	return wrap("notify", n.send(state))
}

// oneLine keeps a status from becoming further assignments.
func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}
