package svc

import (
	"context"

	"github.com/coreos/go-systemd/v22/daemon"
)

func run(ctx context.Context, work func(context.Context, *Notifier) error) error {
	return work(ctx, newNotifier())
}

// newNotifier speaks through NOTIFY_SOCKET, if systemd gave one.
func newNotifier() *Notifier {
	n := &Notifier{send: func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}}
	// An error here is a WATCHDOG_USEC that systemd would not write: not watched.
	n.watchdog, _ = daemon.SdWatchdogEnabled(false)
	return n
}
