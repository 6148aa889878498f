// Package svc makes the recorder a service of the machine: it installs it with
// the system's service manager (systemd, the Windows service control manager),
// starts and stops it, and lets it tell the manager how it does.
//
// The unit file of the packages is the one embedded here.
package svc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Name is the service's name: portreporter.service for systemd.
const Name = "portreporter"

// Errors that a caller may want to explain; they come wrapped.
var (
	// ErrUnsupported: this operating system has no service manager that we know.
	ErrUnsupported = errors.New("services are not supported on this system: start with `portreporter record`")
	// ErrNoManager: the service manager is not running, as in most containers.
	ErrNoManager = errors.New("systemd is not running here: start with `portreporter record`")
	// ErrPrivilege: only root, or an administrator, may do that.
	ErrPrivilege = errors.New("not permitted")
	// ErrNotInstalled: there is no such service yet.
	ErrNotInstalled = errors.New("the service is not installed: do so with `portreporter service install`")
)

// State is what the service manager says of the service.
type State struct {
	Installed bool
	Enabled   bool      // starts with the machine
	Running   bool      // has said that it is ready
	Phase     string    // the manager's own word: active, activating, failed ...
	PID       int       // 0 when there is no process
	Since     time.Time // when it entered that phase; zero when not known
	Text      string    // what the recorder last said of itself
	Problem   string    // why it failed, in the manager's words
}

// Manager speaks with the service manager of this system. Its methods wait
// until the manager has done what was asked for, or ctx ends.
type Manager struct{ manager }

// New gives the manager of this system. Where there is none, each method says
// so with ErrUnsupported or ErrNoManager.
func New() *Manager { return &Manager{newManager()} }

// Install registers exe (the absolute path of this program) as a service that
// starts with the machine. It does not start it. Installing again renews what
// an older version wrote.
func (m *Manager) Install(ctx context.Context, exe string) error {
	return wrap("install", m.install(ctx, exe))
}

// Uninstall stops the service and removes it; the record, the configuration
// and the service's user stay.
func (m *Manager) Uninstall(ctx context.Context) error { return wrap("uninstall", m.uninstall(ctx)) }

// Start starts the service and waits until it records.
func (m *Manager) Start(ctx context.Context) error { return wrap("start", m.start(ctx)) }

// Stop stops the service and waits until its record is sealed.
func (m *Manager) Stop(ctx context.Context) error { return wrap("stop", m.stop(ctx)) }

// State asks for the service's state. A service that is not installed is no error.
func (m *Manager) State(ctx context.Context) (State, error) {
	s, err := m.state(ctx)
	return s, wrap("status", err)
}

func wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("service %s: %w", op, err)
	}
	return nil
}
