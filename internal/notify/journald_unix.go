//go:build unix

package notify

import (
	"context"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

type journald struct{}

// NewJournald returns a sink for systemd's journal. Each field of an alert is a
// field there, as PORTREPORTER_RULE.
func NewJournald() (Sink, error) {
	if !journal.Enabled() {
		return nil, errNoJournald
	}
	return journald{}, nil
}

func (journald) Send(_ context.Context, a *Alert) error {
	vars := map[string]string{"SYSLOG_IDENTIFIER": "portreporter", "SYSLOG_FACILITY": fmt.Sprint(facility)}
	for _, f := range a.Fields {
		vars["PORTREPORTER_"+strings.ToUpper(f.Name)] = f.Value
	}
	if err := journal.Send(a.Text, journal.Priority(level(a.Severity)), vars); err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	return nil
}

func (journald) Close() error { return nil }
