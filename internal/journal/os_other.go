//go:build !linux && !windows

package journal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// tryLock is not written for this system.
func tryLock(*os.File) (bool, error) {
	return false, fmt.Errorf("journal on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// syncData puts a file on the disk.
func syncData(f *os.File) error { return f.Sync() }

// syncDir does nothing here.
func syncDir(string) error { return nil }

// diskFull cannot be told here.
func diskFull(error) bool { return false }
