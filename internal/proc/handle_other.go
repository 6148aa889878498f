//go:build !linux

package proc

import (
	"fmt"
	"os"
	"runtime"

	"github.com/portreporter/portreporter/internal/activity"
)

// Handle cannot be had on this system.
type Handle struct{}

func unsupported() error { return fmt.Errorf("%s: %w", runtime.GOOS, ErrUnsupported) }

// Open gives ErrUnsupported.
func (f FS) Open(activity.ProcessKey) (*Handle, error) { return nil, unsupported() }

// Close does nothing.
func (h *Handle) Close() error { return nil }

// Key is the zero key.
func (h *Handle) Key() activity.ProcessKey { return activity.ProcessKey{} }

// Process gives ErrUnsupported.
func (h *Handle) Process() (*activity.Process, error) { return nil, unsupported() }

// CgroupPath gives ErrUnsupported.
func (h *Handle) CgroupPath() (string, error) { return "", unsupported() }

// Modules gives ErrUnsupported.
func (h *Handle) Modules() ([]Mapping, error) { return nil, unsupported() }

// OpenExe gives ErrUnsupported.
func (h *Handle) OpenExe() (*os.File, FileID, error) { return nil, FileID{}, unsupported() }

// Stat gives ErrUnsupported.
func (h *Handle) Stat(string) (FileID, error) { return FileID{}, unsupported() }

// OpenFile gives ErrUnsupported.
func (h *Handle) OpenFile(string) (*os.File, FileID, error) { return nil, FileID{}, unsupported() }

// Cgroup2 returns the directory that would hold the unified hierarchy.
func (f FS) Cgroup2() string { return f.cgroup() }

func (f FS) pids() ([]uint32, error) { return nil, unsupported() }

func (f FS) bootID() (string, error) { return "", unsupported() }

func readClock() (Clock, error) { return Clock{}, unsupported() }
