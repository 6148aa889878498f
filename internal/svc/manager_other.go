//go:build !linux && !windows

package svc

import (
	"context"
	"fmt"
	"runtime"
)

// manager of a system whose services we do not know.
type manager struct{}

func newManager() manager { return manager{} }

func unsupported() error { return fmt.Errorf("%s: %w", runtime.GOOS, ErrUnsupported) }

func (manager) install(context.Context, string) error { return unsupported() }
func (manager) uninstall(context.Context) error       { return unsupported() }
func (manager) start(context.Context) error           { return unsupported() }
func (manager) stop(context.Context) error            { return unsupported() }
func (manager) state(context.Context) (State, error)  { return State{}, unsupported() }
